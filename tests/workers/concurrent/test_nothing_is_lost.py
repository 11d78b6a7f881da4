"""Workers, Redis and jobs that die: what was queued is done, or stands in the failed registry with its reason."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from rq import Retry
from rq.job import JobStatus

from tests.redis_servers import own_redis
from tests.stack import eventually
from tests.workers.concurrent.conftest import Yard


def _enqueue_counting(yard: Yard, count: int, *, first: int = 0) -> set[str]:
    return {
        yard.enqueue("ab"[number % 2], "count", yard.url, f"n{number}", job_id=f"n{number}", retry=Retry(10))
        for number in range(first, first + count)
    }


def _kill_in_the_middle(yard: Yard, chance: random.Random, *, concurrency: int, lives: int) -> None:
    worker = yard.start(concurrency=concurrency, lives=lives)
    before = sum(yard.runs().values())
    until = time.monotonic() + 5
    while sum(yard.runs().values()) == before and not yard.is_settled() and time.monotonic() < until:
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.08))
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()


_LARGE = [pytest.mark.slow, pytest.mark.timeout(300)]
_PROOF = [pytest.mark.proof, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("jobs", "concurrency", "kills", "lives"),
    [
        pytest.param(80, 4, 4, 3, id="few"),
        pytest.param(500, 4, 30, 30, marks=_LARGE, id="500"),
        pytest.param(3000, 32, 12, 30, marks=_PROOF, id="3000-at-32"),
    ],
)
def test_workers_killed_at_random(yard: Yard, jobs: int, concurrency: int, kills: int, lives: int) -> None:
    """Two queues, SIGKILL in the middle of jobs: all are done after the last kill. Where starts are slow the same job
    can be in the middle each time: it may be set aside after the third, with this reason and no other."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    wanted = _enqueue_counting(yard, jobs)

    for _ in range(kills):
        _kill_in_the_middle(yard, chance, concurrency=concurrency, lives=lives)
    at = time.monotonic()
    yard.start(concurrency=concurrency, lives=lives)
    eventually(yard.is_settled, within=120, what=f"the end of all jobs (seed {seed})")

    aside = {job_id.decode() for name in "ab" for job_id in yard.redis.zrange(f"rq:failed:{name}", 0, -1)}
    reasons = {job_id: yard.reason(job_id) for job_id in aside}
    runs = yard.runs()
    twice = sum(times > 1 for times in runs.values())
    print(f"seed {seed}: {kills} kills, settled after {time.monotonic() - at:.1f} s, run twice {twice}, lost 0")
    assert set(runs) | aside == wanted
    assert all("3 workers ended while they ran it" in reason for reason in reasons.values()), reasons
    assert len(aside) <= max(0, kills - 2)  # after two kills those with a death behind them run one at a time
    assert yard.redis.zcard("rq:finished:a") + yard.redis.zcard("rq:finished:b") + len(aside) == jobs


