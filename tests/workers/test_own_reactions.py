"""A customer's own reactions: found and checked at start, each a job of its own per event or change."""

from __future__ import annotations

import re
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

from seamkeeper import attempts, clock, database
from seamkeeper.accept import event_job
from seamkeeper.errors import ConfigurationError, Permanent, Temporary
from seamkeeper.queues import Queues
from simulator.serve import Running
from tests.signing import body_of, event
from tests.workers.conftest import Floor
from workers.interface import Change, Event, Toolbox
from workers.reactions import REACTIONS, load_table, own
from workers.watchdog import Watchdog

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Install = Callable[..., None]


def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """As if it had been written in the module `house_rules` under this name."""
    function.__module__, function.__qualname__ = "house_rules", name
    return function


@pytest.fixture
def house_rules(monkeypatch: pytest.MonkeyPatch) -> Callable[..., types.ModuleType]:
    """Makes the module `house_rules` with this table."""

    def make(reactions: Any) -> types.ModuleType:
        module = types.ModuleType("house_rules")
        monkeypatch.setattr(module, "REACTIONS", reactions, raising=False)
        monkeypatch.setitem(sys.modules, "house_rules", module)
        return module

    return make


@pytest.fixture
def install(floor: Floor, house_rules: Callable[..., types.ModuleType]) -> Iterator[Install]:
    """Gives the workers these own reactions to one happening, by their names."""

    def into_table(happening: str, **functions: Callable[..., Any]) -> None:
        house_rules({happening: tuple(named(name, each) for name, each in functions.items())})
        assert isinstance(floor.tools.table, dict)
        floor.tools.table.clear()
        floor.tools.table.update(load_table(["house_rules"]))

    yield into_table


def outcomes(floor: Floor, event_id: str) -> dict[str, list[str]]:
    """Job -> how its tries ended."""
    found: dict[str, list[str]] = {}
    for each in floor.event(event_id)["attempts"]:
        found.setdefault(each["job"], []).append(each["outcome"])
    return found


@on_sqlite
def test_a_failing_one_neither_stops_nor_repeats_the_others_nor_ours(
    floor: Floor, sim: Running, install: Install
) -> None:
    """Each has tries and an end of its own, which the event shows; what we do about the event is done."""
    heard: list[str] = []

    def later(happening: Event, tools: Toolbox) -> None:
        heard.append("later")
        if heard.count("later") == 1:
            raise Temporary("the house is asleep")

    def fine(happening: Event, tools: Toolbox) -> None:
        heard.append("fine")

    def never(happening: Event, tools: Toolbox) -> None:
        heard.append("never")
        raise Permanent("the house does not want to know")

    def slip(happening: Event, tools: Toolbox) -> None:
        raise KeyError("Jane Doe")

    install("acs_user.created", never=never, slip=slip, fine=fine, later=later)
    acs_user_id = sim.world.add_user(full_name="Jack Doe")

    shown = floor.happened("acs_user.created", acs_user_id)

    assert shown["status"] == "done"
    assert sorted(heard) == ["fine", "later", "later", "never"]
    assert outcomes(floor, shown["event_id"]) == {
        "handle_event": ["ok"],
        "house_rules.fine": ["ok"],
        "house_rules.later": ["retry", "ok"],
        "house_rules.never": ["dead"],
        "house_rules.slip": ["retry", "retry", "retry", "dead"],
    }
    assert floor.user(acs_user_id)["observed"]["full_name"] == "Jack Doe"
    assert len(floor.failed()) == 2
    reasons = {each["job"]: each["reason"] for each in shown["attempts"] if each["outcome"] == "dead"}
    assert reasons["house_rules.never"] == "the house does not want to know"
    assert "Jane" not in reasons["house_rules.slip"]


@on_sqlite
def test_a_dead_one_has_its_reason_in_rqs_failed_registry(floor: Floor, install: Install) -> None:
    """Where every tool of RQ's shows it."""

    def never(happening: Event, tools: Toolbox) -> None:
        raise Permanent("the house does not want to know")

    install("lock.unlocked", never=never)
    floor.receive(event("lock.unlocked"))
    floor.work()

    (job_id,) = floor.failed()
    job = Job.fetch(job_id, connection=floor.redis, serializer=JSONSerializer)
    result = job.latest_result()
    assert result is not None
    assert "the house does not want to know" in str(result.exc_string)
    assert (job.func_name, job.kwargs["name"]) == ("workers.jobs.run_own_reaction", "house_rules.never")


@on_sqlite
def test_our_own_failure_does_not_ask_twice(floor: Floor, install: Install, sim: Running) -> None:
    """Theirs runs while ours is tried again, and once only: the retry asks for nothing anew."""
    heard: list[str] = []
    install("acs_credential.issued", mine=lambda happening, _tools: heard.append(happening.event_id))
    sim.world.faults.add("status", path="/acs/credentials/get", status=503, times=2)

    event_id = floor.receive(event("acs_credential.issued", acs_credential_id=str(uuid.uuid4())))
    floor.work()

    assert outcomes(floor, event_id)["handle_event"] == ["retry", "retry", "ok"]
    assert heard == [event_id]


