"""Every try of a job has a line; every failure becomes "again, then" or "dead, because"."""

from __future__ import annotations

import functools
import math
import random
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from redis.exceptions import RedisError
from rq import Retry, get_current_job
from rq.timeouts import JobTimeoutException
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from seamkeeper import attempts, clock, dead, journal, logs
from seamkeeper.dead import Failure, Subject
from seamkeeper.errors import Permanent, Postponed, SeamkeeperError, Temporary
from seamkeeper.rqjob import jittered
from workers import calls, letters, notices
from workers.tools import Tools

_SOON = timedelta(seconds=30)  # for what was postponed without a word about until when
_MOST_POSTPONED = 10_000  # RQ asks for a number; at 30 s each these are three days
_AWAY = (OperationalError, InterfaceError, NoConnection)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Fate:
    """What a failed try leads to: the outcome of its line (`retry`, `postponed` or `dead`), when the next comes, and
    whether the error travels on to RQ, which retries the job or puts it into its failed registry."""

    outcome: str
    next_at: datetime | None
    is_raised: bool = True


@dataclass(slots=True)
class Try:
    """One try. `fate` is None while it runs and when it succeeded."""

    fate: Fate | None = None
    is_over: bool = False  # it succeeded, or nothing else will be tried
    number: int | None = None  # of its line
    not_begun: SQLAlchemyError | None = None
    calls: list[calls.Call] = field(default_factory=list)  # what it asked of Seam
    lines: list[logs.Line] = field(default_factory=list)  # what was logged meanwhile

    def check(self) -> None:
        """Raises, inside of the try, what kept its line from being written: without a database there is nothing to
        do, and Seam need not be asked."""
        if self.not_begun is not None:
            raise self.not_begun


@contextmanager
def attempt(
    tools: Tools, name: str, *, event_id: str | None = None, event_type: str | None = None,
    acs_user_id: str | None = None, counter: str | None = None, settles: bool = True,
    judge: Callable[[Exception], Fate] | None = None, is_lettered: bool = True,
) -> Iterator[Try]:  # fmt: skip
    """Records one try and how it ended, and settles the event it belongs to (unless it is not the one who `settles`).
    One that is dead has a dead letter, unless it is not to be `is_lettered`; a success ends that of its subject.

    `judge` says what a failure leads to. Without one, retrying is RQ's (`by_rq`), and the error travels on. A database
    that is away changes none of that: the line in the log then stands for the line in the journal.
    """
    job = get_current_job()
    log = logs.get().bind(job=name, job_id=job.id if job else None, event_id=event_id, acs_user_id=acs_user_id)
    counter = counter or (f"event_attempts:{event_type}" if event_type else "user_attempts")
    job_id = job.id if job else ""
    subject = letters.subject_of(
        name, job_id, event_id=event_id, event_type=event_type, acs_user_id=acs_user_id, settles=settles
    ) if is_lettered else None  # fmt: skip
    tried = _begin(tools, log, job_id=job_id, job=name, event_id=event_id, acs_user_id=acs_user_id)
    try:
        with calls.noted() as tried.calls, logs.kept(but=(calls.CALLED,)) as tried.lines:
            yield tried
    except Exception as error:
        tried.fate = fate = judge(error) if judge else by_rq(tools, error)
        tried.is_over, failure = fate.outcome == "dead", failure_of(error)
        reason = failure.reason
        _end(tools, log, tried, event_id if settles else None, failure, subject)
        unexpected = not isinstance(error, SeamkeeperError | SQLAlchemyError)
        next_at = fate.next_at and clock.iso(fate.next_at)
        log.warning(f"job.{fate.outcome}", cause=failure.cause, reason=reason, next_at=next_at, exc_info=unexpected)
        _count(tools, f"{counter}:{fate.outcome}")
        if tried.is_over:
            notices.dead(tools, job=name, reason=reason, event_id=event_id, acs_user_id=acs_user_id)
        if fate.is_raised:
            raise
        return
    tried.is_over = True
    _end(tools, log, tried, None, None, subject)
    _count(tools, f"{counter}:ok")
    log.info("job.done")


def postponable(job: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result | Retry]:
    """A job that comes again when it was postponed: RQ's `Retry` as its value costs none of its tries.

    For all jobs but a user's reconcile, whose next run is the user's and not the job's. Parked or not: nobody keeps a
    list of these jobs.
    """

    @functools.wraps(job)
    def run(*args: _Arguments.args, **arguments: _Arguments.kwargs) -> _Result | Retry:
        try:
            return job(*args, **arguments)
        except Postponed as error:
            return Retry(max=_MOST_POSTPONED, interval=_seconds(error.delay or _SOON))

    return run


