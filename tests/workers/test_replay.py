"""What came before is worked through once more: from the stored body, each event once at a time, in steps."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.event import listen, remove

from seamkeeper import clock, database, dead, journal, replays
from seamkeeper.database import events
from seamkeeper.errors import Permanent
from seamkeeper.queues import RUN_REPLAY
from seamkeeper.replays import BEYOND, IS_FORGOTTEN, IS_WAITING, UNKNOWN, UNREADABLE, Chosen
from seamkeeper.requeue import Requeue
from seamkeeper.rqjob import Job
from simulator.serve import Running
from tests.signing import body_of, event
from tests.workers.concurrent.conftest import a_worker
from tests.workers.conftest import Floor
from workers import replay


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """Our own limit of calls is another test's matter."""
    return {**environ, "SEAMKEEPER_SEAM_RATE": "5000", "SEAMKEEPER_SEAM_BURST": "5000"}


def keep(floor: Floor, acs_user_ids: list[str], number: int, *, status: str = "done", prefix: str = "e") -> list[str]:
    """So many events in the journal about these users, an hour old, oldest first."""
    since, rows = clock.now() - timedelta(hours=1), []
    for index in range(number):
        acs_user_id, name = acs_user_ids[index % len(acs_user_ids)], f"{prefix}{index:06}"
        body = body_of(event("acs_user.created", acs_user_id=acs_user_id, event_id=name)).decode()
        rows.append({
            "event_id": name, "event_type": "acs_user.created", "acs_user_id": acs_user_id, "status": status,
            "source": "webhook", "delivery_id": f"msg_{name}", "body": body, "occurred_at": since,
            "received_at": since + timedelta(milliseconds=index), "settled_at": since,
        })  # fmt: skip
    with floor.engine.begin() as connection:
        connection.execute(insert(events), rows)
    return [row["event_id"] for row in rows]


def begin(floor: Floor, chosen: Chosen, *, rate: int = 60_000) -> int:
    """`seamkeeper replay`, left to the workers."""
    chosen = replays.until_now(chosen)
    with floor.engine.begin() as connection:
        found = replays.plan(connection, Requeue(floor.tools.queues), chosen)
        replay_id = replays.start(connection, chosen, found, rate=rate, by="a test")
    floor.tools.queues.ask_replay(replay_id)
    return replay_id


def row_of(floor: Floor, replay_id: int) -> dict[str, Any]:
    """How far it is."""
    with database.reading(floor.engine) as connection:
        found = replays.find(connection, replay_id)
    assert found is not None
    return found


def plan_of(floor: Floor, chosen: Chosen) -> replays.Plan:
    """`seamkeeper replay --dry-run`."""
    with database.reading(floor.engine) as connection:
        return replays.plan(connection, Requeue(floor.tools.queues), replays.until_now(chosen))


def drain(floor: Floor, redis: Redis) -> None:
    """Our own worker, until nothing is left."""
    while True:
        floor.pull_forward()
        worker = a_worker(redis, ["events", "reconcile", "resync"], concurrency=16)
        if not worker.work(burst=True, logging_level="CRITICAL"):
            return


def step(floor: Floor, replay_id: int) -> None:
    """The job that waits for it takes the next step."""
    redis = floor.redis
    job_id = redis.get(floor.tools.queues.keys.waiting(f"{RUN_REPLAY}:{replay_id}")) or b"nobody"
    redis.lrem("rq:queue:resync", 0, job_id.decode())
    redis.zrem("rq:scheduled:resync", job_id)
    replay.take_step(floor.tools, replay_id, job_id=job_id.decode())


def queued(redis: Redis) -> list[str]:
    """What waits among the events."""
    return [job_id.decode() for job_id in redis.lrange("rq:queue:events", 0, -1)]


