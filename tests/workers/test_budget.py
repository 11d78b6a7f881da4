"""The rate at Seam: one bucket for all workers, whoever asks and however Seam answers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from seamkeeper import seam_limits
from seamkeeper.errors import Postponed, Temporary
from seamkeeper.keys import Keys
from seamkeeper.settings import Settings
from simulator.serve import Running
from workers.budget import Budget
from workers.concurrent import deadline
from workers.seam_api import SeamApi
from workers.seam_errors import Heard

KEY = Keys().budget()


def budget(redis: Redis, *, rate: float = 10, burst: int = 5) -> Budget:
    """A bucket on this Redis."""
    return Budget(redis, KEY, rate=rate, burst=burst)


def later(redis: Redis, seconds: float) -> None:
    """As if this time had passed for the bucket: its clock is Redis' own, so its stamps are moved instead."""
    for field in ("at", "till", "slowed_at", "line", "low_line"):
        if redis.hexists(KEY, field):
            redis.hincrby(KEY, field, -int(seconds * 1_000_000))


def takes(found: Budget, *, is_live: bool = True) -> int:
    """How many tokens can be had without waiting, as a job that ends now."""
    count = 0
    with deadline.until(time.monotonic()):
        while True:
            try:
                if found.wait_for_turn(is_live=is_live) > 0.01:
                    return count
            except Postponed:
                return count
            count += 1


def test_the_burst_is_at_once_and_then_it_is_the_rate(redis: Redis) -> None:
    """Five, then those of the time that passed, but never more than the burst."""
    found = budget(redis, rate=0.01, burst=5)  # so slow that the time the test itself takes brings no token

    first = takes(found)
    later(redis, 350)
    second = takes(found)
    later(redis, 360_000)
    third = takes(found)

    assert (first, second, third) == (5, 3, 5)


def test_a_short_wait_is_slept_and_a_long_one_is_postponed(redis: Redis) -> None:
    """Each who is sent away is told a later moment than the one before."""
    short = budget(redis, rate=2, burst=1)
    first = short.wait_for_turn()
    is_slept = any(short.wait_for_turn() > 0.05 for _ in range(20))  # unless we were kept waiting for half a second
    redis.delete(KEY)
    long = budget(redis, rate=0.01, burst=1)
    long.wait_for_turn()
    delays = []
    for _ in range(3):
        with pytest.raises(Postponed) as caught:
            long.wait_for_turn()
        delays.append(caught.value.delay.total_seconds() if caught.value.delay else 0)

    assert first == 0
    assert is_slept
    assert [round(delay, -2) for delay in delays] == [100, 200, 300]


def test_a_job_that_ends_soon_does_not_wait_beyond_its_end(redis: Redis) -> None:
    """There must be time left for the call."""
    found = budget(redis, rate=1, burst=1)
    for _ in range(5):  # each takes the token that comes in a second; who is kept waiting meanwhile finds one
        found.wait_for_turn()
        with deadline.until(time.monotonic() + 0.5):
            try:
                assert found.wait_for_turn() < 0.25
            except Postponed:
                return
    raise AssertionError("nobody was postponed")


def test_a_resync_leaves_half_of_the_burst_to_events(redis: Redis) -> None:
    """It takes from a full bucket only down to the half, and what it is promised does not reach below a quarter."""
    found = budget(redis, rate=0.01, burst=20)

    by_resync = takes(found, is_live=False)
    by_events = takes(found)

    assert (by_resync, by_events) == (10, 10)


def test_resyncs_that_are_sent_away_do_not_send_events_to_the_end_of_their_line(redis: Redis) -> None:
    """Each of the two has a line of its own."""
    found = budget(redis, rate=0.01, burst=2)
    found.wait_for_turn()
    for _ in range(20):
        with pytest.raises(Postponed):
            found.wait_for_turn(is_live=False)
    found.wait_for_turn()

    with pytest.raises(Postponed) as caught:
        found.wait_for_turn()

    assert caught.value.delay is not None
    assert caught.value.delay < timedelta(seconds=150)


