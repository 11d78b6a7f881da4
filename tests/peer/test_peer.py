"""The product against parts nobody here could tune: Seam's own fake, and signatures made by Svix's own JavaScript."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from rq.registry import FailedJobRegistry

from seamkeeper.errors import Permanent, Temporary
from seamkeeper.queues import QUEUES
from seamkeeper.settings import Settings
from tests.peer.peers import API_KEY, SYSTEM, WORKSPACE, Fake, Signer
from tests.peer.recorder import Recorder
from tests.signing import event
from tests.stack import Stack, eventually
from workers import register
from workers.seam_api import SeamApi

pytestmark = pytest.mark.peer
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

GET, UPDATE = "/acs/users/get", "/acs/users/update"
WORDS = ("Zoë Łukasiewicz-Ñandú", "👩🏽‍🚒 at the 🚪, 🏳️‍🌈", "東京 عربى \u2028 e\u0301 \x7f")
OTHER_SECRET = "whsec_" + base64.b64encode(b"another secret, of somebody else").decode()


@ON_POSTGRESQL
def test_an_edit_behind_our_back_is_undone(deployment: Stack, fake: Fake, signer: Signer, calls: Recorder) -> None:
    """The fake's user is as desired again, by one update of the drifted fields only."""
    schedule = {"starts_at": _in_days(1), "ends_at": _in_days(8)}
    acs_user_id = fake.create_user(full_name="Zoë O’Neill", phone_number="+15555550100", access_schedule=schedule)
    ends = [f"access_schedule.{name}={value}" for name, value in schedule.items()]
    deployment.seamkeeper("desired", "set", acs_user_id, "full_name=Zoë O’Neill", "phone_number=+15555550100", *ends)
    eventually(lambda: _sync(deployment, acs_user_id) == "in_sync", what="the first look")
    assert calls.to(UPDATE) == []
    later = {**schedule, "ends_at": _in_days(400)}
    fake.edit_user(acs_user_id, phone_number="+15555550199", access_schedule=later)
    payload = _event("acs_user.created", acs_user_id)

    status = _deliver(deployment, signer, payload)

    assert status == 204
    eventually(lambda: fake.user(acs_user_id)["phone_number"] == "+15555550100", what="the repair")
    user = fake.user(acs_user_id)
    assert (user["full_name"], user["access_schedule"]) == ("Zoë O’Neill", schedule)
    assert "pending_mutations" not in user
    eventually(lambda: _sync(deployment, acs_user_id) == "in_sync", what="in_sync")
    assert deployment.shown("users", acs_user_id)["observed"] == user
    eventually(lambda: _status(deployment, payload) == "done", what="the event")  # a resync may have been first
    drifted = {"acs_user_id": acs_user_id, "phone_number": "+15555550100", "access_schedule": schedule}
    assert [(call.arguments, call.status) for call in calls.to(UPDATE)] == [(drifted, 200)]


@ON_SQLITE
def test_a_deleted_user_becomes_a_tombstone(
    deployment: Stack, fake: Fake, signer: Signer, calls: Recorder, redis: Redis
) -> None:
    """One read that is answered 404 and no write; a `created` that comes late does not resurrect."""
    acs_user_id = fake.create_user(full_name="Jack Doe")
    deployment.seamkeeper("desired", "set", acs_user_id, "full_name=Jack Doe")
    eventually(lambda: _sync(deployment, acs_user_id) == "in_sync", what="the first look")
    eventually(lambda: not _work(redis), what="rest")  # who looks between the edit and the deletion would repair
    fake.edit_user(acs_user_id, full_name="Edited behind our back")
    fake.delete_user(acs_user_id)
    calls.calls.clear()
    deleted, late = _event("acs_user.deleted", acs_user_id), _event("acs_user.created", acs_user_id)

    _deliver(deployment, signer, deleted)
    eventually(lambda: _health(deployment, acs_user_id) == "deleted", what="the tombstone")
    _deliver(deployment, signer, late)
    eventually(lambda: len(calls.calls) >= 2 and not _work(redis), what="rest")

    assert [(call.path, call.status) for call in calls.calls if call.path in (GET, UPDATE)] == [(GET, 404), (GET, 404)]
    assert _health(deployment, acs_user_id) == "deleted"
    assert {deployment.shown("events", each["event_id"])["status"] for each in (deleted, late)} == {"done"}


