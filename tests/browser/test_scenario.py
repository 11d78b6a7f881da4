"""Two in the morning: a building in which four things go wrong is put right by clicks and typing alone.

The world is the simulator in this process: what Seam, the site and other programs do. The operator has a browser.
docs/runbook.md tells the same steps in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from seamkeeper import database, desired, mirror
from simulator.serve import Running, running
from tests.browser.conftest import Seen
from tests.conftest import SECRET
from tests.stack import Stack, eventually, free_port, stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [
    pytest.mark.browser, pytest.mark.timeout(900), pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]  # fmt: skip
REFUSED, RIGHT = "+10005550101", "+12065550142"
FIGHT_REPAIRS = 3  # the default of SEAMKEEPER_FIGHT_REPAIRS
_PASSWORD = "the-password-of-olga"
_QUICK = {
    "SEAMKEEPER_CONSOLE_LOGINS": f"olga:operator:{_PASSWORD}",
    "SEAMKEEPER_RETRY_DELAYS": "1,1",
    "SEAMKEEPER_REREAD_DELAYS": "1,1,2,5",
    "SEAMKEEPER_CIRCUIT_FAILURES": "100000",  # else the system is let rest, and nothing dies of the outage
}


@pytest.fixture
def sim() -> Iterator[Running]:
    """Harbour House, in which nobody lives yet."""
    with running(users=0, seed=6) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Everything as it runs, its clocks quick; Seam delivers to it."""
    with stack(environment, tmp_path, seam=sim, **_QUICK) as found:
        found.start_receiver()
        found.start_workers()
        sim.world.add_webhook(f"http://127.0.0.1:{found.port}/webhooks/seam", secret=SECRET)
        yield found


@pytest.fixture
def page(browser: Browser, deployment: Stack, seen: Seen) -> Iterator[Page]:
    """Olga's browser, at the console."""
    port = free_port()
    deployment.start("console", "console.web", "--port", str(port))
    log = deployment.logs / "console.log"
    eventually(lambda: "console listening on" in log.read_text(), what="the console")
    credentials = {"username": "olga", "password": _PASSWORD}
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{port}", viewport={"width": 1300, "height": 1000}, http_credentials=credentials
    )
    context.set_default_timeout(60_000)
    opened = context.new_page()
    seen.watch(opened)
    yield opened
    context.close()


class World:
    """What others do: nothing here is Seamkeeper's."""

    def __init__(self, sim: Running, engine: Engine) -> None:
        self._seam, self._engine = sim.world, engine

    def moves_in(self, name: str, **desired_values: str) -> str:
        """Somebody new; the customer's application writes what it wants straight into its table."""
        acs_user_id = self._seam.add_user(full_name=name)
        if desired_values:
            with self._engine.begin() as connection:
                desired.set_desired(connection, acs_user_id, desired_values, by="the booking system")
        self._seam.issue_credential(acs_user_id)
        return acs_user_id

    def does_not_take(self, number: str) -> None:
        """Seam answers 400 to it."""
        self._seam.settings.refused_numbers = {number}

    def has_no_subscription_left(self, acs_user_id: str) -> None:
        """The Salto KS site is full; Seam sends no event of that, only one of a key."""
        self._seam.raise_error(acs_user_id, "salto_ks_subscription_limit_exceeded")
        self._seam.issue_credential(acs_user_id)

    def frees_a_subscription(self, acs_user_id: str) -> None:
        """Somebody at the site makes room."""
        self._seam.clear_issue(acs_user_id)

    def insists_on(self, acs_user_id: str, name: str, *, instead_of: str) -> None:
        """Another program puts its own name there, each time that ours arrives."""
        for _ in range(FIGHT_REPAIRS):
            eventually(lambda: self._has_arrived(acs_user_id, instead_of), what="our write, and our look at it")
            self._seam.edit_at_provider(acs_user_id, full_name=name)
            self._seam.issue_credential(acs_user_id)

    def has_an_outage(self, events_of: list[str]) -> None:
        """Seam's API fails, and its webhooks go on."""
        self._seam.faults.is_outage = True
        for acs_user_id in events_of:
            self._seam.issue_credential(acs_user_id)

    def is_back(self) -> None:
        """Seam's API answers."""
        self._seam.faults.is_outage = False

    def _has_arrived(self, acs_user_id: str, name: str) -> bool:
        with database.reading(self._engine) as connection:
            known = mirror.find_user(connection, acs_user_id) or {}
        live = self._seam.user(acs_user_id) or {}
        return bool(known) and known["sync"] == "in_sync" and live["full_name"] == name