def by_rq(tools: Tools, error: Exception) -> Fate:
    """RQ tries the job again: told to RQ's job, with the delay of this failure. A Permanent error takes the tries."""
    job = get_current_job()
    if isinstance(error, Postponed):
        error.delay = postponed_for(error)
        return Fate("postponed", clock.now() + error.delay)
    if job is not None and isinstance(error, Permanent):
        job.retries_left = 0
    if job is None or not job.retries_left:
        return Fate("dead", None)
    delays = tools.settings.retry_delays
    delay = delay_after(max(len(delays) - job.retries_left, 0) + 1, delays, asked_of(error))
    delay = delay or _SOON
    job.retry_intervals = [_seconds(delay)] * len(delays)
    return Fate("retry", clock.now() + delay)


def delay_after(number: int, delays: Sequence[int], asked: timedelta | None = None) -> timedelta | None:
    """How long to wait after so many failures in a row; None when there is nothing left to wait for.

    One of `delays`, ±20 %, and never less than the other side `asked` for: a second more, since RQ's scheduler deals in
    whole seconds and rounds down.
    """
    if number > len(delays):
        return None
    seconds = jittered(delays[number - 1])
    return timedelta(seconds=max(seconds, _seconds(asked) + 1 if asked else 0))


def postponed_for(error: Postponed) -> timedelta:
    """What the error says, and up to a fifth more: those who wait for the same must not come together."""
    delay = error.delay if error.delay is not None else _SOON
    return timedelta(seconds=max(1, math.ceil(delay.total_seconds() * random.uniform(1.0, 1.2))))  # noqa: S311


def asked_of(error: Exception) -> timedelta | None:
    """How long the other side asked us to wait."""
    return error.delay if isinstance(error, Temporary) else None


def reason_of(error: BaseException) -> str:
    """One sentence for the person who reads the console; of an unexpected error the place, not its words: they may
    hold values of people."""
    if isinstance(error, SeamkeeperError):
        return str(error)
    if isinstance(error, _AWAY):
        return f"the database does not answer as it should ({type(error).__name__})"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"unexpected {type(error).__name__} in {ours[-1].name}, line {ours[-1].lineno} of {_file(ours[-1].filename)}"


def failure_of(error: BaseException) -> Failure:
    """The same with its word, for the journal and the dead letters."""
    if isinstance(error, SeamkeeperError):
        return Failure(str(error), error.cause or type(error).__name__, error.field, error.request_id)
    return Failure(reason_of(error), _cause_of(error))


def _cause_of(error: BaseException) -> str:
    if isinstance(error, _AWAY):
        return "database"
    if isinstance(error, RedisError):
        return "redis"
    if isinstance(error, JobTimeoutException):
        return "time_out"
    return "memory" if isinstance(error, MemoryError) else f"unexpected:{type(error).__name__}"


def _begin(tools: Tools, log: Any, **line: Any) -> Try:
    try:
        with tools.engine.begin() as connection:
            return Try(number=attempts.begin(connection, **line))
    except SQLAlchemyError as error:
        log.warning("journal.not_written", reason=reason_of(error))
        return Try(not_begun=error)


def _end(
    tools: Tools, log: Any, tried: Try, event_id: str | None, failure: Failure | None, subject: Subject | None
) -> None:
    outcome, next_at = (tried.fate.outcome, tried.fate.next_at) if tried.fate else ("ok", None)
    reason, cause = (failure.reason, failure.cause) if failure else (None, None)
    try:
        with tools.engine.begin() as connection:
            if tried.number is not None:
                request_id = failure.request_id if failure else None
                attempts.end(
                    connection, tried.number, outcome, reason=reason, cause=cause, request_id=request_id,
                    next_at=next_at, calls=tried.calls, lines=tried.lines,
                )  # fmt: skip
            if event_id:
                status = "dead" if outcome == "dead" else "retrying"
                is_try = outcome != "postponed"
                journal.settle(connection, event_id, status, reason=reason, cause=cause, is_try=is_try)
            if subject and outcome == "ok":
                dead.end(connection, subject.kind, subject.subject_id, by="success")
            if subject and failure and outcome == "dead":
                letters.write(connection, subject, failure, job=get_current_job())
    except SQLAlchemyError as error:
        log.warning("journal.not_written", reason=reason_of(error))


def _count(tools: Tools, name: str) -> None:
    """A number that Redis does not take must not make a failure of a success, nor hide one."""
    with suppress(RedisError):
        tools.queues.count(name)


def _seconds(delay: timedelta) -> int:
    return math.ceil(delay.total_seconds())


def _file(path: str) -> str:
    return "/".join(path.split("/")[-2:])