@pytest.mark.parametrize(
    ("database_url", "route"), [("sqlite", GET), ("postgresql", UPDATE)], indirect=["database_url"]
)
def test_an_outage_delays_the_repair_and_loses_nothing(
    deployment: Stack, fake: Fake, signer: Signer, calls: Recorder, redis: Redis, route: str
) -> None:
    """503 with an empty body, more than once; when it is over the repair comes by itself, and nothing is dead."""
    acs_user_id = fake.create_user(full_name="Jack Doe")
    deployment.seamkeeper("desired", "set", acs_user_id, "full_name=Jack Doe")
    eventually(lambda: _sync(deployment, acs_user_id) == "in_sync", what="the first look")
    fake.edit_user(acs_user_id, full_name="Edited behind our back")
    payload = _event("acs_user.created", acs_user_id)

    with fake.outage(route):
        assert _deliver(deployment, signer, payload) == 204
        eventually(lambda: [call.status for call in calls.to(route)].count(503) >= 2, what="the second try")

    eventually(lambda: fake.user(acs_user_id)["full_name"] == "Jack Doe", what="the repair")
    eventually(lambda: _sync(deployment, acs_user_id) == "in_sync", what="in_sync")
    assert [call.status for call in calls.to(UPDATE)].count(200) == 1
    eventually(lambda: not _work(redis), what="rest")
    assert deployment.shown("events", payload["event_id"])["status"] == "done"
    assert json.loads(deployment.seamkeeper("events", "list", "--status", "dead", "--json")) == []
    assert [FailedJobRegistry(name, connection=redis).get_job_ids() for name in QUEUES] == [[] for _ in QUEUES]


@ON_POSTGRESQL
def test_the_signature_of_another_secret_is_refused(deployment: Stack, signer: Signer, calls: Recorder) -> None:
    """401 and nothing kept, though the very same signer made it; with our secret the same event is then accepted."""
    payload = _event("device.connected", "acs_user1")

    assert _deliver(deployment, signer, payload, secret=OTHER_SECRET) == 401
    assert deployment.shown("events", payload["event_id"]) == {}

    assert _deliver(deployment, signer, payload) == 204
    eventually(lambda: _status(deployment, payload) == "ignored", what="the event")
    assert calls.to(GET) == calls.to(UPDATE) == []


@ON_SQLITE
def test_what_svix_signs_is_accepted_as_it_is(deployment: Stack, signer: Signer) -> None:
    """JavaScript's strings and our bytes sign alike, escaped or not, small or of 200 KB; every body is kept whole."""
    told = [(words, is_escaped) for words in WORDS for is_escaped in (False, True)]
    told += [("🗝️ Schlüssel " * 10_600, False), ("🗝️ Schlüssel " * 6_100, True)]
    payloads = [{**_event("device.connected", "acs_user1"), "event_description": words} for words, _ in told]
    bodies = [
        json.dumps(payload, ensure_ascii=is_escaped) for payload, (_, is_escaped) in zip(payloads, told, strict=True)
    ]

    answers = [_post(deployment, body, signer.headers(body)) for body in bodies]

    assert answers == [204] * len(bodies)
    assert [len(body.encode()) > 200_000 for body in bodies[-2:]] == [True, True]
    for payload in payloads:
        eventually(lambda payload=payload: _status(deployment, payload) == "ignored", what="the event")
        assert _body(deployment, payload) == payload


@ON_POSTGRESQL
def test_resync_finds_every_user(deployment: Stack, fake: Fake, calls: Recorder) -> None:
    """The fake lists all at once, without `pagination`, whatever limit it is asked for."""
    for number in range(7):
        fake.create_user(full_name=f"Person {number}")

    deployment.seamkeeper("sync", "--system", SYSTEM)

    there = fake.user_ids()
    eventually(lambda: _mirrored(deployment) == there, what="the mirror of the whole access system")
    # once for the command, and perhaps once by the clock
    assert {(call.arguments["acs_system_id"], call.status) for call in calls.to("/acs/users/list")} == {(SYSTEM, 200)}
    assert calls.to(UPDATE) == []


@pytest.fixture
def seam(fake: Fake) -> Any:
    """The product's own client of Seam's API, at the fake."""
    api = SeamApi(Settings(api_key=API_KEY, endpoint=fake.url), count=lambda _name: None)
    yield api
    api.close()


def test_nobody_there_is_no_error(seam: SeamApi) -> None:
    """The fake's 404 is Seam's own JSON."""
    assert seam.get_user("acs_user0") is None
    assert seam.request_id() is not None