def test_a_429_halves_the_rate_once_a_second_and_it_comes_back_within_a_minute(redis: Redis) -> None:
    """A hundred 429s at the same moment are one; it never stops altogether."""
    found, keys = budget(redis, rate=100, burst=200), Keys()
    for _ in range(20):
        redis.delete(KEY)
        found.wait_for_turn()
        began = time.monotonic()
        burst_of_429s = [found.refused(is_too_many=True, retry_after=None) for _ in range(3)]
        if time.monotonic() - began < 0.9:  # else they were not at the same moment
            break
    shown = seam_limits.present_rate(redis, keys)
    for _ in range(20):
        later(redis, 1)
        slowest = found.refused(is_too_many=True, retry_after=None)
    later(redis, 30)
    half_way = seam_limits.present_rate(redis, keys)
    later(redis, 60)

    assert burst_of_429s == pytest.approx([50, 50, 50], abs=2)
    assert shown == pytest.approx(50, abs=5)
    assert 4 < slowest < 10
    assert half_way is not None
    assert 50 < half_way < 65
    assert seam_limits.present_rate(redis, keys) == 100


def test_nobody_calls_before_a_retry_after(redis: Redis) -> None:
    """Neither with a full bucket, nor who was promised a token before it was said; and nothing was saved up for it."""
    for _ in range(20):
        redis.delete(KEY)
        said, heard, ended = _a_retry_after_while_one_waits(redis)
        if ended > heard:  # else the waiter was through, or sent away, before anything was said: we were kept waiting
            break

    assert ended - said >= 0.99
    found = budget(redis, rate=4, burst=1)
    found.refused(is_too_many=True, retry_after=timedelta(seconds=60))
    assert seam_limits.present_rate(redis, Keys()) == 0
    with pytest.raises(Postponed) as caught:
        budget(redis).wait_for_turn()
    assert caught.value.delay is not None
    assert timedelta(seconds=30) < caught.value.delay < timedelta(seconds=70)


def _a_retry_after_while_one_waits(redis: Redis) -> tuple[float, float, float]:
    """When it was about to be said, when it was said, and when the one who had been promised a token had it; 0 for one
    who was sent away."""
    found = budget(redis, rate=4, burst=1)
    found.wait_for_turn()
    ended: list[float] = []

    def wait() -> None:
        try:
            found.wait_for_turn()  # promised in 0.25 s
            ended.append(time.monotonic())
        except Postponed:
            ended.append(0)

    waiter = threading.Thread(target=wait)
    waiter.start()
    while float(redis.hget(KEY, "tokens") or 0) >= 0:
        time.sleep(0.01)
    said = time.monotonic()
    found.refused(is_too_many=False, retry_after=timedelta(seconds=1))
    heard = time.monotonic()
    waiter.join()
    return said, heard, ended[0]


@pytest.mark.parametrize("pause", [timedelta(), timedelta(seconds=5)], ids=["free", "in a Retry-After"])
def test_a_clock_of_redis_that_is_set_back_stops_nobody(redis: Redis, pause: timedelta) -> None:
    """Two hours back: the bucket does not wait for them, and what is left of a 429 is a rate that grows."""
    found = budget(redis, rate=100, burst=200)
    found.refused(is_too_many=True, retry_after=pause)
    for _ in range(3):
        with contextlib.suppress(Postponed):
            found.wait_for_turn()

    later(redis, -7200)
    shown = seam_limits.present_rate(redis, Keys())
    waited = found.wait_for_turn()
    later(redis, 10)

    assert shown is not None
    assert shown >= 0
    assert waited < 1
    assert 50 < (seam_limits.present_rate(redis, Keys()) or 0) <= 100


