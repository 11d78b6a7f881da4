"""THE TABLE: event or change type -> what is done, each line with a few words of why.

A reaction is a plain function `(happening, tools)`: an `Event` (seamkeeper/events.py) or a `Change`
(workers/changes.py), and the `Tools` (workers/tools.py). It may run twice, so it reads state afresh. Those of this
table run inline, in the job of their event or change: they only ask for work, and asking twice is asking once. Yours go
into a module of your own (docs/reactions.md): each is a job of its own, since what it does may be slow, fail, or cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from workers.reactions import acs_access_group, acs_credential, acs_system, acs_user, connected_account, own

Reaction = Callable[[Any, Any], None]
Table = Mapping[str, tuple[Reaction, ...]]

REACTIONS: dict[str, tuple[Reaction, ...]] = {
    # events, as SEAM sends them: they say where to look, never what is true
    "acs_user.created": (acs_user.look,),  # into the mirror; perhaps drifted from the first moment
    "acs_user.deleted": (acs_user.look,),  # a GET that says 404 makes the tombstone
    "acs_credential.issued": (acs_credential.look_at_holder,),  # Seam is silent when a user changes; neighbours tell
    "acs_credential.reissued": (acs_credential.look_at_holder,),
    "acs_credential.invalidated": (acs_credential.look_at_holder,),
    "acs_credential.deleted": (acs_credential.look_at_system,),  # it is gone, so nobody says whose it was
    "acs_access_group.deleted": (acs_access_group.look_at_system,),  # its members changed
    "acs_system.added": (acs_system.resume,),
    "acs_system.connected": (acs_system.resume,),  # what happened meanwhile was not seen
    "acs_system.disconnected": (acs_system.suspend_repairs,),  # a write now would hang or fail
    "connected_account.connected": (connected_account.resume,),
    "connected_account.completed_first_sync": (connected_account.resume,),
    "connected_account.completed_first_sync_after_reconnection": (connected_account.resume,),
    "connected_account.disconnected": (connected_account.suspend_repairs,),
    "connected_account.deleted": (connected_account.suspend_repairs,),  # its users go, without events of their own
    # changes, as our re-reads find them
    "acs_user.error_raised": (acs_user.tell, acs_user.tell_people),
    "acs_user.error_cleared": (acs_user.offer_slot,),  # who got a subscription: there may be more
    "acs_user.warning_raised": (acs_user.tell, acs_user.offer_slot),
    "acs_user.vanished": (acs_user.tell, acs_user.offer_slot),  # whose subscription may be free
    "acs_user.recreated": (acs_user.tell,),  # of the new user: groups and credentials are for whoever gives them
}


def load_table(modules: Iterable[str] = ()) -> Table:
    """The table with the reactions of installed packages and of the named modules before ours: they only ask for a job
    of their own, so one of ours that must be tried again does not hold them up.

    Raises `ConfigurationError` when one cannot be imported, holds no table or cannot be called.
    """
    table: dict[str, tuple[Reaction, ...]] = dict(REACTIONS)
    for happening, theirs in own.load(modules).items():
        table[happening] = (*theirs, *table.get(happening, ()))
    return table
