"""How far is the resync of an access system? Its place in Redis, and whose turn it is to go on from there.

A pass is done in slices by several jobs, one at a time: who has the turn. Its place and the ids it has met are written
in one step per page, so a killed worker loses a page at most. All of it ends by itself after a day.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from seamkeeper import clock
from seamkeeper.errors import Postponed
from seamkeeper.queues import Queues
from seamkeeper.turn import text

LISTING, MISSING = "listing", "missing"

_TURN_LASTS = timedelta(seconds=45)  # beyond the longest page: a time-out at Seam, a wait for the budget, the database
_SOON = timedelta(seconds=5)
_DAY = 86400

# KEYS  1 turn  2 place  3 met  4 asked    ARGV  1 token  2 turn lasts ms  3 life s  4 fields  5 met  6 asked (JSON)
# Gives how many of the met were new; -1 when the turn is not ours any more: another goes on from where it was.
_KEEP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local function add(key, ids)
  local new = 0
  for first = 1, #ids, 1000 do
    new = new + redis.call('SADD', key, unpack(ids, first, math.min(first + 999, #ids)))
  end
  return new
end
local new = add(KEYS[3], cjson.decode(ARGV[5]))
add(KEYS[4], cjson.decode(ARGV[6]))
for name, value in pairs(cjson.decode(ARGV[4])) do redis.call('HSET', KEYS[2], name, value) end
redis.call('HSET', KEYS[2], 'met', redis.call('SCARD', KEYS[3]))
for _, key in ipairs({KEYS[2], KEYS[3], KEYS[4]}) do redis.call('EXPIRE', key, ARGV[3]) end
return new
"""
_GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pass is. `cursor` leads to the next page ("": the first); in the phase `missing`, `swept` is the last id
    that was held against the list. `job_id`: who began it. `is_renewed`: it had to begin anew once. `is_asked_again`:
    somebody asked for a resync meanwhile, so that another follows. The rest counts."""

    number: int
    began: str
    why: str
    job_id: str
    phase: str = LISTING
    cursor: str = ""
    swept: str = ""
    pages: int = 0
    listed: int = 0
    written: int = 0
    asked: int = 0
    met: int = 0
    is_full: bool = False
    accepts_missing: bool = False
    is_renewed: bool = False
    is_asked_again: bool = False

    @property
    def began_at(self) -> datetime:
        """Who was seen first after that need not be in the list."""
        return clock.parse(self.began)


class Turn:
    """The turn at one access system, while it is ours."""

    def __init__(self, queues: Queues, acs_system_id: str, token: str) -> None:
        self._redis, self._token, keys = queues.redis, token, queues.keys
        self.acs_system_id = acs_system_id
        self._wish = keys.resync_wish(acs_system_id)
        self._names = [keys.resync_turn(acs_system_id), keys.resync_pass(acs_system_id)]
        self._names += [keys.resync_met(acs_system_id), keys.resync_asked(acs_system_id)]

    def read(self) -> Place | None:
        """Where the pass under way is, if there is one."""
        found = {text(name): text(value) for name, value in self._redis.hgetall(self._names[1]).items()}
        return _place(found) if found else None

    def is_whole(self, place: Place) -> bool:
        """False when Redis has forgotten some of those it had met: they would look missing."""
        return int(self._redis.scard(self._names[2])) == place.met

    def with_wishes(self, place: Place) -> Place:
        """As people and the clock want the next pass to be."""
        wishes = self._redis.hkeys(self._wish)
        return replace(place, is_full=place.is_full or b"full" in wishes, accepts_missing=b"accept" in wishes)

    def take_wishes(self, place: Place) -> None:
        """Only now that the pass has begun: one that fails before that must not lose what was asked for."""
        if names := [name for name, is_it in (("full", place.is_full), ("accept", place.accepts_missing)) if is_it]:
            self._redis.hdel(self._wish, *names)

    def begin(self, place: Place) -> Place:
        """A new pass, with nobody met."""
        self._redis.delete(*self._names[1:3])
        return self.keep(place)

    def keep(
        self, place: Place, *, met: Collection[str] = (), asked: Collection[str] = ()
    ) -> Place:  # fmt: skip
        """The new place, with whom it met and asked for, in one step. Raises `Postponed` when another goes on."""
        values = {name: str(int(value) if isinstance(value, bool) else value) for name, value in asdict(place).items()}
        lists = [json.dumps(each) for each in (values, list(met), list(asked))]
        args = [self._token, int(_TURN_LASTS.total_seconds() * 1000), _DAY, *lists]
        new = int(self._redis.eval(_KEEP, 4, *self._names, *args))
        if new < 0:
            raise Postponed(f"{self.acs_system_id}: another resync goes on from here", delay=_SOON)
        return replace(place, met=place.met + new)

    def missing(self, acs_user_ids: list[str]) -> list[str]:
        """Those of these whom the pass has not met."""
        is_met = self._redis.smismember(self._names[2], acs_user_ids) if acs_user_ids else []
        return [acs_user_id for acs_user_id, is_it in zip(acs_user_ids, is_met, strict=True) if not is_it]

    def end(self) -> None:
        """The pass is over; whom it asked for stays written, for who waits for these looks."""
        self._redis.delete(*self._names[1:3])


@contextmanager
def turn(queues: Queues, acs_system_id: str) -> Iterator[Turn]:
    """The turn, for one slice. Raises `Postponed` while another has it; that of a killed worker ends by itself."""
    token, key = uuid.uuid4().hex, queues.keys.resync_turn(acs_system_id)
    if not queues.redis.set(key, token, nx=True, px=_TURN_LASTS):
        raise Postponed(f"{acs_system_id}: a resync is under way", delay=_SOON)
    try:
        yield Turn(queues, acs_system_id, token)
    finally:
        queues.redis.eval(_GIVE_BACK, 1, key, token)


def _place(found: Mapping[str, str]) -> Place:
    kinds: dict[str, Any] = {"int": int, "bool": lambda value: value == "1", "str": str}
    names = {name: kinds[str(field.type)] for name, field in Place.__dataclass_fields__.items()}
    return Place(**{name: read(found[name]) for name, read in names.items() if name in found})
