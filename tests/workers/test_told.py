"""What reaches people by itself: a dead letter, a finding, a list that lacks too many."""

from __future__ import annotations

from typing import Any

import pytest

from seamkeeper import database, issues, notices
from seamkeeper.queues import RESYNC_SYSTEM
from simulator.serve import Running
from tests.workers.conftest import Floor
from workers.seam_api import UserPage

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise's own import


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """Somebody shall be told; nobody listens at that address, which is another test's matter."""
    return {**environ, "SEAMKEEPER_NOTIFY": "json://127.0.0.1:9/"}


def names(floor: Floor) -> list[str]:
    """Of the notices that were kept, without the hour: what comes again may be told in the next one, too."""
    with database.reading(floor.engine) as connection:
        return sorted({each["name"].rpartition(":")[0] for each in notices.list_notices(connection)})


def test_a_dead_letter_is_told_once_with_its_finding(floor: Floor, sim: Running) -> None:
    """However many events meet the same mistake within the hour."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, phone_number="12")

    for _ in range(3):
        floor.happened("acs_user.created", acs_user_id)

    system = sim.world.acs_system_id
    told = [name for name in names(floor) if not name.startswith("dead:send_notice")]
    assert sum(name.startswith("dead:reconcile_user:") for name in told) == 1
    assert told.count(f"issue:finding:desired_is_wrong:{system}") == 1


def test_too_many_missing_is_a_finding_on_the_access_system(floor: Floor, sim: Running, monkeypatch: Any) -> None:
    """Nobody is marked or asked for; a person is told; a list that is whole again clears it."""
    system = sim.world.add_system("Great House")
    people = [sim.world.add_user(acs_system_id=system, full_name=f"P {number}") for number in range(30)]

    def resync() -> None:
        floor.tools.queues.ask_resync(RESYNC_SYSTEM, system, why="a test")
        floor.work()

    def findings() -> list[str]:
        with database.reading(floor.engine) as connection:
            return [each["code"] for each in issues.list_issues(connection, acs_system_id=system)]

    resync()
    with monkeypatch.context() as patched:
        patched.setattr(type(floor.tools.seam), "user_page", lambda *_arguments: UserPage([], None))
        resync()
    while_short = findings()
    health = {floor.user(acs_user_id)["health"] for acs_user_id in people}
    resync()

    assert (while_short, health, findings()) == (["too_many_missing"], {"ok"}, [])
    assert f"issue:finding:too_many_missing:{system}" in names(floor)
