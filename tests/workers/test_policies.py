"""What may be done to whom: settings, overridden for an access system, for a user, until a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from seamkeeper import clock, policies
from simulator.serve import Running
from tests.workers.conftest import Floor
from tests.workers.test_reconcile import updates

HOUR = timedelta(hours=1)


def say(floor: Floor, scope: str, subject_id: str, **values: Any) -> None:
    """`seamkeeper policy set`."""
    with floor.engine.begin() as connection:
        policies.set_policy(connection, scope, subject_id, by="a test", **values)


def drifted(floor: Floor, sim: Running) -> tuple[str, str]:
    """A user with drift, and the access system."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    return acs_user_id, sim.world.users[acs_user_id].acs_system_id


def test_the_nearest_word_counts(floor: Floor, sim: Running) -> None:
    """A user under `apply` in an access system under `plan` in a deployment under `apply`."""
    (one, system), (other, _) = drifted(floor, sim), drifted(floor, sim)
    say(floor, "system", system, repair="plan")
    say(floor, "user", one, repair="apply")

    for acs_user_id in (one, other):
        floor.happened("acs_user.created", acs_user_id)

    assert floor.user(one)["sync"] == "in_sync"
    assert floor.user(other)["reason"] == "policy of the system=plan: shown, not written"
    with floor.engine.begin() as connection:
        policies.forget_policy(connection, "system", system)


@pytest.mark.parametrize("scope", ["user", "system", "all"])
def test_a_pause_holds_until_its_time(floor: Floor, sim: Running, scope: str) -> None:
    """At any level; afterwards the next look repairs, without anybody having to remember it."""
    acs_user_id, system = drifted(floor, sim)
    subject = {"user": acs_user_id, "system": system, "all": ""}[scope]
    say(floor, scope, subject, paused_until=clock.now() + HOUR, reason="works on the doors")

    floor.happened("acs_user.created", acs_user_id)
    paused = floor.user(acs_user_id)
    say(floor, scope, subject, paused_until=clock.now() - HOUR)
    floor.happened("acs_user.created", acs_user_id)

    assert paused["sync"] == "paused"
    assert "works on the doors" in paused["reason"]
    assert floor.user(acs_user_id)["sync"] == "in_sync"


def test_a_pause_can_be_ended(floor: Floor, sim: Running) -> None:
    """Once; a second time there is nothing to end."""
    acs_user_id, _ = drifted(floor, sim)
    say(floor, "user", acs_user_id, paused_until=clock.now() + HOUR)

    with floor.engine.begin() as connection:
        ended = [policies.end_pause(connection, "user", acs_user_id, by="a test") for _ in range(2)]
    floor.happened("acs_user.created", acs_user_id)

    assert ended == [True, False]
    assert floor.user(acs_user_id)["sync"] == "in_sync"


def test_off_is_not_compared(floor: Floor, sim: Running) -> None:
    """For one user, while the others are."""
    acs_user_id, _ = drifted(floor, sim)
    say(floor, "user", acs_user_id, repair="off")

    floor.happened("acs_user.created", acs_user_id)

    assert (floor.user(acs_user_id)["sync"], floor.user(acs_user_id)["drift"], updates(sim)) == ("unknown", {}, [])


@pytest.mark.parametrize("values", [{"repair": "aply"}, {"recreate": "always"}, {"scope": "house"}])
def test_words_that_do_not_exist_are_refused(floor: Floor, values: dict[str, str]) -> None:
    """Before they are kept."""
    with pytest.raises(ValueError, match="one of"), floor.engine.begin() as connection:
        policies.set_policy(connection, **{"scope": "user", "subject_id": "u1", "by": "a test", **values})


@pytest.mark.parametrize("is_suspended", [True, False])
def test_a_suspension_is_put_right(floor: Floor, sim: Running, is_suspended: bool) -> None:
    """By Seam's own endpoint, through `applying`, with its line in the audit."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe", is_suspended=not is_suspended)
    floor.want(acs_user_id, is_suspended=is_suspended)

    floor.happened("acs_user.created", acs_user_id)

    path = "/acs/users/suspend" if is_suspended else "/acs/users/unsuspend"
    assert [seen.params for seen in sim.world.requests.list(path)] == [{"acs_user_id": acs_user_id}]
    assert (floor.user(acs_user_id)["sync"], sim.world.users[acs_user_id].is_suspended) == ("in_sync", is_suspended)
