"""The circuit of an access system: when it opens, who is let through, and that nobody who was parked is forgotten."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from rq.job import Job
from rq.registry import ScheduledJobRegistry
from rq.serializers import JSONSerializer

from seamkeeper import orders, seam_limits
from seamkeeper.errors import Parked, Permanent, Postponed, Temporary
from seamkeeper.keys import Keys
from seamkeeper.queues import RECONCILE, RESYNC, RESYNC_SYSTEM, Queues
from seamkeeper.rqjob import Terms
from seamkeeper.settings import Settings
from simulator.serve import Running
from tests.signing import event
from tests.stack import eventually
from tests.workers.conftest import Floor
from workers.circuit import Circuits
from workers.concurrent import deadline
from workers.seam_errors import NoAnswer, NotFound

SYSTEM, KEYS = "system-1", Keys()


@pytest.fixture
def circuits(queues: Queues) -> Circuits:
    """As one worker process has them."""
    return Circuits(queues, Settings())


def call(circuits: Circuits, error: Exception | None = None, *, kind: str = "read", user: str = "u1") -> str:
    """One call that ends so; gives what became of it: `called`, `parked` or `postponed`."""
    try:
        with circuits.passing(SYSTEM, user, kind=kind):
            if error:
                raise error
    except Parked:
        return "parked"
    except Postponed:
        return "postponed"
    except (Temporary, Permanent):
        pass
    return "called"


def fail(circuits: Circuits, times: int = 5, *, kind: str = "read") -> None:
    """So many calls without an answer."""
    for _ in range(times):
        call(circuits, NoAnswer("GET: 503"), kind=kind)


def cool_off_ends(redis: Redis, name: str = SYSTEM) -> None:
    """Its time is Redis' own, so the stamp is moved."""
    redis.hset(KEYS.circuit(name), "until", 1)


def rest(redis: Redis) -> float:
    """Seconds until a probe is let through."""
    (found,) = seam_limits.open_circuits(redis, KEYS)
    seconds, _ = redis.time()
    return found.next_probe_at.timestamp() - seconds


def test_five_failures_in_a_row_open_it_for_all_workers(circuits: Circuits, redis: Redis) -> None:
    """Also for a process that has not seen one of them; another system's stays closed."""
    neighbour = Circuits(Queues(redis, keys=KEYS, terms=Terms()), Settings())

    fail(circuits, 4)
    before = call(neighbour, NoAnswer("GET: no answer"))
    after = call(neighbour)

    assert (before, after) == ("called", "parked")
    assert [found.acs_system_id for found in seam_limits.open_circuits(redis, KEYS)] == [SYSTEM]
    with neighbour.passing("system-2", "u2", kind="read"):
        pass


def test_an_answer_begins_the_row_anew(circuits: Circuits) -> None:
    """Four failures, an answer, four failures: closed."""
    fail(circuits, 4)
    call(circuits)
    fail(circuits, 4)

    assert not circuits.is_open(SYSTEM)


def test_a_system_that_is_read_well_and_fails_at_every_write_is_broken(circuits: Circuits) -> None:
    """Reads and writes are counted apart."""
    for _ in range(5):
        call(circuits)
        fail(circuits, 1, kind="write")

    assert circuits.is_open(SYSTEM)


@pytest.mark.parametrize(
    "error",
    [
        Temporary("401, Seam does not accept the API key"),
        Temporary("429"),
        Permanent("400 invalid_input"),
        NotFound("404"),
        Postponed("our rate is used up"),
        RuntimeError("a bug of ours"),
    ],
    ids=["401", "429", "400", "404", "postponed", "bug"],
)
def test_what_is_no_failure_of_the_system_does_not_open_it(circuits: Circuits, error: Exception) -> None:
    """However often."""
    for _ in range(20):
        with suppress(RuntimeError):
            call(circuits, error)

    assert not circuits.is_open(SYSTEM)


def test_one_probe_at_a_time_and_its_success_closes(circuits: Circuits, redis: Redis) -> None:
    """While one call is tried the others are parked."""
    fail(circuits)
    cool_off_ends(redis)

    with circuits.passing(SYSTEM, "u1", kind="read"):
        (shown,) = seam_limits.open_circuits(redis, KEYS)
        meanwhile = call(circuits, user="u2")

    assert (shown.state, meanwhile) == ("probing", "parked")
    assert call(circuits) == "called"
    assert seam_limits.open_circuits(redis, KEYS) == []