@pytest.mark.parametrize(
    ("number", "people"), [(300, 20), pytest.param(10_000, 300, marks=[pytest.mark.proof, pytest.mark.timeout(900)])]
)
def test_on_a_converged_mirror_it_changes_nothing(
    floor: Floor, redis: Redis, sim: Running, acs_system_id: str, number: int, people: int
) -> None:
    """No write at Seam, every user as before, every event in the journal once."""
    users = [sim.world.add_user(acs_system_id=acs_system_id, full_name=f"P {index}") for index in range(people)]
    for name in users:
        floor.want(name, full_name=sim.world.user(name)["full_name"])
        floor.tools.queues.ask_reconcile(name, why="a test", source="test")
    drain(floor, redis)
    keep(floor, users, number)
    before = {name: sim.world.user(name) for name in users}
    sim.world.requests.clear()

    replay_id = begin(floor, Chosen(status="done"))
    drain(floor, redis)

    row, calls = row_of(floor, replay_id), Counter(seen.path for seen in sim.world.requests.list())
    assert (row["state"], row["matched"], row["done"], row["skipped"]) == ("done", number, number, 0)
    assert set(calls) == {"/acs/users/get"}
    assert people <= calls["/acs/users/get"] <= number
    assert {name: sim.world.user(name) for name in users} == before
    with database.reading(floor.engine) as connection:
        counts = journal.count_since(connection, clock.now() - timedelta(days=1))
        sources = set(connection.execute(select(events.c.source)).scalars())
        writes = connection.execute(select(func.count()).select_from(database.actions)).scalar_one()
        handled = connection.execute(
            select(func.count(func.distinct(database.attempts.c.event_id))).where(database.attempts.c.outcome == "ok")
        ).scalar_one()
    assert writes == 0  # the simulator's log forgets the oldest; our audit does not
    assert (counts, sources, handled) == ({"done": number}, {"webhook"}, number)
    assert floor.failed() == []


def test_the_plan_says_why_not(floor: Floor, redis: Redis) -> None:
    """By reasons; the calls are one read for each user at least, one for each event at most."""
    keep(floor, ["u1", "u2"], 6, status="dead")
    keep(floor, ["u1"], 2, status="quarantined", prefix="q")
    keep(floor, ["u3"], 1, status="running", prefix="lost")
    floor.receive(event("acs_user.created", acs_user_id="u1", event_id="e000000"))

    dead_ones, bad = plan_of(floor, Chosen(status="dead", at_most=3)), plan_of(floor, Chosen(status="quarantined"))
    lost, ids = plan_of(floor, Chosen(status="running")), plan_of(floor, Chosen(ids=("e000001", "e000000", "nobody")))

    assert (dead_ones.matched, dead_ones.eligible, dead_ones.why_not) == (6, 3, {IS_WAITING: 1, BEYOND: 2})
    assert (dead_ones.users, dead_ones.reads_at_most) == (2, 3)
    assert (bad.eligible, bad.why_not) == (0, {UNREADABLE: 2})
    assert (lost.eligible, lost.why_not) == (1, {})
    assert (ids.matched, ids.eligible, ids.why_not) == (3, 1, {IS_WAITING: 1, UNKNOWN: 1})


