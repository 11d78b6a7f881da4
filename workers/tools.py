"""What a job works with, made once per process and only when a job asks: a fork must not share sockets."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from redis import Redis
from sqlalchemy import Engine

from seamkeeper import database, logs, settings
from seamkeeper.keys import Keys
from seamkeeper.queues import Queues
from seamkeeper.rqjob import Terms
from workers import notices
from workers.budget import Budget
from workers.circuit import Circuits
from workers.concurrent import deadline
from workers.reactions import Table, load_table
from workers.seam_api import SeamApi


@dataclass(frozen=True, slots=True)
class Tools:
    """Given to every job and reaction. All parts may be used from several threads."""

    settings: settings.Settings
    engine: Engine
    queues: Queues
    seam: SeamApi
    circuits: Circuits
    table: Table


_CONNECTIONS = 1000  # a limit against leaks; each job uses one at a time, and the worker says how many run at once
_LONGEST_WAIT = 30.0  # seconds for the database, of a job that has longer than that
_SHORTEST_WAIT = 1.0  # also at the deadline: what happened is still to be written down

_made: dict[int, Tools] = {}
_making = threading.Lock()  # jobs run in threads: the first ones of a process ask at the same moment


def tools_of_this_process() -> Tools:
    """The tools, from the environment of this process. Raises `ConfigurationError`."""
    with _making:
        if os.getpid() not in _made:
            told = settings.load()
            settings.need_seam(told)
            _made.clear()
            _made[os.getpid()] = make_tools(told)
        return _made[os.getpid()]


def make_tools(told: settings.Settings) -> Tools:
    """Opens nothing yet: every part connects at its first use. The scheduler, which calls nobody, needs no key."""
    logs.configure(told.log_format)
    redis = Redis.from_url(told.redis_url, socket_timeout=10, socket_connect_timeout=5, max_connections=_CONNECTIONS)
    queues = Queues(redis, keys=Keys(told.redis_key_prefix), terms=Terms(told.job_timeout, told.retry_delays))
    budget = Budget(redis, queues.keys.budget(), rate=told.seam_rate, burst=told.seam_burst)

    def tell(acs_system_id: str, is_open: bool, why: str) -> None:
        notices.circuit(tools, acs_system_id, is_open=is_open, because=why)

    circuits = Circuits(queues, told, on_change=tell)
    tools = Tools(
        settings=told,
        engine=database.open_engine(told.database_url, patience=_patience),
        queues=queues,
        seam=SeamApi(told, count=queues.count_all, budget=budget, circuits=circuits),
        circuits=circuits,
        table=load_table(told.reactions),
    )
    return tools


def _patience() -> float:
    return max(deadline.remaining(_LONGEST_WAIT), _SHORTEST_WAIT)