@pytest.mark.parametrize("kills", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_redis_killed_under_load(tmp_path: Path, kills: int) -> None:
    """The worker stays in its loop; every job is done."""
    with own_redis() as server, server.client() as redis:
        yard = Yard(redis, server.url, tmp_path)
        try:
            wanted = _enqueue_counting(yard, 200 * kills)
            worker = yard.start()
            for round_ in range(kills):
                done = 150 * (round_ + 1)
                eventually(lambda done=done: len(yard.runs()) > done, what="work")
                server.kill()
                server.start()
            eventually(yard.is_settled, within=60, what="the end of all jobs")

            assert set(yard.runs()) == wanted, yard.log()
            assert worker.poll() is None
        finally:
            yard.end()


def test_a_frozen_redis_does_not_make_living_workers_dead(tmp_path: Path) -> None:
    """All heartbeats are old when it goes on: the sweep waits until the living had time for theirs."""
    with own_redis() as server, server.client() as redis:
        yard = Yard(redis, server.url, tmp_path)
        try:
            for _ in range(2):
                yard.start(lives=6)
            eventually(lambda: redis.scard("rq:workers") == 2, what="both workers")
            job_id = yard.enqueue("a", "count", server.url, "x", 11, retry=Retry(3))
            eventually(lambda: yard.job(job_id).get_status() == JobStatus.STARTED, what="the start")
            with server.frozen():
                time.sleep(7)  # longer than they live, shorter than the time-out of their connections (10 s)
            eventually(yard.is_settled, what="the end")

            assert yard.runs() == {"x": 1}, yard.log()
        finally:
            yard.end()


def test_a_job_that_hangs_is_failed_and_the_others_go_on(yard: Yard) -> None:
    """Its time-out ends Python code; a blocking call is given up a grace later, and its thread is replaced."""
    hanging = yard.enqueue("a", "hang", 60, job_timeout=1)
    spinning = yard.enqueue("a", "spin", 60, job_timeout=1)
    wanted = _enqueue_counting(yard, 20)
    yard.start()

    eventually(lambda: yard.job(hanging).get_status() == JobStatus.FAILED, what="the end of the hanging job")
    eventually(yard.is_settled, what="the others")

    assert set(yard.runs()) == wanted
    assert "its thread was given up" in yard.reason(hanging)
    assert "JobTimeoutException" in yard.reason(spinning)
    after = yard.enqueue("a", "echo", 1)
    eventually(lambda: yard.job(after).get_status() == JobStatus.FINISHED, what="a job after it")


def test_a_process_full_of_hanging_jobs_asks_to_be_replaced(yard: Yard) -> None:
    """It ends by itself, and says why."""
    for _ in range(2):
        yard.enqueue("a", "hang", 60, job_timeout=1)
    worker = yard.start(concurrency=4)

    assert worker.wait(60) == 0
    assert "2 hanging threads" in yard.log()


@pytest.mark.parametrize("function", ["end_the_process", "crash"])
def test_a_job_that_kills_its_workers_is_set_aside(yard: Yard, function: str) -> None:
    """After the third one, with the reason; the others are done."""
    wanted = _enqueue_counting(yard, 10)
    poison = yard.enqueue("b", function, retry=Retry(10))

    deaths = _work_until_failed(yard, poison)
    eventually(yard.is_settled, what="the others")

    assert deaths == 3
    assert "3 workers ended while they ran it" in yard.reason(poison)
    assert set(yard.runs()) == wanted


@pytest.mark.slow
def test_jobs_beside_one_that_kills_its_workers_are_not_blamed(yard: Yard) -> None:
    """They die with it twice; then each comes back alone."""
    poison = yard.enqueue("a", "end_the_process", 0.2, retry=Retry(10))
    wanted = {
        yard.enqueue("a", "count", yard.url, f"n{number}", 0.4, job_id=f"n{number}", retry=Retry(10))
        for number in range(3)
    }

    _work_until_failed(yard, poison)
    eventually(yard.is_settled, what="the others")

    assert set(yard.runs()) == wanted


def _work_until_failed(yard: Yard, job_id: str) -> int:
    """Starts a worker again when it ends; gives how many did. One goes on."""
    deaths, until = 0, time.monotonic() + 200
    worker = yard.start(lives=2)
    while yard.job(job_id).get_status() != JobStatus.FAILED and time.monotonic() < until:
        if worker.poll() is not None:
            deaths, worker = deaths + 1, yard.start(lives=2)
        time.sleep(0.05)
    return deaths


@pytest.mark.parametrize("rounds", [3, pytest.param(12, marks=_LARGE), pytest.param(100, marks=_PROOF)])
def test_sigterm_under_load(yard: Yard, rounds: int) -> None:
    """Running jobs end, the rest stays queued, none is run twice."""
    wanted: set[str] = set()

    for round_ in range(rounds):
        # Work for this round, however much the last one did while this process was kept waiting.
        wanted |= _enqueue_counting(yard, 60, first=60 * round_)
        before = len(yard.runs())
        worker = yard.start()
        eventually(lambda before=before: len(yard.runs()) > before + 5, what="work")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert not yard.redis.exists("rq:wip:a", "rq:wip:b")
        assert not yard.redis.smembers("rq:workers")
    yard.start()
    eventually(yard.is_settled, what="the rest")

    assert yard.runs() == dict.fromkeys(wanted, 1)


def test_a_second_sigterm_puts_running_jobs_back(yard: Yard) -> None:
    """At the head of the queue, as if nothing had happened."""
    job_id = yard.enqueue("a", "hang", 250, job_timeout=250)
    worker = yard.start()
    eventually(lambda: yard.job(job_id).get_status() == JobStatus.STARTED, what="the start")
    worker.send_signal(signal.SIGTERM)
    eventually(lambda: "told to end" in yard.log(), what="the first signal")
    time.sleep(1.2)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert yard.redis.lrange("rq:queue:a", 0, -1) == [job_id.encode()]
    assert yard.job(job_id).get_status() == JobStatus.QUEUED
    assert not yard.redis.exists("rq:wip:a")