@on_sqlite
def test_a_crash_between_asking_and_settling_loses_nothing(
    floor: Floor, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event is handled again; who was asked for is not asked again, who was not is."""
    heard: list[str] = []
    install("lock.unlocked", first=lambda _h, _t: heard.append("first"), last=lambda _h, _t: heard.append("last"))
    ask, asked = Queues.ask_own_reaction, list[str]()

    def dies_once(self: Queues, name: str, *rest: Any, **options: Any) -> bool:
        asked.append(name)
        if asked == ["house_rules.first", "house_rules.last"]:
            raise ConnectionError("killed here")
        return ask(self, name, *rest, **options)

    monkeypatch.setattr(Queues, "ask_own_reaction", dies_once)
    event_id = floor.receive(event("lock.unlocked"))
    floor.work()

    assert sorted(heard) == ["first", "last"]
    assert floor.event(event_id)["status"] == "done"


@on_sqlite
def test_a_replay_asks_again(floor: Floor, install: Install) -> None:
    """A job of its own later on, about the same event; and again after a dead one, which leaves the failed registry."""
    heard: list[str] = []

    def mine(happening: Event, tools: Toolbox) -> None:
        heard.append(happening.event_id)
        if len(heard) == 2:
            raise Permanent("not this time")

    install("lock.unlocked", mine=mine)
    payload = event("lock.unlocked")
    name = floor.receive(payload)
    floor.work()
    failed = []
    for number in (1, 2):
        body = body_of(payload).decode()
        job = event_job(name, "lock.unlocked", body, received_at=clock.now(), source="replay", delivery=str(number))
        floor.enqueue(job)
        floor.work()
        failed.append(len(floor.failed()))

    assert heard == [name] * 3
    assert failed == [1, 0]


@on_sqlite
def test_a_change_of_a_user_is_a_job_for_each_function(floor: Floor, sim: Running, install: Install) -> None:
    """With the user, the detail and the source; a failing one is tried again alone."""
    heard: list[tuple[str, Any]] = []

    def slow(change: Change, tools: Toolbox) -> None:
        heard.append(("slow", change.acs_user_id))
        if len(heard) < 3:
            raise Temporary("not now")

    install("acs_user.drifted", quick=lambda change, _tools: heard.append(("quick", change)), slow=slow)
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    floor.happened("acs_user.created", acs_user_id)

    quick = [what for name, what in heard if name == "quick"]
    assert quick == [Change("acs_user.drifted", acs_user_id, {"fields": ["full_name"]}, "webhook")]
    assert [name for name, _ in heard].count("slow") >= 2
    assert floor.user(acs_user_id)["sync"] == "in_sync"
    assert floor.failed() == []


@on_sqlite
def test_a_reaction_that_was_removed_is_dead_with_a_clear_reason(floor: Floor, install: Install) -> None:
    """Its job waited while a release without it came in."""
    install("lock.unlocked", gone=lambda _happening, _tools: None)
    event_id = floor.receive(event("lock.unlocked"))
    run = own.find
    try:
        own.find = lambda reactions, name, happening: run((), name, happening)
        floor.work()
    finally:
        own.find = run

    dead = [each for each in floor.event(event_id)["attempts"] if each["outcome"] == "dead"]
    assert [each["reason"].partition(":")[0] for each in dead] == [
        "there is no reaction house_rules.gone to lock.unlocked in this release"
    ]
    assert len(floor.failed()) == 1


def test_the_toolbox(floor: Floor, sim: Running, install: Install) -> None:
    """What is seen of a user, what shall be of one, and what Seam would refuse."""
    seen: list[Any] = []

    def move_in(change: Change, tools: Toolbox) -> None:
        seen.append((tools.user(change.acs_user_id) or {})["observed"]["full_name"])
        tools.desire(change.acs_user_id, {"full_name": "Jane Doe"})

    def wrong(change: Change, tools: Toolbox) -> None:
        tools.desire(change.acs_user_id, {"phone_number": "12", "hair_colour": "red"})

    install("acs_user.appeared", move_in=move_in, wrong=wrong)
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id)

    assert seen == ["Jack Doe"]
    assert floor.user(acs_user_id)["observed"]["full_name"] == "Jane Doe"
    with database.reading(floor.engine) as connection:
        tries = attempts.of(connection, acs_user_id=acs_user_id)
    (reason,) = (each["reason"] for each in tries if each["outcome"] == "dead")
    assert "hair_colour is not a field that can be managed" in reason
    assert "phone_number must be in E.164 form" in reason


def test_own_ones_stand_before_ours_and_both_ways_lead_in(
    monkeypatch: pytest.MonkeyPatch, house_rules: Callable[..., types.ModuleType]
) -> None:
    """By an entry point that names the module or its table, or by SEAMKEEPER_REACTIONS; both at once is once."""
    mine = named("mine", lambda _happening, _tools: None)
    module = house_rules({"acs_user.created": (mine,), "lock.unlocked": [mine]})
    for value in ("house_rules", "house_rules:REACTIONS"):
        point = EntryPoint("house", value, own.GROUP)
        monkeypatch.setattr(own, "entry_points", lambda group, point=point: [point])

        table = load_table(["house_rules"])

        expected = own.Own("house_rules.mine", module.REACTIONS["lock.unlocked"][0])
        assert table["acs_user.created"] == (expected, *REACTIONS["acs_user.created"])
        assert table["lock.unlocked"] == (expected,)


async def asleep(happening: Any, tools: Any) -> None:
    """Nobody would await it."""


def alone(happening: Any) -> None:
    """Cannot be called with the tools."""


def one(happening: Any, tools: Any) -> None:
    """A reaction."""


def other(happening: Any, tools: Any) -> None:
    """Another one that claims the first one's name."""


other.__qualname__ = "one"


@pytest.mark.parametrize(
    ("reactions", "words"),
    [
        pytest.param(None, "no dict REACTIONS", id="no-table"),
        pytest.param({"lock.unlocked": one}, "must be a tuple of functions", id="no-tuple"),
        pytest.param({"lock.unlocked": (lambda h, t: None,)}, "no name of its own", id="lambda"),
        pytest.param({"lock.unlocked": ("one",)}, "no name of its own", id="no-function"),
        pytest.param({"lock.unlocked": (asleep,)}, "no plain function", id="async"),
        pytest.param({"lock.unlocked": (alone,)}, "must take two arguments", id="one-argument"),
        pytest.param({"a.b": (one,), "c.d": (other,)}, "two functions named", id="same-name"),
    ],
)
def test_a_table_that_cannot_work_is_found_at_start(
    house_rules: Callable[..., types.ModuleType], reactions: Any, words: str
) -> None:
    """Not with the first event; the module is named."""
    house_rules(reactions)

    with pytest.raises(ConfigurationError, match=f"house_rules.*{words}"):
        load_table(["house_rules"])


def test_a_module_that_cannot_be_imported_is_found_at_start() -> None:
    """With what Python said about it."""
    with pytest.raises(
        ConfigurationError, match=r"there_is\.no_such_module could not be imported: ModuleNotFoundError"
    ):
        load_table(["there_is.no_such_module"])


@pytest.mark.parametrize("document", ["README.md", "docs/reactions.md"])
@on_sqlite
def test_what_the_documents_show_works(
    floor: Floor, sim: Running, document: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The module as it is printed there, named by SEAMKEEPER_REACTIONS."""
    text = (Path(__file__).parents[2] / document).read_text(encoding="utf-8")
    block = re.search(r"```python\n(# house_rules\.py\n.*?)```", text, flags=re.DOTALL)
    assert block is not None
    (tmp_path / "house_rules.py").write_text(block[1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "house_rules", raising=False)
    floor.tools.table.update(load_table(["house_rules"]))  # type: ignore[attr-defined]
    sys.modules.pop("house_rules")
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    sim.world.raise_error(acs_user_id, "failed_to_create_on_acs_system")

    floor.happened("acs_user.created", acs_user_id)

    with database.reading(floor.engine) as connection:
        tries = attempts.of(connection, acs_user_id=acs_user_id)
    assert [each["outcome"] for each in tries if each["job"] == "house_rules.call_the_caretaker"] == ["ok"]


@on_sqlite
def test_what_redis_forgot_is_asked_for_again_where_it_did_not_run(
    floor: Floor, sim: Running, install: Install
) -> None:
    """Of two events that were settled, one had its reaction run before Redis was emptied, the other's was lost."""
    heard: list[str] = []

    def tell(happening: Event, tools: Toolbox) -> None:
        heard.append(happening.event_id)

    install("acs_system.added", tell=tell)
    system = sim.world.acs_system_id
    watchdog = Watchdog(floor.tools)
    watchdog.look()
    ran = floor.receive(event("acs_system.added", acs_system_id=system))
    floor.work()
    lost = floor.receive(event("acs_system.added", acs_system_id=system))
    _work_only_events(floor)
    assert floor.event(lost)["status"] == "done"
    floor.redis.flushall()

    watchdog.look()
    watchdog.look()
    floor.work()

    assert heard == [ran, lost]


def _work_only_events(floor: Floor) -> None:
    queue = Queue("events", connection=floor.redis, serializer=JSONSerializer)
    SimpleWorker([queue], connection=floor.redis, serializer=JSONSerializer).work(burst=True, logging_level="ERROR")
