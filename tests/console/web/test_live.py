"""The tail of events: one reader for all who look, none when nobody does; numbers to come back by."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine
from starlette.requests import Request

from console.web import live
from console.web.people import Person
from console.web.state import close_console, open_console
from seamkeeper import clock
from seamkeeper.settings import Settings
from tests.console.web.conftest import keep_event

T = TypeVar("T")


@pytest.fixture
def tail(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[live.Tail]:
    """One that looks often."""
    monkeypatch.setattr(live, "_PAUSE", 0.01)
    console = open_console(settings)
    yield live.Tail(console)
    close_console(console)


def _run(tail: live.Tail, looking: Coroutine[Any, Any, T]) -> T:
    """Until the reader has ended, too: its last look holds a connection."""

    async def whole() -> T:
        try:
            return await looking
        finally:
            await tail.close()

    return asyncio.run(whole())


async def _first(tail: live.Tail, number: int, last_seen: str = "") -> list[Any]:
    """So many of what is told."""
    found: list[Any] = []
    stream = tail.follow(last_seen, 200)
    async for each in stream:
        found.append(each)
        if len(found) == number:
            break
    await stream.aclose()
    return found


async def _until(is_so: Callable[[], bool]) -> None:
    """Waits for what another task does."""
    while not is_so():  # noqa: ASYNC110 (the tail has no event for a test)
        await asyncio.sleep(0.01)


def _has_looked(tail: live.Tail) -> Callable[[], bool]:
    return lambda: tail._seen is not None


def test_all_who_look_are_told_by_one_reader(tail: live.Tail, engine: Engine) -> None:
    """What was there before is not told; what comes, and what becomes of it, is; then the reader rests."""
    keep_event(engine, "old", at=clock.now())

    async def look() -> list[list[Any]]:
        lookers = [asyncio.create_task(_first(tail, 2)) for _ in range(3)]
        await asyncio.sleep(0)
        await _until(_has_looked(tail))
        assert tail.viewers == 3
        await asyncio.to_thread(keep_event, engine, "e1", status="retrying", at=clock.now())
        await _until(lambda: bool(tail._told))
        await asyncio.to_thread(keep_event, engine, "e1", at=clock.now())
        return await asyncio.gather(*lookers)

    told = _run(tail, look())

    assert [[(each["event_id"], each["status"], each["is_new"]) for _, each in one] for one in told] == [
        [("e1", "retrying", True), ("e1", "done", False)]
    ] * 3
    assert (tail.viewers, tail.is_reading) == (0, False)


def test_who_comes_back_is_told_what_was_missed(tail: live.Tail, engine: Engine) -> None:
    """By the last number while somebody looked on; from before that, that something may have been missed."""

    async def look() -> tuple[list[Any], list[Any]]:
        stays = asyncio.create_task(_first(tail, 3))
        await asyncio.sleep(0)
        await _until(_has_looked(tail))
        for name in ("e1", "e2"):
            await asyncio.to_thread(keep_event, engine, name, at=clock.now())
            await _until(lambda name=name: name in [each["event_id"] for _, each in tail._told])  # type: ignore[misc]
        number = tail._told[0][0]
        resumed, stranger = await asyncio.gather(_first(tail, 1, tail._name(number)), _first(tail, 1, "other-1"))
        await asyncio.to_thread(keep_event, engine, "e3", at=clock.now())
        await stays
        return resumed, stranger

    resumed, stranger = _run(tail, look())

    assert resumed[0][1]["event_id"] == "e2"
    assert stranger[0][1] is None


def test_a_stream_ends_by_itself(tail: live.Tail) -> None:
    """The browser comes back: proxies cut what is open for long."""

    async def look() -> list[Any]:
        return [each async for each in tail.follow("", 0.05)]

    assert _run(tail, look()) == []
    assert not tail.is_reading


def test_a_database_that_is_away_ends_nothing(tail: live.Tail, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next look may be answered."""
    answers = [OSError(), None]
    rows = live.Tail._rows

    def flaky(self: live.Tail) -> Any:
        error = answers.pop(0) if answers else None
        if error:
            raise error
        return rows(self)

    monkeypatch.setattr(live.Tail, "_rows", flaky)

    async def look() -> list[Any]:
        looker = asyncio.create_task(_first(tail, 1))
        await asyncio.sleep(0)
        await _until(_has_looked(tail))
        await asyncio.to_thread(keep_event, engine, "e1", at=clock.now())
        return await looker

    assert _run(tail, look())[0][1]["event_id"] == "e1"


