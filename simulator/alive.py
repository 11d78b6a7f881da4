"""What goes on in a building where people live?"""

import asyncio
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .people import some_number, someone
from .world import World

FEWEST, MOST = 8, 20
OPENING = (
    0,
    4,
    2,
    3,
    2,
)  # moved in, a key, an edit, trouble, an edit: who watches for half a minute has seen each kind


async def live(world: World) -> None:
    """One small thing every two to four seconds, while `world.is_alive`."""
    building = Building(world)
    while True:
        await asyncio.sleep(0.1)
        if world.is_alive:
            building.turn(time.monotonic())


@dataclass(slots=True)
class Building:
    """Decides what happens next, out of the world's seed."""

    world: World
    rng: random.Random = field(init=False)
    next_at: float = 0.0
    followers: list[tuple[float, str]] = field(default_factory=list)
    opening: list[int] = field(default_factory=lambda: list(OPENING))

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.world.seed}/alive")

    def turn(self, now: float) -> None:
        """Do what is due at `now`, in seconds of any clock that only goes forward."""
        for due, acs_user_id in list(self.followers):
            if now >= due:
                self.followers.remove((due, acs_user_id))
                if acs_user_id in self.world.users:
                    self.world.issue_credential(acs_user_id)
                    self._say(f"{self._name(acs_user_id)} got a mobile key")
        if now >= self.next_at:
            self.next_at = now + self.rng.uniform(2, 4)
            self._say(self.happen(now))

    def happen(self, now: float) -> str:
        """One thing, and the line that tells of it."""
        with self.world.lock:
            if len(self.world.users) < FEWEST:
                return self._move_in(now)
            if not self._settled():
                return "all is quiet"
            if len(self.world.users) > MOST:
                return self._move_out(now)
            things: list[Callable[[float], str]]
            things = [self._move_in, self._move_out, self._edit, self._trouble, self._key, self._outage]
            if self.opening:
                return things[self.opening.pop(0)](now)
            return self.rng.choices(things, weights=(2, 2, 6, 4, 3, 1))[0](now)

    def _someone(self) -> str:
        return self.rng.choice(self._settled())

    def _settled(self) -> list[str]:
        """Those with nothing pending: what Seam is about to change is left alone."""
        return [id for id, user in self.world.users.items() if not user.pending]

    def _name(self, acs_user_id: str) -> str:
        return self.world.users[acs_user_id].full_name or acs_user_id

    def _say(self, line: str) -> None:
        self.world.on_happening(line)

    def _move_in(self, now: float) -> str:
        return f"{self._name(self.world.add_user(announce=True))} moved in"

    def _move_out(self, now: float) -> str:
        id = self._someone()
        name = self._name(id)
        self.world.delete_at_provider(id)
        return f"{name} moved out"

    def _edit(self, now: float) -> str:
        """Seam sends no event for an edit; most are followed by a key, whose event leads back to the person."""
        id = self._someone()
        name, person = self._name(id), someone(self.rng)
        edits = (
            {"phone_number": some_number(self.rng)},
            {"full_name": person.full_name},
            {"email_address": person.email_address},
        )
        edit = self.rng.choice(edits)
        self.world.edit_at_provider(id, **edit)
        if self.opening or self.rng.random() < 0.8:
            self.followers.append((now + self.rng.uniform(0.5, 2), id))
        return f"{name}: {next(iter(edit))} was edited at the provider"

    def _trouble(self, now: float) -> str:
        troubled = [id for id, user in self.world.users.items() if user.issues and not user.pending]
        if troubled and (len(troubled) >= 3 or self.rng.random() < 0.5):
            id = self.rng.choice(troubled)
            self.world.clear_issue(id)
            what = "is well again"
        else:
            id = self._someone()
            what = self._raise(id)
        self.followers.append((now + self.rng.uniform(0.5, 2), id))
        return f"{self._name(id)} {what}"

    def _raise(self, acs_user_id: str) -> str:
        if self.rng.random() < 0.4:
            code = self.rng.choice(("salto_ks_subscription_limit_exceeded", "failed_to_update_on_acs_system"))
            self.world.raise_error(acs_user_id, code)
        else:
            code = self.rng.choice(("salto_ks_user_not_subscribed", "acs_user_inactive", "unknown_issue_with_acs_user"))
            self.world.raise_warning(acs_user_id, code)
        return f"has {code}"

    def _key(self, now: float) -> str:
        id = self._someone()
        self.world.issue_credential(id)
        return f"{self._name(id)} got a mobile key"

    def _outage(self, now: float) -> str:
        status = self.rng.choice((429, 500, 503))
        seconds = self.rng.uniform(1, 3)
        self.world.faults.add("status", status=status, for_seconds=seconds, retry_after=1 if status == 429 else None)
        return f"the API answers {status} for {seconds:.0f} s"


def to_stderr(line: str) -> None:
    """A `World.on_happening` that prints."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is what --verbose is for
