"""The job that looks whether an access system answers again, and lets its parked users go when it does.

It never fails for the system's sake: while the circuit is open there is always one more of it waiting for its time.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta

from seamkeeper.errors import Permanent, Temporary
from workers.tools import Tools

_SOON = timedelta(seconds=5)


def probe_system(tools: Tools, acs_system_id: str, *, why: str) -> None:
    """One call if the circuit is open and its cool-off over; what it says closes or opens it (workers/circuit.py)."""
    circuits = tools.circuits
    if circuits.is_open(acs_system_id):
        with contextlib.suppress(Temporary, Permanent):  # the circuit has heard it
            tools.seam.look_at(acs_system_id, circuits.parked_user(acs_system_id))
    if circuits.is_open(acs_system_id):
        tools.queues.ask_probe(acs_system_id, why="the circuit is open", delay=_SOON)  # unless one waits already
    elif not circuits.release(acs_system_id, why=why):
        tools.queues.ask_probe(acs_system_id, why=why)  # the next of them
