"""What is left in Redis after the same jobs, run by RQ's SimpleWorker and by ours: nothing differs."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from redis import Redis
from rq import Callback, Queue, RateLimit, Repeat, Retry, SimpleWorker
from rq.group import Group
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from rq.webhook import Webhook

from tests.workers.concurrent.conftest import NAME, Threads, a_worker

JOBS = "tests.workers.concurrent.jobs."
Enqueue = Callable[[Queue], object]


class _Simple(SimpleWorker):
    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        return


def _several(queue: Queue) -> None:
    for number in range(40):
        queue.enqueue(f"{JOBS}echo", number, job_id=f"j{number}")


def _dependent(queue: Queue) -> None:
    first = queue.enqueue(f"{JOBS}echo", 1, job_id="first")
    queue.enqueue(f"{JOBS}echo", 2, job_id="second", depends_on=first)
    queue.enqueue(f"{JOBS}fail", job_id="third", depends_on=first)
    queue.enqueue(f"{JOBS}echo", 4, job_id="never", depends_on="third")


def _limited(queue: Queue) -> None:
    for number in range(3):
        queue.enqueue(f"{JOBS}echo", 1, job_id=f"l{number}", rate_limit=RateLimit("key", 1))


def _grouped(queue: Queue) -> None:
    datas = [Queue.prepare_data(f"{JOBS}echo", args=(number,), job_id=f"g{number}") for number in range(2)]
    Group.create(queue.connection, name="group").enqueue_many(queue, datas)


def note(job: Job, connection: Redis, *_what: Any) -> None:
    """A callback."""
    connection.set(f"called:{job.id}", 1)


CASES: dict[str, Enqueue] = {
    "plain": lambda queue: queue.enqueue(f"{JOBS}nothing", job_id="a"),
    "result": lambda queue: queue.enqueue(f"{JOBS}echo", {"a": [1, "ü"]}, job_id="a", meta={"m": 1}),
    "several": _several,
    "failing": lambda queue: queue.enqueue(f"{JOBS}fail", job_id="a", failure_ttl=100),
    "unknown function": lambda queue: queue.enqueue(f"{JOBS}no_such_function", job_id="a"),
    "retried": lambda queue: queue.enqueue(f"{JOBS}fail", job_id="a", retry=Retry(2)),
    "retried later": lambda queue: queue.enqueue(f"{JOBS}fail", job_id="a", retry=Retry(2, [50, 60])),
    "returns a retry": lambda queue: queue.enqueue(f"{JOBS}again", job_id="a"),
    "dependent": _dependent,
    "repeated": lambda queue: queue.enqueue(f"{JOBS}echo", 1, job_id="a", repeat=Repeat(2)),
    "repeated later": lambda queue: queue.enqueue(f"{JOBS}echo", 1, job_id="a", repeat=Repeat(2, 30)),
    "result not kept": lambda queue: queue.enqueue(f"{JOBS}echo", 1, job_id="a", result_ttl=0),
    "result kept for ever": lambda queue: queue.enqueue(f"{JOBS}echo", 1, job_id="a", result_ttl=-1),
    "result not serializable": lambda queue: queue.enqueue("uuid.uuid4", job_id="a"),
    "rate limited": _limited,
    "grouped": _grouped,
    "callback": lambda queue: queue.enqueue(
        f"{JOBS}echo", 1, job_id="a", on_success=Callback("tests.workers.concurrent.test_same_as_rq.note")
    ),
    "failure callback": lambda queue: queue.enqueue(
        f"{JOBS}fail", job_id="a", on_failure=Callback("tests.workers.concurrent.test_same_as_rq.note")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_is_what_rq_leaves(redis: Redis, name: str, thread_errors: Threads) -> None:
    """Every key, type, field, and whether it will expire; counters and results too."""
    queue = Queue("q", connection=redis, serializer=JSONSerializer)

    CASES[name](queue)
    _Simple([queue], name=NAME, connection=redis, serializer=JSONSerializer).work(burst=True, logging_level="CRITICAL")
    theirs = _left(redis)
    redis.flushall()
    CASES[name](queue)
    a_worker(redis, ["q"]).work(burst=True, logging_level="CRITICAL")
    ours = _left(redis)

    assert ours == theirs
    assert not thread_errors


class _Caller(http.server.BaseHTTPRequestHandler):
    heard: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.heard.append({name: bool(value) if name in ("enqueued_at", "ended_at", "exc_info") else value
                           for name, value in said.items()})  # fmt: skip
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def caller() -> Iterator[str]:
    """Whom RQ's job webhooks call."""
    _Caller.heard.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Caller) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_webhooks_of_jobs(redis: Redis, caller: str, thread_errors: Threads) -> None:
    """The same is left, and the same calls are made: one for the job that succeeds, one for the job that fails."""
    queue = Queue("q", connection=redis, serializer=JSONSerializer)
    webhooks = [Webhook(caller, status, method="POST") for status in ("finished", "failed")]

    def enqueue() -> None:
        queue.enqueue(f"{JOBS}echo", 1, job_id="good", webhooks=webhooks)
        queue.enqueue(f"{JOBS}fail", job_id="bad", webhooks=webhooks)

    def outcome() -> tuple[Any, ...]:
        heard = sorted(_Caller.heard, key=lambda said: str(said["job_id"]))
        _Caller.heard.clear()
        return _left(redis), heard

    enqueue()
    _Simple([queue], name=NAME, connection=redis, serializer=JSONSerializer).work(burst=True, logging_level="CRITICAL")
    theirs = outcome()
    redis.flushall()
    enqueue()
    a_worker(redis, ["q"]).work(burst=True, logging_level="CRITICAL")
    ours = outcome()

    assert ours == theirs
    assert [said["status"] for said in ours[1]] == ["failed", "finished"]
    assert not thread_errors


_VALUES = {b"status", b"worker_name", b"retries_left", b"number_of_retries", b"repeats_left", b"result_ttl", b"state"}
_VALUES |= {b"successful_job_count", b"failed_job_count", b"origin", b"type", b"return_value", b"queues", b"meta"}
_LOCKS = ("rq:seamkeeper:", "rq:clean_groups")  # of maintenance, which RQ begins at once and ours a period later


def _left(redis: Redis) -> dict[str, Any]:
    left = {}
    for key in sorted(redis.keys()):
        name, kind = key.decode(), redis.type(key).decode()
        if not name.startswith(_LOCKS):
            left[name] = (kind, _read(redis, key, kind), _class_of_ttl(redis.ttl(key)))
    return left


def _read(redis: Redis, key: bytes, kind: str) -> Any:
    if kind == "hash":
        fields = redis.hgetall(key)
        fields.pop(b"seamkeeper_version", None)  # the one field that we add, to the worker's own hash
        return _fields(fields)
    if kind == "stream":
        return [_fields(fields) for _, fields in redis.xrange(key)]
    if kind == "zset":
        return sorted(redis.zrange(key, 0, -1))
    if kind == "set":
        return sorted(redis.smembers(key))
    return redis.lrange(key, 0, -1) if kind == "list" else redis.get(key)


def _fields(found: dict[bytes, bytes]) -> dict[bytes, Any]:
    is_random = b"return_value" in found and found.get(b"type") != b"1"
    return {name: value if name in _VALUES and not is_random else bool(value) for name, value in found.items()}


def _class_of_ttl(seconds: int) -> int:
    """-1 for ever, else the twenty seconds it falls into: a busy machine may take some of them between end and look."""
    return seconds if seconds < 0 else (seconds + 10) // 20