class Operator:
    """What Olga sees and does."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def sees(self, text: str, *, within: float = 120) -> None:
        """Looks until it is there, loading the page again as people do."""
        eventually(lambda: self._is_there(text), within=within, what=f"{text!r} at {self._page.url}")

    def sees_in(self, region: str, text: str) -> None:
        """The same in one part of the page."""
        inside = self._page.locator(region).filter(has_text=text)
        eventually(lambda: self._again(inside.count()), within=120, what=f"{text!r} in {region}")

    def goes_to(self, name: str) -> None:
        """By the navigation of the frame."""
        self._page.get_by_role("navigation", name="Pages").get_by_role("link", name=re.compile(f"^{name}")).click()

    def follows(self, name: str, *, region: str = "main") -> None:
        """Clicks a link."""
        self._page.locator(region).get_by_role("link", name=name).first.click()

    def presses(self, name: str) -> None:
        """Clicks a button."""
        self._page.locator("main").get_by_role("button", name=name).first.click()

    def types(self, label: str, text: str) -> None:
        """Fills a field."""
        self._page.get_by_label(label).fill(text)

    def reads(self, *texts: str) -> None:
        """All of it stands on the page."""
        said = self._page.locator("main").inner_text()
        assert [each for each in texts if each not in said] == [], said

    def _is_there(self, text: str) -> bool:
        return self._again(text in self._page.locator("main").inner_text())

    def _again(self, found: object) -> bool:
        if not found:
            self._page.wait_for_timeout(400)
            self._page.reload()
        return bool(found)


def test_a_night(deployment: Stack, sim: Running, engine: Engine, page: Page) -> None:
    """Each trouble is found from the overview, understood on its page, and ended; then nothing needs attention."""
    world, olga = World(sim, engine), Operator(page)
    page.goto("/")

    # A telephone number that Seam refuses
    world.does_not_take(REFUSED)
    world.moves_in("Ann Reed", phone_number=REFUSED)
    olga.sees("seam:400:invalid_input: phone_number")
    olga.follows("Look at it", region="#now")
    olga.reads("seam:400:invalid_input", "Seam refuses it each time: a replay helps only after that was mended.")
    olga.follows("compare the user", region="#letters")
    olga.reads(
        "Ann Reed", "drifted", REFUSED, "Plan: blocked, for the reason above.", "is not a number that can be called"
    )
    olga.follows("Edit desired state")
    olga.types("Telephone number", RIGHT)
    olga.presses("Save")
    olga.sees("nothing to change")
    olga.reads(RIGHT, "in sync")

    # A site without a free subscription
    ben = world.moves_in("Ben Ito")
    world.has_no_subscription_left(ben)
    olga.goes_to("Overview")
    olga.sees_in("#attention", "Ben Ito")
    olga.follows("Ben Ito", region="#attention")
    olga.reads("The Salto KS site has no free subscription.", "Free one or buy more at the site.",
               "Only after a change at the site")  # fmt: skip
    olga.presses("Acknowledge")
    olga.reads("Acknowledged", "by olga")
    world.frees_a_subscription(ben)
    olga.presses("Refresh from Seam")
    olga.sees("None is present.")

    # Somebody else writes the same field
    cleo = world.moves_in("Cleopatra Park", full_name="Cleo Park")
    world.insists_on(cleo, "Cleopatra Park", instead_of="Cleo Park")
    olga.goes_to("Overview")
    olga.sees_in("#attention", "Cleopatra Park")
    olga.follows("Cleopatra Park", region="#attention")
    olga.sees("another_writer")
    olga.reads("We put this value right, and somebody else changed it again and again.", "Find out who writes it.")
    olga.presses("Accept live as desired")
    olga.sees("nothing to change")
    olga.sees("None is present.")

    # An outage of Seam
    world.has_an_outage([world.moves_in(f"Guest {number}") for number in range(5)])
    olga.goes_to("Overview")
    olga.sees("All share one cause: seam:5xx.")
    world.is_back()
    olga.follows("Look at this", region="#now")
    olga.reads("Seam failed for all tries: a replay helps once it answers again.")
    olga.follows("Preview replay of", region="#causes")
    olga.reads("worked through once more", "the user is read again, so stale payloads are safe")
    olga.types("Why?", "Seam is back")
    olga.presses("Replay")
    olga.sees("All of them are in their queues again, or done.")
    olga.goes_to("Dead letters")
    olga.sees("Nothing is dead.")

    olga.goes_to("Overview")
    olga.sees("Nobody needs you. All users are as they should be.")
    assert page.locator("#now .notice").all_inner_texts() == []
