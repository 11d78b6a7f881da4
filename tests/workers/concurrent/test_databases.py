"""Jobs and the database, SQLite and PostgreSQL: nobody waits beyond the deadline, 32 threads find connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError

from seamkeeper import clock, database
from tests.workers.concurrent.conftest import a_worker
from workers import tools
from workers.concurrent import deadline

_engine: Engine  # of the test that runs: jobs are found by name, and must find it


class _Open:
    """How many connections of an engine are open, and how many were at most. Counted on this side: a server forgets
    one that was closed when it comes to it."""

    def __init__(self, engine: Engine) -> None:
        self.now, self.most, self._lock = 0, 0, threading.Lock()
        event.listen(engine, "connect", lambda *_: self._count(1))
        event.listen(engine, "close", lambda *_: self._count(-1))

    def _count(self, change: int) -> None:
        with self._lock:
            self.now += change
            self.most = max(self.most, self.now)


@pytest.fixture
def jobs_engine(database_url: str) -> Iterator[Engine]:
    """An engine as jobs have it."""
    global _engine
    _engine = database.open_engine(database_url, patience=tools._patience)
    yield _engine
    _engine.dispose()


def _write(connection: database.Connection, name: str) -> None:
    row = {"value": name, "updated_at": clock.now()}
    database.upsert(connection, database.checkpoints, {"name": name, **row}, made={})


@pytest.fixture
def lock(engine: Engine) -> Iterator[None]:
    """Another connection has written the row and does not commit."""
    with engine.begin() as connection:
        _write(connection, "one")
    with engine.connect() as connection:
        transaction = connection.begin()
        _write(connection, "one")
        yield
        transaction.rollback()


@pytest.mark.usefixtures("lock")
def test_a_lock_keeps_nobody_beyond_the_deadline(jobs_engine: Engine) -> None:
    """The database itself ends the waiting: no exception has to reach the thread."""
    began = time.monotonic()

    with deadline.until(began + 2), pytest.raises(OperationalError), jobs_engine.begin() as connection:
        _write(connection, "one")

    assert 1.5 < time.monotonic() - began < 30


@pytest.mark.usefixtures("lock", "jobs_engine")
def test_a_job_that_waits_for_a_lock_ends_at_its_deadline(redis: Redis) -> None:
    """With its reason; its thread need not be given up."""
    queue = Queue("q", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue(write, "one", job_timeout=2)
    began = time.monotonic()

    a_worker(redis, ["q"], grace=60).work(burst=True, logging_level="CRITICAL")

    result = job.latest_result()
    assert time.monotonic() - began < 30
    assert job.get_status() == JobStatus.FAILED
    assert result
    assert "given up" not in str(result.exc_string)


def test_a_transaction_leaves_no_limit_behind(jobs_engine: Engine) -> None:
    """The next one, perhaps of another program behind a pooler, begins with its own."""
    if jobs_engine.dialect.name != "postgresql":
        return
    with deadline.until(time.monotonic() + 5), jobs_engine.begin() as connection:
        inside = connection.execute(text("SHOW statement_timeout")).scalar()
    with jobs_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        outside = connection.connection.cursor().execute("SHOW statement_timeout").fetchone()

    assert inside != "0"
    assert outside == ("0",)


def test_32_threads_of_transactions(redis: Redis, jobs_engine: Engine) -> None:
    """None fails, none waits for a connection, no more than one for each thread are open, five are kept."""
    opened, queue = _Open(jobs_engine), Queue("q", connection=redis, serializer=JSONSerializer)
    ids = [queue.enqueue(write_twice, f"n{number}").id for number in range(200)]

    a_worker(redis, ["q"], concurrency=32).work(burst=True, logging_level="CRITICAL")

    done = Job.fetch_many(ids, connection=redis, serializer=JSONSerializer)
    assert [job.get_status() for job in done if job] == [JobStatus.FINISHED] * 200
    assert 0 < opened.most <= 32
    assert opened.now <= 5
    assert jobs_engine.pool.checkedin() <= 5  # type: ignore[attr-defined]
    with jobs_engine.connect() as connection:
        names = set(connection.execute(database.checkpoints.select().with_only_columns(database.checkpoints.c.name)))
    assert len(names) == 200


def write(name: str) -> None:
    """A job that writes one row."""
    with _engine.begin() as connection:
        _write(connection, name)


def write_twice(name: str) -> None:
    """The same in two transactions, as jobs do."""
    write(name)
    write(name)