def test_the_cool_off_doubles_up_to_ten_minutes(circuits: Circuits, redis: Redis) -> None:
    """±20 %, and never more than ten; who opens again soon after closing goes on where it was."""
    fail(circuits)
    rests = [rest(redis)]
    for _ in range(6):
        cool_off_ends(redis)
        fail(circuits, 1)
        rests.append(rest(redis))
    cool_off_ends(redis)
    call(circuits)
    fail(circuits)
    again = rest(redis)

    for seconds, expected in zip(rests, [30, 60, 120, 240, 480, 600, 600], strict=True):
        assert expected * 0.8 - 10 <= seconds <= min(expected * 1.2, 600) + 1
    assert again >= 600 * 0.8 - 10


@pytest.mark.parametrize("error", [Temporary("429"), RuntimeError("a bug")], ids=["429", "bug"])
def test_a_probe_that_tells_nothing_lets_another_come_soon(circuits: Circuits, redis: Redis, error: Exception) -> None:
    """It neither closes nor doubles, and does not keep the place of the probe."""
    fail(circuits)
    cool_off_ends(redis)

    with suppress(RuntimeError):
        call(circuits, error)

    assert circuits.is_open(SYSTEM)
    assert rest(redis) <= 6


def test_a_probe_that_was_killed_does_not_keep_its_place(circuits: Circuits, redis: Redis) -> None:
    """Its time is over with the longest job."""
    fail(circuits)
    cool_off_ends(redis)

    with circuits.passing(SYSTEM, "u1", kind="read"):  # and from here on it is not heard of
        redis.hset(KEYS.circuit(SYSTEM), "probe_until", 1)
        another = call(circuits)

    assert another == "called"


def test_a_call_that_began_before_it_opened_changes_nothing(circuits: Circuits, redis: Redis) -> None:
    """Neither a late failure nor a late success speaks of the time since."""
    with circuits.passing(SYSTEM, "u1", kind="read"):
        with suppress(NoAnswer), circuits.passing(SYSTEM, "u1", kind="read"):
            fail(circuits)
            (before,) = seam_limits.open_circuits(redis, KEYS)
            raise NoAnswer("late")
        (after,) = seam_limits.open_circuits(redis, KEYS)

    assert circuits.is_open(SYSTEM)
    assert after.next_probe_at == before.next_probe_at


def test_many_parked_users_are_let_go_in_bounded_batches(circuits: Circuits, redis: Redis) -> None:
    """A run lets two thousand go, the next one the rest: a job each in the queue `resync`, and one for the system."""
    fail(circuits)
    people = {f"u{number}" for number in range(2_500)}
    for person in people:
        assert call(circuits, user=person) == "parked"
    circuits.close(SYSTEM, why="a test")

    first = circuits.release(SYSTEM, why="a test")
    queued = redis.llen(KEYS.queue(RESYNC))
    second = circuits.release(SYSTEM, why="a test")

    assert (first, queued, second) == (False, 2_000, True)
    assert redis.llen(KEYS.queue(RESYNC)) == len(people) + 1
    assert not redis.exists(KEYS.parked(SYSTEM))