def test_a_dead_event_becomes_its_ordinary_job_again(
    floor: Floor, redis: Redis, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the body as it came, marked as a replay; RQ's failed entry and the deaths are gone, the journal keeps the
    first arrival, and the letter ends."""

    def refuses(*_: Any) -> None:
        raise Permanent("no")

    table: Any = floor.tools.table
    with monkeypatch.context() as patched:
        patched.setitem(table, "acs_user.created", (refuses,))
        died = floor.happened("acs_user.created", sim.world.add_user())
    name = died["event_id"]
    redis.set(f"rq:seamkeeper:deaths:{name}", 3)
    redis.set(f"rq:seamkeeper:seen:{name}", "x")

    replay_id = begin(floor, Chosen(ids=(name,)))
    step(floor, replay_id)
    packed = json.loads(zlib.decompress(redis.hget(f"rq:job:{name}", "data") or b""))
    waits, failed = queued(redis), floor.failed()
    floor.work()

    shown = floor.event(name)
    assert (packed[3]["source"], packed[3]["body"]) == ("replay", died["body"])
    assert (waits, failed, redis.exists(f"rq:seamkeeper:deaths:{name}")) == ([name], [], 0)
    assert (shown["status"], shown["source"], shown["received_at"]) == ("done", "webhook", died["received_at"])
    with database.reading(floor.engine) as connection:
        assert dead.list_open(connection) == []


def test_dead_users_and_jobs_come_again(floor: Floor, redis: Redis, sim: Running) -> None:
    """A user by an ask, a job by its hash; a job that RQ has forgotten is named."""
    acs_user_id = sim.world.add_user()
    sim.world.faults.add(
        "json", path="/acs/users/get", status=400, body={"error": {"type": "x", "message": "no"}}, times=1
    )
    floor.happened("acs_user.created", acs_user_id)
    keeping = {"name": "no-such-system", "why": "a test"}
    floor.enqueue(replay_job("j1", keeping))
    floor.work()
    for name in ("j1", "j2"):
        with floor.engine.begin() as connection:
            dead.write(connection, dead.Subject("job", name, "resync_system"), dead.Failure("why", "seam:5xx"), tries=1)

    found = plan_of(floor, Chosen(status="dead"))
    replay_id = begin(floor, Chosen(status="dead"))
    floor.work()

    row = row_of(floor, replay_id)
    assert (found.matched, found.eligible, found.why_not) == (3, 2, {IS_FORGOTTEN: 1})
    assert (row["done"], row["skipped"]) == (2, 1)
    assert floor.user(acs_user_id)["read_at"]
    with database.reading(floor.engine) as connection:
        assert dead.find_open(connection, "user", acs_user_id) is None


def replay_job(name: str, arguments: dict[str, Any]) -> Any:
    """A job of RQ's, whatever it does."""
    return Job(name, "workers.jobs.resync_system", arguments, name)


def test_users_who_are_not_dead_are_read_afresh(floor: Floor, redis: Redis, sim: Running) -> None:
    """By their ids, as a person chooses them in the list of users: read at Seam, repaired where they drifted."""
    people = [sim.world.add_user(full_name="Jack Doe") for _ in range(2)]
    for acs_user_id in people:
        floor.happened("acs_user.created", acs_user_id)
    floor.want(people[0], full_name="Jane Roe")
    before = [floor.user(acs_user_id)["read_at"] for acs_user_id in people]

    found = plan_of(floor, Chosen(ids=(*people, "nobody")))
    begin(floor, Chosen(ids=(*people, "nobody")))
    floor.work()

    assert (found.eligible, dict(found.kinds), found.users, found.why_not) == (2, {"user": 2}, 2, {UNKNOWN: 1})
    assert sim.world.user(people[0])["full_name"] == "Jane Roe"
    assert all(floor.user(each)["read_at"] > at for each, at in zip(people, before, strict=True))


def test_all_filters_of_the_list_choose(floor: Floor) -> None:
    """Source, access system, tries, and a search; the plan says how old the oldest is, and where it stopped looking."""
    names = keep(floor, ["u1", "u2"], 1200)
    with floor.engine.begin() as connection:
        table = events.c
        connection.execute(update(events).where(table.event_id == names[3]).values(source="backfill", tries=3))
        connection.execute(update(events).where(table.event_id == names[5]).values(acs_system_id="s9"))

    counts = [
        plan_of(floor, chosen).matched
        for chosen in (
            Chosen(source="backfill"), Chosen(source="webhook"), Chosen(tries_at_least=2), Chosen(tries_at_least=4),
            Chosen(acs_system_id="s9"), Chosen(search=names[7]), Chosen(search="u1"), Chosen(search=f"msg_{names[8]}"),
            Chosen(status="dead", source="backfill"),
        )
    ]  # fmt: skip
    with database.reading(floor.engine) as connection:
        some = replays.plan(connection, Requeue(floor.tools.queues), Chosen(status="done"), look_at=1000)
        whole = replays.plan(connection, Requeue(floor.tools.queues), Chosen(status="done"), look_at=1200)
        [oldest] = journal.list_events(connection, search=names[0])

    assert counts == [1, 1199, 1, 0, 1, 1, 600, 1, 0]
    assert (some.matched, some.is_whole, whole.matched, whole.is_whole) == (1000, False, 1200, True)
    assert some.oldest_at == clock.parse(oldest["received_at"])


def test_an_event_that_waits_is_passed_over(floor: Floor, redis: Redis) -> None:
    """Never two jobs of one event; asked for twice is queued once."""
    names = keep(floor, ["u1"], 3)
    first, second = begin(floor, Chosen(ids=tuple(names))), begin(floor, Chosen(ids=tuple(names)))

    for replay_id in (first, second):
        step(floor, replay_id)

    assert queued(redis) == names
    assert [(row_of(floor, each)["done"], row_of(floor, each)["skipped"]) for each in (first, second)] == [
        (3, 0),
        (0, 3),
    ]


def test_it_stops_and_goes_on_where_it_was(floor: Floor, redis: Redis) -> None:
    """At its rate, in its order, each once; `done` when nothing is left."""
    names = keep(floor, ["u1"], 50)
    replay_id = begin(floor, Chosen(status="done"), rate=600)
    step(floor, replay_id)
    with floor.engine.begin() as connection:
        stopped = replays.stop(connection, replay_id)
    step(floor, replay_id)
    at_stop, waits = row_of(floor, replay_id), queued(redis)
    with floor.engine.begin() as connection:
        resumed = replays.resume(connection, replay_id)
    floor.tools.queues.ask_replay(replay_id)
    for _ in range(3):
        step(floor, replay_id)

    assert (stopped, resumed) == (True, True)
    assert (at_stop["state"], at_stop["done"], waits) == ("stopped", 20, names[:20])
    assert queued(redis) == names
    assert (row_of(floor, replay_id)["state"], row_of(floor, replay_id)["done"]) == ("done", 50)


def test_no_more_than_asked_for(floor: Floor, redis: Redis) -> None:
    """`--max`."""
    names = keep(floor, ["u1"], 30)
    replay_id = begin(floor, Chosen(status="done", at_most=25), rate=600)
    for _ in range(2):
        step(floor, replay_id)

    assert queued(redis) == names[:25]
    assert (row_of(floor, replay_id)["state"], row_of(floor, replay_id)["done"]) == ("done", 25)


def test_it_stands_back_while_live_events_wait(floor: Floor, redis: Redis) -> None:
    """Then it looks again a little later."""
    keep(floor, ["u1"], 5)
    redis.rpush("rq:queue:events", *(f"live{number}" for number in range(150)))
    replay_id = begin(floor, Chosen(status="done"), rate=600)

    step(floor, replay_id)

    assert (row_of(floor, replay_id)["state"], row_of(floor, replay_id)["done"]) == ("running", 0)
    assert redis.llen("rq:queue:events") == 150
    assert redis.zcard("rq:scheduled:resync") == 1


def test_two_steps_at_once_are_one(floor: Floor, redis: Redis) -> None:
    """The second job ends; the same job that comes back after its worker died goes on."""
    keep(floor, ["u1"], 5)
    replay_id = begin(floor, Chosen(status="done"))
    redis.flushall()  # nobody waits for the step
    assert floor.tools.queues.replay_begins(replay_id, job_id="dead")

    replay.take_step(floor.tools, replay_id, job_id="other")
    beside = row_of(floor, replay_id)["done"]
    replay.take_step(floor.tools, replay_id, job_id="dead")

    assert (beside, row_of(floor, replay_id)["done"]) == (0, 5)


FILTERS = [
    Chosen(status="dead"), Chosen(status="dead", cause="x"), Chosen(event_type="acs_user.created"),
    Chosen(acs_user_id="u1"), Chosen(since=clock.now() - timedelta(days=1)), Chosen(ids=("e000001", "e000002")),
    Chosen(acs_system_id="none"), Chosen(source="backfill"), Chosen(tries_at_least=2), Chosen(search="e000001"),
    Chosen(search="Jack"),
]  # fmt: skip


@pytest.mark.parametrize("chosen", FILTERS, ids=lambda chosen: "-".join(sorted(chosen.as_json())))
def test_an_index_leads_to_every_page(floor: Floor, chosen: Chosen) -> None:
    """The planner reads no table from end to end, from no place on."""
    keep(floor, [f"u{number}" for number in range(50)], 3000)
    with floor.engine.begin() as connection:
        for number in range(200):
            dead.write(connection, dead.Subject("user", f"u{number}", "x"), dead.Failure("x", "x"), tries=1)
        if floor.engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
    seen: list[tuple[str, Any]] = []

    def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    with floor.engine.connect() as connection:
        listen(connection, "before_cursor_execute", remember)
        for place in (None, ["events", clock.iso(clock.now() - timedelta(minutes=60)), "e000001"], ["letters", 5]):
            replays.page(connection, chosen, None if chosen.ids else place, limit=20)
        remove(connection, "before_cursor_execute", remember)
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        plans = [str(connection.exec_driver_sql(explain + sql, values).all()) for sql, values in seen]

    assert not [plan for plan in plans if "Seq Scan on events" in plan or "SCAN events'" in plan], plans
