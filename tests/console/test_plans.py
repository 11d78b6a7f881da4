"""What a plan says of a user, and the file that holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from console import plans
from console.plans import BadPlan, Planned
from seamkeeper.orders import SHOWN

NAME = {"full_name": {"observed": "Jack", "desired": "Jane"}}
BOTH = NAME | {"phone_number": {"observed": "+15555550222", "desired": ""}}


def user(**more: Any) -> dict[str, Any]:
    """As `users show` gives it: drifted, and nothing but the policy holds it back."""
    found: dict[str, Any] = {
        "acs_user_id": "u1", "acs_system_id": "s1", "sync": "drifted", "drift": NAME, "deleted_at": None,
        "reason": f"SEAMKEEPER_REPAIR=plan: {SHOWN}", "read_at": "2026-11-22T08:30:00.000000Z", "issues": [],
        "observed": {"display_name": "Jack Doe"},
    }  # fmt: skip
    return found | more


def finding(code: str, *fields: str) -> dict[str, Any]:
    """One of ours."""
    detail = {"fields": {name: {"desired": "x"} for name in fields}}
    return {"kind": "finding", "code": code, "message": f"{code} it is", "detail": detail}


@pytest.mark.parametrize(
    ("shown", "is_named", "state"),
    [
        pytest.param(user(), False, "change", id="drifted"),
        pytest.param(user(reason=None), False, "change", id="no-reason"),
        pytest.param(user(sync="in_sync", drift={}), False, "in_sync", id="in-sync"),
        pytest.param(user(sync="applying"), False, "applying", id="under-way"),
        pytest.param(user(sync="unknown", drift={}), False, "unmanaged", id="nothing-desired"),
        pytest.param(user(deleted_at="2026-11-22T08:30:00.000000Z"), False, "gone", id="gone"),
        pytest.param(user(sync="paused", reason="paused until then"), True, "blocked", id="paused"),
        pytest.param(user(reason="the user is being deleted"), True, "blocked", id="playbook"),
        pytest.param(user(reason="not sent: x", issues=[finding("cannot_be_set", "full_name")]), True, "blocked",
                     id="impossible"),
        pytest.param(user(drift=BOTH, issues=[finding("cannot_be_set", "phone_number")]), False, "change",
                     id="partly-impossible"),
        pytest.param(user(reason="not sent: x", issues=[finding("another_writer", "full_name")]), False, "blocked",
                     id="fight-in-bulk"),
        pytest.param(user(reason="not sent: x", issues=[finding("another_writer", "full_name")]), True, "change",
                     id="fight-named"),
        pytest.param(user(drift={}), False, "change", id="sent-again"),
        pytest.param(user(observed=None, drift=None, sync="unknown"), False, "unmanaged", id="never-read"),
    ],
)  # fmt: skip
def test_what_would_be_done(shown: dict[str, Any], is_named: bool, state: str) -> None:
    """Only a change has fields; everything that is held back has a reason."""
    found = plans.planned(shown, is_named=is_named)

    assert found.state == state
    assert dict(found.fields) == (shown["drift"] if state == "change" else {})
    assert state != "blocked" or found.reason


def test_calls() -> None:
    """An update is one, suspending another."""
    suspend = {"is_suspended": {"observed": False, "desired": True}}
    fields = [NAME, suspend, NAME | suspend, {}]

    assert [plans.calls([Planned("u1", "change", fields=each)]) for each in fields] == [1, 1, 2, 1]
    assert plans.calls([Planned("u1", "blocked")]) == 0


def test_a_file_holds_what_was_planned(tmp_path: Path) -> None:
    """For its owner only, over one that others could read; what is not to change is only told."""
    file = tmp_path / "plan.json"
    file.write_text("")
    file.chmod(0o644)
    change = Planned("u1", "change", "s1", "J\u202e\ud800", "2026-11-22T08:30:00.000000Z", NAME)
    rest = [Planned("u2", "in_sync"), Planned("u3", "blocked", reason="why")]

    plans.write(file, plans.as_json([change, *rest], by="Mina"))

    assert file.stat().st_mode & 0o777 == 0o600
    assert plans.read(file) == [change]
    assert [each["acs_user_id"] for each in json.loads(file.read_text())["users"]] == ["u1", "u3"]
    assert json.loads(file.read_text())["counts"]["in_sync"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("{", "is not JSON", id="no-json"),
        pytest.param("[]", "is no plan", id="list"),
        pytest.param("{}", "is no plan", id="other"),
        pytest.param('{"seamkeeper_plan": 2}', "version 2", id="newer"),
        pytest.param('{"seamkeeper_plan": 1}', "is damaged", id="no-users"),
        pytest.param('{"seamkeeper_plan": 1, "users": [1]}', "is damaged", id="no-user"),
        pytest.param('{"seamkeeper_plan": 1, "users": [{"acs_user_id": 1, "state": "change"}]}', "is damaged", id="id"),
        pytest.param(
            '{"seamkeeper_plan": 1, "users": [{"acs_user_id": "u", "state": "change", "fields": {"colour": {}}}]}',
            "is damaged", id="field",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plan(tmp_path: Path, text: str, reason: str) -> None:
    """Is told from one that is."""
    file = tmp_path / "plan.json"
    file.write_text(text)

    with pytest.raises(BadPlan, match=reason):
        plans.read(file)