def test_refusals_are_permanent_and_faults_are_not(seam: SeamApi, fake: Fake) -> None:
    """400 names the field; 500 (its answer to an update of nobody), 401 and an empty 503 are worth another try."""
    acs_user_id = fake.create_user(full_name="Jack Doe")
    berlin = {"starts_at": "2099-01-01T09:00:00+01:00", "ends_at": "2099-02-01T09:00:00+01:00"}  # it takes only Z
    stranger = SeamApi(Settings(api_key="seam_test_nobody", endpoint=fake.url), count=lambda _name: None)

    with pytest.raises(Permanent, match=r"400.*access_schedule"):
        seam.write(UPDATE, {"acs_user_id": acs_user_id, "access_schedule": None})
    with pytest.raises(Permanent, match=r"Invalid datetime.*\(access_schedule\)$"):
        seam.write(UPDATE, {"acs_user_id": acs_user_id, "access_schedule": berlin})
    with pytest.raises(Temporary, match="500"):
        seam.write(UPDATE, {"acs_user_id": "acs_user0", "full_name": "Jack Doe"})
    with pytest.raises(Temporary, match="401"):
        stranger.get_user(acs_user_id)
    with fake.outage(GET), pytest.raises(Temporary, match="503"):
        seam.get_user(acs_user_id)
    stranger.close()


def _event(event_type: str, acs_user_id: str) -> dict[str, Any]:
    return event(event_type, acs_user_id=acs_user_id, acs_system_id=SYSTEM, workspace_id=WORKSPACE)


def _deliver(deployment: Stack, signer: Signer, payload: Mapping[str, Any], **options: str) -> int:
    body = json.dumps(payload)
    return _post(deployment, body, signer.headers(body, **options))


def _post(deployment: Stack, body: str, headers: Mapping[str, str]) -> int:
    url = f"http://127.0.0.1:{deployment.port}/webhooks/seam"
    told = {**headers, "content-type": "application/json"}
    return httpx.post(url, content=body.encode(), headers=told, timeout=15, trust_env=False).status_code


def _in_days(days: int) -> str:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    return at.isoformat().replace("+00:00", "Z")


def _sync(deployment: Stack, acs_user_id: str) -> Any:
    return deployment.shown("users", acs_user_id).get("sync")


def _health(deployment: Stack, acs_user_id: str) -> Any:
    return deployment.shown("users", acs_user_id).get("health")


def _status(deployment: Stack, payload: Mapping[str, Any]) -> Any:
    return deployment.shown("events", payload["event_id"]).get("status")


def _body(deployment: Stack, payload: Mapping[str, Any]) -> Any:
    body = deployment.shown("events", payload["event_id"])["body"]
    return json.loads(body) if isinstance(body, str) else body


def _mirrored(deployment: Stack) -> set[str]:
    found = json.loads(deployment.seamkeeper("users", "list", "--limit", "1000", "--json"))
    return {user["acs_user_id"] for user in found if user["health"] != "deleted"}


def _work(redis: Redis) -> int:
    """Jobs that wait, run, or are to run later; without those of the clock, of which some always wait."""
    with redis.pipeline() as at_one_moment:
        for name in QUEUES:
            at_one_moment.lrange(f"rq:queue:{name}", 0, -1)
            at_one_moment.zrange(f"rq:wip:{name}", 0, -1)
            at_one_moment.zrange(f"rq:scheduled:{name}", 0, -1)
        found = [job_id for part in at_one_moment.execute() for job_id in part]
    return sum(not job_id.startswith(b"clock-") for job_id in found)


def test_a_webhook_is_made_once_and_found_again(
    fake: Fake, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake makes a list of "all", without types that Seam has since: it cannot update, so nothing is to be asked.
    Its secret is none of Svix's, so it is not kept, and that is said; a duplicate is removed when asked."""
    url, file = "https://hooks.example.com/webhooks/seam", tmp_path / "secret"
    told = {"SEAM_API_KEY": API_KEY, "SEAM_ENDPOINT": fake.url, "DATABASE_URL": database_url}
    for name, value in told.items():
        monkeypatch.setenv(name, value)

    def here() -> list[dict[str, Any]]:
        listed = fake.client.get("/webhooks/list").raise_for_status().json()["webhooks"]
        return [each for each in listed if each["url"].startswith("https://hooks.example.com")]

    made, again = (register.main(["--url", url, "--secret-file", str(file)]) for _ in range(2))

    assert (made, again, len(here())) == (1, 1, 1)
    assert "acs_user.deleted" in here()[0]["event_types"]
    assert not file.exists()
    fake.client.post("/webhooks/create", json={"url": f"{url}/"}).raise_for_status()
    kept = here()[0]["webhook_id"]
    assert register.main(["--url", url, "--remove-duplicates", "--yes"]) == 0
    assert [each["webhook_id"] for each in here()] == [kept]
    fake.client.post("/webhooks/delete", json={"webhook_id": kept}).raise_for_status()
