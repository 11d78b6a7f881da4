"""Reconciles in processes that die: `python -m tests.workers.dying` reads one JSON line per run and answers each.

`{"acs_user_id": …, "deaths": [{"border": 7}, {"after": 0.1}, {}]}` runs one process for each death at the same time: it
kills itself with SIGKILL at that border (before and after every request to Seam, every command of Redis and every
commit), or after that many seconds, or not at all. The answer is the list of their exit codes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
import redis
from sqlalchemy.engine.default import DefaultDialect

import workers.seam_answers  # noqa: F401 (the SDK takes long: not once for each that dies)
from workers import jobs


def main() -> None:
    """One run after the other; everything is imported once, and opened in the processes that die."""
    for line in sys.stdin:
        told = json.loads(line)
        pids = [_fork(told["acs_user_id"], death) for death in told["deaths"]]
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps(codes), flush=True)


def _fork(acs_user_id: str, death: dict[str, float]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(2, 1)  # the log; stdout is for the answers
        _prepare(death)
        jobs.reconcile_user(acs_user_id=acs_user_id, why="a test", source="resync")
        os._exit(0)
    except BaseException as error:  # as RQ would note it; the next run is another process
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def _prepare(death: dict[str, float]) -> None:
    if "after" in death:
        timer = threading.Timer(death["after"], lambda: os.kill(os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    left = death.get("border")

    def cross() -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in ((httpx.Client, "send"), (redis.Redis, "execute_command"), (DefaultDialect, "do_commit")):
        setattr(owner, name, _bordered(getattr(owner, name), cross))


def _bordered(function: Callable[..., Any], cross: Callable[[], None]) -> Callable[..., Any]:
    def crossing(*arguments: Any, **named: Any) -> Any:
        cross()
        answer = function(*arguments, **named)
        cross()
        return answer

    return crossing


if __name__ == "__main__":
    main()
