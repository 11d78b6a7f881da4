"""Asking for work from a page."""

from __future__ import annotations

from console.web.state import Console
from seamkeeper.keys import Keys
from seamkeeper.queues import Queues
from seamkeeper.rqjob import Terms


def queues_of(console: Console) -> Queues:
    """Our way to ask for work, over this console's Redis."""
    told = console.settings
    return Queues(console.redis, keys=Keys(told.redis_key_prefix), terms=Terms(told.job_timeout, told.retry_delays))
