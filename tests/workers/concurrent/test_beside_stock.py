"""RQ's own programs beside ours on the same queues at the same time."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from rq import SimpleWorker, Worker
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from tests.stack import ROOT, eventually
from tests.workers.concurrent.conftest import Yard


class _Simple(SimpleWorker):
    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        return


def _enqueue(yard: Yard, count: int, seconds: float) -> set[str]:
    return {
        yard.enqueue("ab"[number % 2], "count", yard.url, f"n{number}", seconds, job_id=f"n{number}")
        for number in range(count)
    }


def test_a_stock_worker_without_forks(yard: Yard) -> None:
    """Every job is done, once."""
    together = {
        yard.enqueue("a", "count_together", yard.url, f"m{number}", 3, job_id=f"m{number}") for number in range(3)
    }  # one thread of the stock worker, two of ours: none of them is too late to have its share
    wanted = _enqueue(yard, 200, 0.01) | together
    yard.start(concurrency=2)
    queues = [Queue(name, connection=yard.redis, serializer=JSONSerializer) for name in "ab"]
    stock = _Simple(queues, connection=yard.redis, serializer=JSONSerializer)
    stock.work(burst=True, logging_level="CRITICAL")
    eventually(yard.is_settled, what="the rest")

    assert yard.runs() == dict.fromkeys(wanted, 1)
    assert 0 < _done_by(yard, stock) < 203


def test_a_stock_worker_that_forks_and_rq_info(yard: Yard) -> None:
    """`rq worker -S json` on both queues at once, and `rq info` sees the two of them with what they run and serve."""
    yard.run("rq.cli", "worker", "-q", "-S", "json", "-u", yard.url, "a", "b")
    yard.start(concurrency=1)
    eventually(lambda: len(Worker.all(connection=yard.redis)) == 2, what="both workers")
    for _ in range(2):  # one for each: both are at work for as long as `rq info` takes to look
        yard.enqueue_held("a")
    wanted = _enqueue(yard, 80, 0.01)
    eventually(lambda: _busy(yard) == 2, what="both at work")

    seen = _info(yard)
    yard.let_go()
    eventually(yard.is_settled, what="the end")

    shares = [_done_by(yard, each) for each in Worker.all(connection=yard.redis)]
    assert yard.runs() == dict.fromkeys(wanted, 1)
    assert sum(shares) == 82
    assert all(shares)
    assert "2 workers, 2 queues" in seen
    assert seen.count("busy") == 2


def _info(yard: Yard) -> str:
    command = [sys.executable, "-m", "rq.cli", "info", "-u", yard.url, "-S", "json"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def _busy(yard: Yard) -> int:
    return sum(each.get_state() == "busy" for each in Worker.all(connection=yard.redis))


def _done_by(yard: Yard, worker: Any) -> int:
    return int(yard.redis.hget(worker.key, "successful_job_count") or 0)
