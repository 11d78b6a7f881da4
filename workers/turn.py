"""One try to reconcile a user, in the user's turn; what a failure leads to is the user's, not the job's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from redis.exceptions import RedisError
from rq import get_current_job

from seamkeeper import logs
from seamkeeper.errors import Parked, Permanent, Postponed
from seamkeeper.queues import RECONCILE
from workers.failures import Fate, Try, asked_of, attempt, by_rq, delay_after, postponed_for
from workers.reconcile import Ask
from workers.tools import Tools

_LONGER_THAN_A_JOB = timedelta(seconds=15)  # five seconds after its time-out the worker gives a job up


def in_turn(tools: Tools, ask: Ask, look: Callable[[], None]) -> None:
    """Takes the user's turn and looks there; not at all when another job will look instead (`take_turn`).

    The job ends well when the user comes again: a retry is a job of its own, so that events of other users go before
    it. Raises when the user is dead: RQ's failed registry then shows the job with its reason.
    """
    job, tried = get_current_job(), Try()
    token = tools.queues.take_turn(
        ask.acs_user_id, job_id=job.id if job else "", lasts=tools.settings.job_timeout + _LONGER_THAN_A_JOB,
        step=ask.step, why=ask.why, source=ask.source, mode=ask.mode, queue=str(job.origin) if job else RECONCILE,
        is_retry=bool(job and job.enqueue_at_front),
    )  # fmt: skip
    if token is None:
        return
    try:
        with attempt(
            tools, "reconcile_user", acs_user_id=ask.acs_user_id, judge=lambda error: _judge(tools, ask, token, error),
            is_lettered=not ask.is_dry,
        ) as tried:  # fmt: skip
            tried.check()
            look()
    finally:
        _give_back(tools, ask, token, settled=tried.is_over)


def _judge(tools: Tools, ask: Ask, token: str, error: Exception) -> Fate:
    try:
        fate = _fate(tools, ask, token, error)
    except RedisError:
        return by_rq(tools, error)  # nobody could be asked: RQ's retries of the job are what is left
    job = get_current_job()
    if job is not None and fate.is_raised:
        job.retries_left = 0
    return fate


def _fate(tools: Tools, ask: Ask, token: str, error: Exception) -> Fate:
    """Dead, or asked for again: each user has one retry, and failures in a row that a success forgets."""
    if isinstance(error, Permanent):
        return Fate("dead", None)
    is_failure = not isinstance(error, Postponed)
    failures = tools.queues.note_failure(ask.acs_user_id, token, step=ask.step, counts=is_failure, mode=ask.mode)
    if isinstance(error, Parked):
        return Fate("postponed", None, is_raised=False)
    if isinstance(error, Postponed):
        delay: timedelta | None = postponed_for(error)
    else:
        delay = delay_after(failures.number, tools.settings.retry_delays, asked_of(error))
    if delay is None:
        return Fate("dead", None)
    next_at = tools.queues.ask_retry(
        ask.acs_user_id, why=ask.why, source=ask.source, delay=delay, step=failures.step,
        may_be_sooner=not is_failure, mode=ask.mode,
    )  # fmt: skip
    return Fate("retry" if is_failure else "postponed", next_at, is_raised=False)


def _give_back(tools: Tools, ask: Ask, token: str, *, settled: bool) -> None:
    """A turn that cannot be given back ends by itself, and then those come who wait for it."""
    try:
        tools.queues.give_turn_back(ask.acs_user_id, token, settled=settled, mode=ask.mode)
    except RedisError as error:
        logs.get().warning("turn.not_given_back", acs_user_id=ask.acs_user_id, error=type(error).__name__)
