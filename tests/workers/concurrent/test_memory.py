"""A job that eats memory: the others go on, and the failed registry says what happened."""

from __future__ import annotations

import time

import pytest
from rq import Retry
from rq.job import JobStatus

from tests.stack import eventually
from tests.workers.concurrent.conftest import Yard

LIMIT = 150  # MiB; a worker of these tests has about 50


def test_alone_in_its_process_it_is_ended(yard: Yard) -> None:
    """The process takes no more jobs at its limit; at twice the limit the only job that runs is the one."""
    eater = yard.enqueue("a", "eat")
    worker = yard.start(memory=LIMIT)

    eventually(lambda: yard.job(eater).get_status() == JobStatus.FAILED, what="its end")

    assert "MemoryError" in yard.reason(eater)
    assert f"SEAMKEEPER_WORKER_MEMORY_MIB ({LIMIT}), and this job alone ran in it" in yard.reason(eater)
    assert worker.wait(60) == 0


@pytest.mark.slow
def test_beside_others_it_is_set_aside_after_three_processes(yard: Yard) -> None:
    """Nobody knows which of several it is: they come back as after a kill, in the end one at a time."""
    eater = yard.enqueue("a", "eat", retry=Retry(10))
    wanted = {
        yard.enqueue("b", "count", yard.url, f"n{number}", 0.8, job_id=f"n{number}", retry=Retry(10))
        for number in range(12)
    }
    worker, until = yard.start(lives=2, memory=LIMIT), time.monotonic() + 150
    while yard.job(eater).get_status() != JobStatus.FAILED and time.monotonic() < until:
        if worker.poll() is not None:
            assert worker.returncode == 0, yard.log()
            worker = yard.start(lives=2, memory=LIMIT)
        time.sleep(0.05)
    if worker.poll() is not None:
        yard.start(lives=2, memory=LIMIT)
    eventually(yard.is_settled, what="the others")

    assert "MiB of memory" in yard.reason(eater), yard.log()
    assert set(yard.runs()) == wanted