def test_without_redis_nobody_calls() -> None:
    """Which is no failure of the job."""
    nobody = Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))

    with pytest.raises(Temporary, match="Redis"):
        Budget(nobody, KEY, rate=10, burst=5).wait_for_turn()


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("7", None, 7),
        (" 0 ", None, 0),
        ("99999999999999999999", None, 1800),
        ("Sat, 21 Nov 2026 10:00:30 GMT", None, 30),
        ("Sat, 21 Nov 2026 09:00:00 GMT", None, 0),
        ("Sat, 21 Nov 2026 10:05:00 GMT", "Sat, 21 Nov 2026 10:04:50 GMT", 10),
        ("Sun, 22 Nov 2026 10:00:00 GMT", None, 1800),
        ("soon", None, None),
        ("-5", None, None),
        ("1 Feb 99999999999 10:00:00 GMT", None, None),
        ("Sat, 21 Nov 2026 10:00:30 GMT", "1 Feb 99999999999 10:00:00 GMT", 30),
        ("1.5", None, None),
        ("", None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, date: str | None, seconds: float | None) -> None:
    """A date is held against the sender's own `Date`; neither makes us wait for more than half an hour."""
    headers = {"retry-after": header} | ({"date": date} if date else {})

    with time_machine.travel("2026-11-21T10:00:00Z", tick=False):
        found = Heard.of(httpx.Response(429, headers=headers)).retry_after

    assert found == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=60))
def test_any_retry_after_is_read_or_ignored(header: str) -> None:
    """T18's bound: never negative, never above the cap, never an error."""
    response = httpx.Response(503, headers=[(b"retry-after", header.encode("utf-8", "replace"))])

    found = Heard.of(response).retry_after

    assert found is None or timedelta() <= found <= timedelta(minutes=30)


Call = Callable[[], Any]


def keep_calling(call: Call, until: float) -> None:
    """As a worker: who is postponed comes back when it was told to."""
    while time.monotonic() < until:
        try:
            call()
        except Postponed as postponed:
            time.sleep(postponed.delay.total_seconds() if postponed.delay else 0)
        except Temporary:
            pass


def most_within(moments: list[float], seconds: float) -> int:
    """The largest number of moments in any span of this length."""
    best, first = 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] > seconds:
            first += 1
        best = max(best, last - first + 1)
    return best


def test_eight_workers_together_never_exceed_the_rate(sim: Running, redis_url: str) -> None:
    """T9: each with its own connection to Redis, measured at Seam; a burst is what it may be once, the rest is rate."""
    rate, burst, seconds = 40, 4, 5.0
    told = Settings(api_key=sim.api_key, endpoint=sim.url)
    acs_user_id = sim.world.add_user()
    clients = [Redis.from_url(redis_url) for _ in range(8)]
    apis = [SeamApi(told, count=lambda _fields: None, budget=budget(each, rate=rate, burst=burst)) for each in clients]
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=keep_calling, args=(lambda api=api: api.get_user(acs_user_id), until)) for api in apis
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for api, client in zip(apis, clients, strict=True):
        api.close()
        client.close()

    moments = [seen.at.timestamp() for seen in sim.world.requests.list("/acs/users/get")]
    assert len(moments) > burst
    assert len(moments) <= 1.1 * rate * (moments[-1] - moments[0]) + burst + len(apis)
    # One call of each may stand between the bucket and Seam for a while, and arrive beside those of then.
    assert most_within(moments, 2.0) <= 1.1 * rate * 2.0 + burst + len(apis)


def test_a_429_is_obeyed_by_the_other_workers(sim: Running, redis_url: str) -> None:
    """One hears Retry-After; another process, with another user, waits for it, too."""
    first, second = sim.world.add_user(), sim.world.add_user()
    sim.world.faults.add(status=429, retry_after=1, times=1)
    told = Settings(api_key=sim.api_key, endpoint=sim.url)
    clients = [Redis.from_url(redis_url) for _ in range(2)]
    one, neighbour = (
        SeamApi(told, count=lambda _fields: None, budget=budget(each, rate=100, burst=200)) for each in clients
    )

    with pytest.raises(Temporary):
        one.get_user(first)
    neighbour.get_user(second)
    for each in (one, neighbour, *clients):
        each.close()

    refused, answered = sim.world.requests.list("/acs/users/get")
    assert (answered.at - refused.at).total_seconds() >= 0.95
