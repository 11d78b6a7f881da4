"""People who went, and what became of them: for the tests of recreating."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from seamkeeper import clock, database, policies, recreations
from seamkeeper.database import recreations as rows
from simulator.serve import Running
from tests.workers.conftest import Floor

CREATE = "/acs/users/create"
RECREATE = {
    "SEAMKEEPER_RECREATE": "auto",
    "SEAMKEEPER_RECREATE_BUDGET": "2",
    "SEAMKEEPER_REREAD_DELAYS": "1,1,1",
    "SEAMKEEPER_SEAM_TIMEOUT_SECONDS": "5",
}


def creates(sim: Running) -> list[dict[str, Any]]:
    """The bodies of the creates that Seam was sent."""
    return [seen.params for seen in sim.world.requests.list(CREATE)]


def living(sim: Running, acs_system_id: str, name: str) -> list[str]:
    """Ids of the users of this name at Seam."""
    found = [user for user in sim.world.users.values() if user.acs_system_id == acs_system_id]
    return [user.acs_user_id for user in found if user.full_name == name and not user.has("deleted_externally")]


def known(floor: Floor, sim: Running, acs_system_id: str, name: str = "Jack Doe", **values: Any) -> str:
    """Somebody who is there, read, and desired by name."""
    acs_user_id = sim.world.add_user(acs_system_id=acs_system_id, full_name=name, **values)
    floor.want(acs_user_id, full_name=name)
    floor.happened("acs_user.created", acs_user_id)
    return acs_user_id


def gone(floor: Floor, sim: Running, acs_system_id: str, name: str = "Jack Doe", **values: Any) -> str:
    """The same person, deleted, and looked at once."""
    acs_user_id = known(floor, sim, acs_system_id, name, **values)
    sim.world.delete_at_provider(acs_user_id)
    look(floor, acs_user_id)
    return acs_user_id


def look(floor: Floor, acs_user_id: str) -> None:
    """One reconcile of the user, with all that waits."""
    floor.tools.queues.ask_reconcile(acs_user_id, why="a test", source="resync")
    floor.work(include_later=False)


def time_passes(floor: Floor, by: timedelta = timedelta(hours=2)) -> None:
    """As if what stands in `recreations` had been written earlier; then all later looks are due, a few times."""
    with floor.engine.begin() as connection:
        for row in connection.execute(select(rows)).mappings().all():
            earlier = {name: row[name] - by for name in ("asked_at", "intended_at") if row[name]}
            connection.execute(update(rows).where(rows.c.recreation_id == row["recreation_id"]).values(earlier))
    floor.work(rounds=3)


def states(floor: Floor, acs_user_id: str) -> list[str]:
    """Of the user's recreations, the oldest first."""
    with database.reading(floor.engine) as connection:
        query = select(rows.c.state).where(rows.c.acs_user_id == acs_user_id).order_by(rows.c.recreation_id)
        return list(connection.execute(query).scalars())


def codes(floor: Floor, acs_user_id: str) -> list[str]:
    """What is open on the user."""
    return [issue["code"] for issue in floor.user(acs_user_id)["issues"]]


def approve(floor: Floor, acs_user_id: str) -> None:
    """As the command line does it."""
    with floor.engine.begin() as connection:
        recreations.approve(connection, acs_user_id, by="a person")
    look(floor, acs_user_id)
    floor.work(rounds=3)


def set_policy(floor: Floor, scope: str, subject_id: str, **values: Any) -> None:
    """What is said beside the settings."""
    with floor.engine.begin() as connection:
        policies.set_policy(connection, scope, subject_id, by="a test", **values)


def make_now(floor: Floor) -> None:
    """The grace is over and the call is made; no later look is taken."""
    with floor.engine.begin() as connection:
        connection.execute(update(rows).values(asked_at=clock.now() - timedelta(hours=1)))
    floor.pull_forward()
    floor.work(include_later=False)
