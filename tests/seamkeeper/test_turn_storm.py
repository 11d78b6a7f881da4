"""T8, the turn of a user under load: the five promises of a workqueue, whatever the order of calls.

1. Never two runs of one user at once.
2. No ask is lost: after each a run begins.
3. No run without a reason: many asks before a run are one run.
4. Nothing stays behind: no mark, turn, job or count.
5. Nobody starves: an ask waits for a bounded number of rounds in which everybody does one thing.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest
from redis import Redis

from tests.seamkeeper.turns import ROUNDS, Floor, Yard


def storm(redis: Redis, seed: int, *, asks: int) -> None:
    """One history; the book raises at the moment at which a promise is broken."""
    print(f"seed {seed}")
    redis.flushall()
    yard = Yard(redis, seed, users=5, producers=10, asks=asks, workers=100)

    book = yard.play()

    assert book.unanswered == {}
    assert book.running == {}
    assert yard.floor.left() == {}
    assert all(book.begun[user] for user in yard.users)
    assert book.longest < ROUNDS
    assert book.begun.total() < asks * 10 / 2  # they were many to each run


@pytest.mark.parametrize("number", range(5))
def test_a_workqueue_keeps_its_promises(redis: Redis, number: int) -> None:
    """In an order that a new seed decides each time; it is printed."""
    storm(redis, random.randrange(10**9), asks=60)


@pytest.mark.proof
@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, 100, 10))
def test_a_workqueue_keeps_its_promises_a_hundred_times(redis: Redis, first: int) -> None:
    """Seeds 0 to 99: 10 producers x 1,000 asks x 100 workers over five users."""
    for seed in range(first, first + 10):
        storm(redis, seed, asks=1000)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("asks", [40, pytest.param(1000, marks=pytest.mark.proof)])
def test_in_real_threads(redis: Redis, redis_url: str, asks: int) -> None:
    """10 producers, 100 workers, each with a thread and a connection of its own: the same promises."""
    crowd = Redis.from_url(redis_url, max_connections=200)
    running: Counter[str] = Counter()
    asked: dict[str, float] = {}
    begun: dict[str, float] = {}
    clashes: list[str] = []
    is_over = threading.Event()
    lock = threading.Lock()

    def produce(seed: int) -> None:
        chance, floor = random.Random(seed), Floor(crowd)
        for _ in range(asks):
            user = f"u{chance.randrange(5)}"
            with lock:
                asked[user] = time.monotonic()
            floor.queues.ask_reconcile(user, why="test", source="test")

    def work(seed: int) -> None:
        chance, floor = random.Random(seed), Floor(crowd)
        while True:
            was_over = is_over.is_set()
            job = floor.claim()
            if job is None and was_over and not any(running.values()):
                return
            if job is None:
                time.sleep(0.002)
                continue
            token = floor.take(job)
            if token:
                with lock:
                    running[job.user] += 1
                    begun[job.user] = time.monotonic()
                    if running[job.user] > 1:
                        clashes.append(job.user)
                time.sleep(chance.random() * 0.004)
                with lock:
                    running[job.user] -= 1
                floor.queues.give_turn_back(job.user, token, settled=True)
            floor.end(job)

    producers = [threading.Thread(target=produce, args=(seed,)) for seed in range(10)]
    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(100)]
    for thread in [*workers, *producers]:
        thread.start()
    for thread in producers:
        thread.join()
    is_over.set()
    for thread in workers:
        thread.join()
    crowd.close()

    assert clashes == []
    assert set(begun) == set(asked)
    assert all(begun[user] >= at for user, at in asked.items())
    assert Floor(redis).left() == {}
