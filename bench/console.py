"""Every page and list of the console over a month of a large deployment: does each answer within 100 ms?

    python -m bench.console --folder /tmp/large            1,000,000 events and 100,000 users on SQLite and PostgreSQL
    python -m bench.console --events 20000 --users 2000    a small one, to try it

The first run fills the folder, which takes minutes; a later one finds it filled. The pages are asked in process, with a
real Redis that holds some thousands of jobs. Ends with 1 when the median of anything is beyond the bar.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from bench import console_asks, crowd, filling
from console import embedded_redis
from console.web.app import create_app
from seamkeeper import clock, database
from seamkeeper.accept import ACCEPT, accept_call, event_job
from seamkeeper.keys import Keys
from seamkeeper.rqjob import Terms, flatten
from seamkeeper.settings import Settings
from tests import postgresql

_BAR = 100.0  # milliseconds
_JOBS = 4000
_REGISTRIES = {"failed": "rq:failed:events", "finished": "rq:finished:events", "scheduled": "rq:scheduled:events",
               "deferred": "rq:deferred:events"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Took:
    """One page or list: its milliseconds, round by round."""

    name: str
    rounds: list[float]

    @property
    def median(self) -> float:
        """Of all rounds."""
        return statistics.median(self.rounds)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15, help="from 11 on, PostgreSQL may plan for any value")
    parser.add_argument("--folder", type=Path, help="where the data stay; without it they go when the program ends")
    parser.add_argument("--on", nargs="*", default=["sqlite", "postgresql"])
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        return _measure_all(options, options.folder.resolve())
    with tempfile.TemporaryDirectory(prefix="sk-console-") as folder:
        return _measure_all(options, Path(folder))


def _measure_all(options: argparse.Namespace, folder: Path) -> int:
    server = embedded_redis.start(folder / "redis")
    found: dict[str, list[Took]] = {}
    try:
        _queue_jobs(server.url)
        for kind in options.on:
            with _filled(folder, kind, options.users, options.events) as (url, made):
                settings = Settings(redis_url=server.url, database_url=url)
                found[kind] = _measure(settings, made, options.rounds)
    finally:
        server.stop()
    print(f"\n{options.events:,} events, {options.users:,} users; milliseconds, median and worst of {options.rounds}\n")
    print(_table(found))
    slow = [f"{kind}: {each.name}" for kind, all_of in found.items() for each in all_of if each.median > _BAR]
    print("\n" + (f"Beyond {_BAR:.0f} ms: " + "; ".join(slow) if slow else f"All within {_BAR:.0f} ms."))
    return 1 if slow else 0


@contextmanager
def _filled(folder: Path, kind: str, users: int, events: int) -> Iterator[tuple[str, crowd.Crowd]]:
    """The address of a database with this crowd, and the crowd. Its clock stands where it was filled."""
    name = f"{kind}-{users}-{events}"
    note = folder / f"{name}.json"
    (folder / name).mkdir(exist_ok=True)
    server = postgresql.serving(folder / name) if kind == "postgresql" else _sqlite(folder / name)
    with server as url:
        if note.exists():
            crowd.NOW = datetime.fromisoformat(json.loads(note.read_text())["at"])
        made = crowd.Crowd(users, events)
        if not note.exists():
            began, engine = time.perf_counter(), database.open_engine(url)
            filling.fill(engine, made)
            engine.dispose()
            note.write_text(json.dumps({"at": crowd.NOW.isoformat()}))
            print(f"{kind}: filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        now, at = clock.now, crowd.NOW
        clock.now = lambda: at
        try:
            yield url, made
        finally:
            clock.now = now


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'one.db'}"


def _measure(settings: Settings, made: crowd.Crowd, rounds: int) -> list[Took]:
    engine = database.open_engine(settings.database_url)
    asks = {**_pages(settings, made, engine), **_lists(made, engine)}
    found: dict[str, list[float]] = {name: [] for name in asks}
    base = "http://127.0.0.1:8001"
    with TestClient(create_app(settings), base_url=base, follow_redirects=False) as client:
        for turn in range(rounds + 1):
            for name, ask in asks.items():
                began = time.perf_counter()
                ask(client)
                if turn:  # the first one compiles templates and statements, and opens connections
                    found[name].append((time.perf_counter() - began) * 1000)
    engine.dispose()
    return [Took(name, each) for name, each in found.items()]


Ask = Callable[[TestClient], None]


def _pages(settings: Settings, made: crowd.Crowd, engine: Engine) -> dict[str, Ask]:
    def asking(path: str) -> Ask:
        def ask(client: TestClient) -> None:
            answer = client.get(path)
            assert answer.status_code == 200, f"{path}: {answer.status_code}"

        return ask

    with database.reading(engine) as connection:
        return {path: asking(path) for path in console_asks.pages(connection, made)}


def _lists(made: crowd.Crowd, engine: Engine) -> dict[str, Ask]:
    def asking(query: console_asks.Query) -> Ask:
        def ask(_client: TestClient) -> None:
            with database.reading(engine) as connection:
                query(connection)

        return ask

    with database.reading(engine) as connection:
        return {name: asking(query) for name, query in console_asks.lists(connection, made).items()}


def _queue_jobs(url: str) -> None:
    """Half of them wait, the others ended: an operator's queues after a bad hour."""
    redis, keys, terms = Redis.from_url(url), Keys(), flatten(Terms().fields("events"))
    redis.flushall()
    accept, now = redis.register_script(ACCEPT), time.time()
    for number in range(_JOBS):
        event_id = f"{number:08}-0000-4000-8000-000000000000"
        body = json.dumps({"event_id": event_id, "event_type": "acs_user.created", "pad": "x" * 400})
        job = event_job(
            event_id, "acs_user.created", body, received_at=clock.now(), source="webhook", delivery=f"msg_{number}"
        )
        names, arguments = accept_call(keys, terms, [(event_id, job)], at=clock.now(), dedupe=timedelta(hours=1))
        accept(keys=names, args=arguments)
    for number, job_id in enumerate(redis.lrange("rq:queue:events", 0, _JOBS // 2)):
        state = ("failed", "finished", "scheduled", "deferred")[number % 4]
        redis.lrem("rq:queue:events", 1, job_id)
        redis.zadd(_REGISTRIES[state], {job_id: now + 3600})
        redis.hset(b"rq:job:" + job_id, "status", state)
    redis.close()


def _table(found: dict[str, list[Took]]) -> str:
    kinds = list(found)
    lines = ["| page or list | " + " | ".join(kinds) + " |", "|---|" + "---|" * len(kinds)]
    for row in zip(*found.values(), strict=True):
        cells = (f"{each.median:.0f}, {max(each.rounds):.0f}" for each in row)
        lines.append(f"| {row[0].name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