def test_who_is_parked_anew_while_the_parked_are_let_go_stays(
    circuits: Circuits, redis: Redis, queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that was just asked for may find the circuit open again before its user is taken out."""
    fail(circuits)
    call(circuits, user="u1")
    ask = queues.ask_reconcile

    def ask_and_run(acs_user_id: str, **how: Any) -> str:
        job_id = ask(acs_user_id, **how)
        assert call(circuits, user=acs_user_id) == "parked"
        return job_id

    monkeypatch.setattr(queues, "ask_reconcile", ask_and_run)
    monkeypatch.setattr("workers.circuit._BATCHES", 1)

    is_all = circuits.release(SYSTEM, why="a test")

    assert is_all is False
    assert redis.hkeys(KEYS.parked(SYSTEM)) == [b"u1"]


def test_parking_asks_for_one_probe_however_many_are_parked(circuits: Circuits, redis: Redis) -> None:
    """And for another one when somebody deleted it."""
    fail(circuits)
    for number in range(20):
        call(circuits, user=f"u{number}")
    (job_id,) = redis.zrange(KEYS.scheduled(RECONCILE), 0, -1)
    redis.delete(KEYS.job(job_id.decode()))
    redis.delete(KEYS.scheduled(RECONCILE))

    call(circuits, user="u1")

    assert redis.zcard(KEYS.scheduled(RECONCILE)) == 1


# The whole way, with real jobs at the simulator.


def a_system(floor: Floor, sim: Running, *, users: int = 2) -> tuple[str, list[str]]:
    """An access system whose users we hold, and of each of whom something is desired."""
    system = sim.world.add_system("A House")
    people = [sim.world.add_user(acs_system_id=system, full_name="Jack Doe") for _ in range(users)]
    for person in people:
        floor.want(person, full_name="Jack Doe")
        floor.receive(event("acs_user.created", acs_user_id=person, acs_system_id=system))
    floor.work(include_later=False)
    return system, people


def broken(floor: Floor, sim: Running, system: str, people: list[str]) -> None:
    """Its calls fail, its circuit is open, and all its people are parked."""
    sim.world.faults.add(status=503, acs_system_id=system)
    for _ in range(5):
        with suppress(Temporary):
            floor.tools.seam.get_user(people[0], system)
    for person in people:
        floor.receive(event("acs_user.created", acs_user_id=person, acs_system_id=system))
    floor.work(include_later=False)
    assert floor.tools.circuits.is_open(system)


def parked(floor: Floor, system: str) -> set[str]:
    """The ids."""
    return {name.decode() for name in floor.redis.hkeys(KEYS.parked(system))}


def scheduled(redis: Redis, queue: str) -> list[Job]:
    """The jobs of a queue that wait for their time."""
    ids = ScheduledJobRegistry(queue, connection=redis).get_job_ids()
    return [Job.fetch(each, connection=redis, serializer=JSONSerializer) for each in ids]


def test_users_of_a_broken_system_are_parked_without_a_call_and_repaired_when_it_is_back(
    floor: Floor, sim: Running
) -> None:
    """Nobody asks again for them but the probe."""
    system, people = a_system(floor, sim)
    broken(floor, sim, system, people)
    calls = len(sim.world.requests.list("/acs/users/get"))
    waiting = parked(floor, system)
    for person in people:
        sim.world.edit_at_provider(person, full_name="Edited meanwhile")
    floor.receive(event("acs_user.created", acs_user_id=people[0], acs_system_id=system))
    floor.work(include_later=False)

    assert waiting == set(people)
    assert len(sim.world.requests.list("/acs/users/get")) == calls
    sim.world.faults.clear()
    cool_off_ends(floor.redis, system)
    floor.work()
    assert {floor.user(person)["observed"]["full_name"] for person in people} == {"Jack Doe"}
    assert not parked(floor, system)
    assert not floor.tools.circuits.is_open(system)
    assert floor.failed() == []


@pytest.mark.parametrize("mode", [orders.DRY, orders.ordered()])
def test_a_look_that_somebody_waits_for_is_not_parked(floor: Floor, sim: Running, mode: str) -> None:
    """Let go it would be an ordinary one: a plan would write, an order would be done hours later."""
    system, people = a_system(floor, sim)
    broken(floor, sim, system, people)
    floor.redis.delete(KEYS.parked(system))

    floor.tools.queues.ask_reconcile(people[0], why="a plan", source="operator", mode=mode)
    floor.work(include_later=False)

    assert parked(floor, system) == set()


def test_a_probe_that_fails_is_followed_by_another(floor: Floor, sim: Running) -> None:
    """One call each, and nobody is let go."""
    system, people = a_system(floor, sim)
    broken(floor, sim, system, people)
    sim.world.requests.clear()

    for _ in range(2):
        cool_off_ends(floor.redis, system)
        floor.pull_forward()
        floor.work(include_later=False)

    assert len(sim.world.requests.list("/acs/users/get")) == 2
    assert parked(floor, system) == set(people)
    assert floor.redis.zcard(KEYS.scheduled(RECONCILE)) >= 1


@pytest.mark.parametrize(
    "event_type",
    ["acs_system.connected", "acs_system.added", "connected_account.connected",
     "connected_account.completed_first_sync", "connected_account.completed_first_sync_after_reconnection"],
)  # fmt: skip
def test_an_event_that_says_it_is_back_closes_and_lets_the_parked_go(
    floor: Floor, sim: Running, event_type: str
) -> None:
    """Without waiting for the cool-off."""
    system, people = a_system(floor, sim)
    broken(floor, sim, system, people)
    sim.world.faults.clear()
    for person in people:
        sim.world.edit_at_provider(person, full_name="Edited meanwhile")
    account = sim.world.systems[system].connected_account_id

    about = {"acs_system_id": system} if event_type.startswith("acs_system") else {}
    floor.receive(event(event_type, connected_account_id=account, **about))
    floor.work(include_later=False)
    sim.world.drain()
    floor.work()

    assert not floor.tools.circuits.is_open(system)
    assert not parked(floor, system)
    assert {floor.user(person)["observed"]["full_name"] for person in people} == {"Jack Doe"}


def test_the_parked_are_let_go_although_whoever_closed_the_circuit_died(floor: Floor, sim: Running) -> None:
    """Closed, and nobody was asked for: the probe that waits for its time finds them."""
    system, people = a_system(floor, sim)
    broken(floor, sim, system, people)
    sim.world.faults.clear()
    floor.redis.delete(KEYS.circuit(system))  # as a closing worker leaves it that is killed at once

    floor.work()

    assert not parked(floor, system)
    assert {floor.user(person)["sync"] for person in people} == {"in_sync"}


def test_a_list_of_a_broken_system_is_not_read_and_comes_when_it_is_back(floor: Floor, sim: Running) -> None:
    """A resync is not parked: closing asks for one anyway."""
    system, people = a_system(floor, sim)
    broken(floor, sim, system, people[:1])
    stranger = sim.world.add_user(acs_system_id=system)
    floor.receive(event("acs_access_group.deleted", acs_system_id=system))
    floor.work(include_later=False)
    lists = len(sim.world.requests.list("/acs/users/list"))

    sim.world.faults.clear()
    cool_off_ends(floor.redis, system)
    floor.work()

    assert lists == 0
    assert floor.user(stranger)["health"] == "ok"


def test_resyncs_of_a_broken_system_do_not_pile_up(floor: Floor, sim: Running) -> None:
    """However often one is asked for while another waits to be tried again, it is one list when the system is back."""
    system, people = a_system(floor, sim)
    broken(floor, sim, system, people[:1])
    for _ in range(5):
        floor.receive(event("acs_access_group.deleted", acs_system_id=system))
        floor.work(include_later=False)
    waiting = [each.func_name for each in scheduled(floor.redis, RESYNC)]

    sim.world.faults.clear()
    cool_off_ends(floor.redis, system)
    floor.work()

    assert waiting.count(RESYNC_SYSTEM) == 1
    assert len(sim.world.requests.list("/acs/users/list")) <= 2  # what waited, and what the closing asks for


def test_calls_that_end_with_the_job_do_not_count_against_the_system(floor: Floor, sim: Running) -> None:
    """The job left them no time: a time-out then says nothing about the other side."""
    system, people = a_system(floor, sim, users=1)
    calls = len(sim.world.requests.list("/acs/users/get"))
    sim.world.faults.add("slow", seconds=1, acs_system_id=system)

    for _ in range(5):
        with deadline.until(time.monotonic() + 0.2), suppress(Temporary):
            floor.tools.seam.get_user(people[0], system)

    assert not floor.tools.circuits.is_open(system)
    eventually(lambda: len(sim.world.requests.list("/acs/users/get")) >= calls + 5, what="the end of the slow answers")


def test_a_parked_error_says_until_when(circuits: Circuits) -> None:
    """For whoever asks again instead of being asked for."""
    fail(circuits)

    with pytest.raises(Parked) as caught, circuits.passing(SYSTEM, None, kind="read"):
        pass

    assert caught.value.delay is not None
    assert timedelta(seconds=10) < caught.value.delay < timedelta(seconds=40)


def test_each_opening_and_closing_is_told_and_not_told_again_while_it_stays_so(queues: Queues, redis: Redis) -> None:
    """To whoever tells people: with the system, and words without anybody's name."""
    told: list[tuple[str, bool]] = []
    circuits = Circuits(queues, Settings(), on_change=lambda name, is_open, _why: told.append((name, is_open)))

    fail(circuits, 7)
    call(circuits)
    cool_off_ends(redis)
    call(circuits)
    circuits.close(SYSTEM, why="a test")

    assert told == [(SYSTEM, True), (SYSTEM, False)]
