"""Many requests to one trip, and what they hear when Redis is away, slow or back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_client
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from receiver.intake import Intake, NotStored
from seamkeeper import clock, settings
from seamkeeper.accept import event_job
from seamkeeper.rqjob import Job
from tests.redis_servers import OwnRedis, own_redis


@pytest.fixture
def own_server() -> Iterator[OwnRedis]:
    """A server that this test may freeze and stop."""
    with own_redis() as server:
        yield server


def job(name: str) -> Job:
    """A job for an event of this name."""
    return event_job(name, "acs_user.created", "{}", received_at=clock.now(), source="webhook", delivery="msg")


async def take_all(url: str, names: list[str], *, patience: str = "20") -> list[bool | BaseException]:
    """All at once through one intake; True, False or the error of each."""
    told = settings.load({"REDIS_URL": url, "SEAMKEEPER_REDIS_WAIT_SECONDS": patience})
    client = Redis.from_url(url, socket_timeout=float(patience), retry=Retry(NoBackoff(), 0))
    intake = Intake(client, told)
    task = asyncio.create_task(intake.run())
    try:
        return await asyncio.gather(*(intake.take(name, job(name)) for name in names), return_exceptions=True)
    finally:
        task.cancel()
        await client.aclose()


def test_concurrent_requests_share_trips(redis: redis_client.Redis, redis_url: str) -> None:
    """A thousand at once, each id twice: every id queued once, in far fewer trips than requests."""
    names = [f"e{number % 500}" for number in range(1000)]
    before = redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)

    answers = asyncio.run(take_all(redis_url, names))

    trips = redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert answers.count(True) == answers.count(False) == 500
    assert redis.llen("rq:queue:events") == 500
    assert trips <= 20


def test_a_script_that_redis_forgot_is_sent_again(redis: redis_client.Redis, redis_url: str) -> None:
    """After a restart it knows no scripts."""
    redis.script_flush()

    assert asyncio.run(take_all(redis_url, ["e1"])) == [True]


def test_a_missing_redis_is_not_stored_in_time(tmp_path: Path) -> None:
    """Every request hears it within its patience."""
    answers = asyncio.run(take_all(f"unix://{tmp_path}/nobody.sock", ["e1", "e2"], patience="0.4"))

    assert [type(answer) for answer in answers] == [NotStored, NotStored]


def test_a_frozen_redis_is_not_stored_and_what_it_took_is_found_later(own_server: OwnRedis) -> None:
    """The answer was lost, the write perhaps not: the retry finds the event once, never twice."""
    with own_server.frozen():
        (answer,) = asyncio.run(take_all(own_server.url, ["e1"], patience="0.4"))

    again = asyncio.run(take_all(own_server.url, ["e1"]))

    assert isinstance(answer, NotStored)
    assert again in ([True], [False])
    with own_server.client() as client:
        assert client.lrange("rq:queue:events", 0, -1) == [b"e1"]


def test_a_blip_is_absorbed(own_server: OwnRedis) -> None:
    """Redis comes up within the patience: the sender hears 204, not 503."""
    url = own_server.url
    own_server.stop()

    async def scenario() -> list[bool | BaseException]:
        waiting = asyncio.create_task(take_all(url, ["e1"], patience="20"))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(own_server.start)
        return await waiting

    assert asyncio.run(scenario()) == [True]


@pytest.mark.parametrize("broken", ["disconnect", "get_connection"])
def test_the_door_outlives_a_connection_that_cannot_even_be_closed(
    redis: redis_client.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """A close that runs into its own time-out (TLS to a frozen Redis), or an error nobody thought of, is a 503 for who
    waited for it; the next request is served. It must never end the one task that makes the trips."""

    async def scenario() -> tuple[bool | BaseException, bool | BaseException]:
        client = Redis.from_url(redis_url, socket_timeout=2, retry=Retry(NoBackoff(), 0))
        intake = Intake(client, settings.load({"REDIS_URL": redis_url, "SEAMKEEPER_REDIS_WAIT_SECONDS": "2"}))
        pool, is_away = client.connection_pool, True
        real = pool.get_connection

        async def get_connection() -> object:
            if not is_away:
                return await real()
            raise ConnectionError("Redis is away") if broken == "disconnect" else RuntimeError("nobody thought of it")

        async def disconnect(inuse_connections: bool = True) -> None:
            raise redis_client.TimeoutError("Timed out closing connection after 2")

        monkeypatch.setattr(pool, "get_connection", get_connection)
        monkeypatch.setattr(pool, "disconnect", disconnect)
        task = asyncio.create_task(intake.run())
        try:
            answers = [await _answer_of(intake, "e1")]
            is_away = False
            return answers[0], await _answer_of(intake, "e2")
        finally:
            task.cancel()
            monkeypatch.undo()
            await client.aclose()

    answer, again = asyncio.run(scenario())

    assert isinstance(answer, NotStored)
    assert again is True


async def _answer_of(intake: Intake, name: str) -> bool | BaseException:
    """What a request hears; TimeoutError when it hears nothing."""
    (answer,) = await asyncio.gather(asyncio.wait_for(intake.take(name, job(name)), 60), return_exceptions=True)
    return answer
