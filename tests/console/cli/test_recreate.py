"""`seamkeeper recreate`: a person decides, the workers do it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine

from seamkeeper import clock, database, mirror, recreations
from tests.console.web.conftest import keep_user

from .conftest import Seamkeeper

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def gone(engine: Engine, acs_user_id: str, *, is_asked: bool = False) -> None:
    """Somebody who is gone and still desired."""
    keep_user(engine, acs_user_id, name="Jack Doe", wanted={"full_name": "Jack Doe"})
    with engine.begin() as connection:
        mirror.bury(connection, acs_user_id, read_at=clock.now() + timedelta(seconds=1), reason="Seam answered 404")
        found = recreations.gone_user(connection, acs_user_id)
        assert found is not None
        if is_asked:
            recreations.ask(connection, found, state="asked", by=recreations.POLICY, reason="policy: ask")


def state(engine: Engine, acs_user_id: str) -> tuple[str, str] | None:
    """Of the newest recreation, and who asked for it."""
    with database.reading(engine) as connection:
        found = recreations.latest(connection, acs_user_id)
    return (found.state, found.asked_by) if found else None


def test_approved(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """With who approved; the user is looked at, which does the rest."""
    gone(engine, "u1", is_asked=True)

    said = seamkeeper("recreate", "u1", "--yes", "--by", "Mina")

    assert (said.code, said.out) == (0, "")
    assert state(engine, "u1") == ("approved", "Mina")
    assert redis.llen("rq:queue:reconcile") == 1


def test_it_needs_a_yes(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Nobody is made by a script that forgot to say so."""
    gone(engine, "u1")

    said = seamkeeper("recreate", "u1")

    assert said.code == 2
    assert "needs --yes" in said.err
    assert state(engine, "u1") is None


def test_who_is_there_is_not_made_anew(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Refused with the reason; partly is 3."""
    gone(engine, "u1")
    keep_user(engine, "u2", wanted={"full_name": "Jack Doe"})

    some = seamkeeper("recreate", "u1", "u2", "--yes")
    none = seamkeeper("recreate", "u2", "nobody", "--yes")

    assert (some.code, none.code) == (3, 1)
    assert "Refused: u2 is not gone" in some.err
    assert state(engine, "u1") is not None
    assert state(engine, "u2") is None


def test_who_waits_for_a_person(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Without any user named."""
    empty = seamkeeper("recreate")
    gone(engine, "u1", is_asked=True)

    table, shown = seamkeeper("recreate").out, seamkeeper("recreate", "--json").json

    assert (empty.code, empty.out, empty.err) == (0, "", "Nobody waits to be made anew.\n")
    assert all(word in table for word in ("u1", "Jack Doe", "policy: ask"))
    assert [(row["acs_user_id"], row["state"]) for row in shown] == [("u1", "asked")]