def test_a_message_is_masked_and_fits_the_filter(tail: live.Tail, engine: Engine) -> None:
    """Viewers read no address in a reason; who filters hears only of what fits."""

    async def read(chosen: dict[str, str], *, is_masked: bool) -> dict[str, Any]:
        async for message in live._messages(tail, chosen, "", is_masked=is_masked):
            if message.get("event") == "event":
                found: dict[str, Any] = json.loads(message["data"])
                return found
        raise AssertionError

    async def look() -> list[dict[str, Any]]:
        lookers = [
            asyncio.create_task(read({"type": "a.b", "tries": "1"}, is_masked=True)),
            asyncio.create_task(read({"status": "dead"}, is_masked=False)),
        ]
        await asyncio.sleep(0)
        await _until(_has_looked(tail))
        reason = "no mail to mina@example.com"
        await asyncio.to_thread(keep_event, engine, "e1", status="dead", reason=reason, at=clock.now())
        await asyncio.to_thread(
            keep_event, engine, "e2", status="retrying", reason=reason, event_type="a.b", at=clock.now()
        )
        return await asyncio.gather(*lookers)

    masked, whole = _run(tail, look())

    assert (masked["event_id"], masked["reason"]) == ("e2", "no mail to m…@example.com")
    assert (whole["event_id"], whole["reason"]) == ("e1", "no mail to mina@example.com")
    assert "body" not in whole


def test_a_process_ends_at_once_while_somebody_looks(environment: dict[str, str]) -> None:
    """The stream says the headers that proxies need; SIGTERM ends it long before its time, in order."""
    command = [sys.executable, "-m", "console.web", "--port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{address}/live", timeout=60) as stream:  # noqa: S310
            first = stream.readline()
            headers = dict(stream.headers)
            process.send_signal(signal.SIGTERM)
            stream.read()
        assert process.wait(timeout=60) == 0

    assert first.startswith(b": here")
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["content-type"].startswith("text/event-stream")
    assert "content-security-policy" in headers


def test_no_more_than_fifty_look(settings: Settings, open_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one gets 503, and when to come again."""
    monkeypatch.setattr(live, "MOST_VIEWERS", 0)

    with open_site(settings) as site:
        answer = site.get("/live")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


def test_a_seat_is_taken_before_anything_is_sent(tail: live.Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty who come at once are fifty; and who does not read what was sent loses the seat."""
    monkeypatch.setattr(live, "MOST_VIEWERS", 2)
    monkeypatch.setattr(live, "_READS_WITHIN", 0.1)
    state = {"live": tail, "person": Person("ada", "viewer", "login")}
    scope = {"type": "http", "method": "GET", "path": "/live", "query_string": b"", "headers": [], "state": state}

    async def look() -> list[int]:
        answers = [await live.live(Request(scope)) for _ in range(3)]
        first, second, _ = answers
        await asyncio.gather(*(each(scope, _never, _unread) for each in (first, second)))
        return [each.status_code for each in answers]

    assert _run(tail, look()) == [200, 200, 503]
    assert (tail.seats, tail.viewers) == (0, 0)


async def _never() -> Any:
    await asyncio.Event().wait()


async def _unread(message: Any) -> None:
    """The head goes out, the body does not."""
    if message["type"] == "http.response.body":
        await asyncio.Event().wait()
