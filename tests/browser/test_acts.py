"""Every action of the console: by the mouse, by the keyboard alone, and without JavaScript; told by the state of the
world afterwards, not by the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from redis.client import PubSub
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy import Connection, select

from seamkeeper import audit, clock, dead, desired, issues, replays
from seamkeeper.database import policies as policies_table
from seamkeeper.rqjob import job_id_for
from seamkeeper.schedules import Schedules
from seamkeeper.settings import Role
from tests.browser.building import DEAD_EVENT, GONE, JACK, MINA, TOM, empty, furnish
from tests.browser.conftest import Open, Seen, Site
from tests.browser.looking import is_focus_seen
from tests.console.web.conftest import accept, queues_of

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

_QUEUED = job_id_for("e-queued")


@dataclass(frozen=True)
class World:
    """What may be asked about it afterwards."""

    db: Connection
    redis: Redis
    orders: PubSub

    def queued(self, queue: str) -> list[str]:
        """The jobs that wait."""
        return [each.decode() for each in self.redis.lrange(f"rq:queue:{queue}", 0, -1)]

    def status(self, job_id: str) -> str:
        """Of a job; empty when RQ does not know it."""
        return str((self.redis.hget(f"rq:job:{job_id}", "status") or b"").decode())

    def why(self, acs_user_id: str) -> list[str]:
        """Why this user is to be looked at: the reasons of the jobs that wait."""
        jobs = [Job.fetch(each, connection=self.redis, serializer=JSONSerializer) for each in self.queued("reconcile")]
        return [str(each.kwargs) + str(each.args) for each in jobs if acs_user_id in str(each.args) + str(each.kwargs)]

    def told_to_worker(self) -> list[str]:
        """RQ's commands to the one that is there."""
        found = [self.orders.get_message(timeout=1.0) for _ in range(2)]
        return [json.loads(each["data"])["command"] for each in found if each and each["type"] == "message"]

    def replay(self) -> dict[str, Any]:
        """The newest."""
        return replays.list_replays(self.db, limit=1)[0]

    def policy(self, acs_user_id: str) -> dict[str, Any]:
        """What is said of this user alone."""
        found = self.db.execute(select(policies_table).where(policies_table.c.subject_id == acs_user_id)).mappings()
        return dict(next(iter(found), {}))

    def issue(self, acs_user_id: str) -> dict[str, Any]:
        """The first that is open."""
        return issues.open_issues(self.db, acs_user_id)[0]


@dataclass(frozen=True)
class Step:
    """One thing a person does: presses a button or a link by its name, fills a field by its label, or chooses."""

    name: str
    value: str | None = None  # of a field


@dataclass(frozen=True)
class Act:
    """Where it begins, what is done, the word of the audit, and what is then so."""

    page: str
    steps: tuple[Step, ...]
    audited: str
    is_so: Callable[[World], Any]
    role: Role = "admin"
    shows: str = ""


def press(name: str) -> Step:
    return Step(name)


def fill(label: str, value: str) -> Step:
    return Step(label, value)


ACTS = {
    "replay one": Act(f"/events/{DEAD_EVENT}", (press("Replay"),), "event.replay",
                      lambda w: job_id_for(DEAD_EVENT) in w.queued("events")),
    "replay many": Act("/events?status=dead", (press("Replay all"), fill("Why?", "a test"), press("Replay 1")),
                       "replay.start", lambda w: (w.replay()["state"], w.replay()["reason"]) == ("running", "a test")),
    "replay of a cause": Act("/dead", (press("Preview replay of"), press("Replay 1")), "replay.start",
                             lambda w: w.replay()["replay_id"] > 1),
    "stop a replay": Act("/replays/1", (press("Stop"),), "replay.stop", lambda w: w.replay()["state"] == "stopped"),
    "resume a replay": Act("/replays/1", (press("Stop"), press("Resume")), "replay.resume",
                           lambda w: w.replay()["state"] == "running" and w.redis.exists("rq:queue:resync")),
    "discard": Act("/dead", (press("Discard 1"), fill("Why?", "nobody wants it"), fill("Type the number", "1"),
                             press("Discard 1")), "dead.discard", lambda w: dead.count_open(w.db) == 1),
    "sync": Act(f"/users/{JACK}", (press("Sync now"),), "user.sync", lambda w: "apply by admin" in str(w.why(JACK))),
    "sync of many": Act("/users/plan", (press("Sync this user"),), "users.sync", lambda w: w.why(JACK)),
    "refresh": Act(f"/users/{MINA}", (press("Refresh from Seam"),), "user.refresh",
                   lambda w: "refresh by admin" in str(w.why(MINA))),
    "accept": Act(f"/users/{JACK}", (press("Accept live as desired"),), "user.accept",
                  lambda w: desired.desired_of(w.db, JACK)["phone_number"] == "+15555550222"),
    "pause and resume": Act(f"/users/{JACK}", (press("Pause sync…"), fill("Reason", "works"), press("Pause"),
                                               press("Resume sync")), "user.resume",
                            lambda w: w.policy(JACK)["paused_until"] is None),
    "pause": Act(f"/users/{MINA}", (press("Pause sync…"), fill("Reason", "works"), press("Pause")), "user.pause",
                 lambda w: w.policy(MINA)["reason"] == "works"),
    "suspend": Act(f"/users/{TOM}", (press("Suspend…"), fill("Reason", "left"), press("Suspend")), "user.suspend",
                   lambda w: desired.desired_of(w.db, TOM)["is_suspended"] is True),
    "recreate": Act(f"/users/{GONE}", (press("Recreate…"), press("Ask for the new user")), "user.recreate",
                    lambda w: "recreate approved by admin" in str(w.why(GONE))),
    "desired, with a mistake first": Act(
        f"/users/{TOM}", (press("Edit desired state"), fill("Telephone number", "5550101"), press("Save"),
                          fill("Telephone number", "+15555550101"), press("Save")), "user.desired",
        lambda w: desired.desired_of(w.db, TOM) == {"phone_number": "+15555550101"}),
    "desired no more": Act(f"/users/{MINA}/desired", (press("Remove the desired state"),), "user.desired.remove",
                           lambda w: desired.desired_of(w.db, MINA) == {}),
    "acknowledge": Act(f"/users/{MINA}", (press("Acknowledge"),), "user.acknowledge",
                       lambda w: w.issue(MINA)["acknowledged_by"] == "admin"),
    "snooze": Act(f"/users/{MINA}", (press("Snooze"),), "user.snooze", lambda w: w.issue(MINA)["snoozed_until"]),
    "pause a queue": Act("/queues", (press("Pause"),), "queue.pause",
                         lambda w: len(queues_of(w.redis).paused_queues()) == 1),
    "resume a queue": Act("/queues", (press("Pause"), press("Resume")), "queue.resume",
                          lambda w: not queues_of(w.redis).paused_queues()),
    "cancel a job": Act(f"/jobs/{_QUEUED}", (press("Cancel"),), "job.cancel",
                        lambda w: w.status(_QUEUED) == "canceled" and dead.find_open(w.db, "event", "e-queued")),
    "requeue a job": Act(f"/jobs/{_QUEUED}", (press("Cancel"), press("Requeue")), "job.requeue",
                         lambda w: w.queued("events") == [_QUEUED]),
    "delete a job": Act(f"/jobs/{_QUEUED}", (press("Cancel"), press("Delete")), "job.delete",
                        lambda w: w.status(_QUEUED) == ""),
    "cancel those chosen": Act("/queues/events/queued", (press("Select "), press("Cancel selected")), "job.cancel",
                               lambda w: w.queued("events") == []),
    "stop a worker": Act("/queues", (press("Stop after its jobs"),), "worker.stop",
                         lambda w: w.told_to_worker() == ["shutdown"]),
    "run a schedule": Act("/queues", (press("Run now"),), "schedule.run",
                          lambda w: Schedules(queues_of(w.redis)).all()[0].due_at <= clock.now()),
    "reveal": Act(f"/users/{JACK}", (press("Reveal this user"),), "user.reveal", lambda w: True,
                  role="viewer", shows="Jack Doe"),
    "times": Act("/events", (press("UTC"),), "", lambda w: True, role="viewer", shows=f"{clock.now():%Y-%m-}"),
}  # fmt: skip


def test_by_the_mouse(site: Site, open_page: Open, seen: Seen) -> None:
    """Each is done, and the audit log says by whom."""
    seen.expected.add(422)
    pages = {role: open_page(role) for role in ("admin", "viewer")}

    assert _wrong(site, pages, _by_mouse) == {}


def test_by_the_keyboard_without_javascript(site: Site, open_page: Open, seen: Seen) -> None:
    """The same with Tab, Enter, space and letters; what has the focus is seen to have it."""
    seen.expected.add(422)
    pages = {role: open_page(role, javascript=False) for role in ("admin", "viewer")}

    assert _wrong(site, pages, _by_keyboard) == {}


def test_rows_by_letters(page: Page) -> None:
    """`j` and `k` move, Enter opens the row, `g u` leads to the users, `/` to the search; so does a click in a row."""
    page.goto("/events")
    names = page.eval_on_selector_all("tbody td:nth-child(4) a", "all => all.map(each => each.pathname)")
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.pathname") == names[1]
    assert is_focus_seen(page)
    page.keyboard.press("x")
    assert page.locator("tbody tr").nth(1).locator("input:checked").count() == 1

    page.keyboard.press("Enter")
    page.wait_for_url(f"**{names[1]}")
    page.keyboard.press("g")
    page.keyboard.press("u")
    page.wait_for_url("**/users")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "search"

    page.locator("tbody tr td:last-child").first.click()
    page.wait_for_url("**/users/u-*")


def _wrong(site: Site, pages: dict[Role, Page], do: Callable[[Page, Step], None]) -> dict[str, str]:
    """Act -> what was not so afterwards."""
    found = {}
    with site.redis.pubsub() as orders:
        orders.subscribe("rq:pubsub:the-worker")
        for name, act in ACTS.items():
            page = pages[act.role]
            page.goto("about:blank")  # a page that follows something would ask for it in the next world
            _anew(site)
            try:
                page.goto(act.page)
                for step in act.steps:
                    do(page, step)
                found[name] = _judge(site, orders, page, act)
            except Exception as error:
                found[name] = f"{page.url}: {str(error)[:300]}"
    return {name: wrong for name, wrong in found.items() if wrong}


def _judge(site: Site, orders: PubSub, page: Page, act: Act) -> str:
    page.wait_for_load_state()
    with site.engine.connect() as connection:
        last = audit.lines(connection, limit=1)[0]
        if act.audited and (last["who"], last["action"], last["outcome"]) != (act.role, act.audited, "done"):
            return f"the audit says {last['action']} {last['outcome']} {last['reason']}"
        if not act.is_so(World(connection, site.redis, orders)):
            return f"it is not so; the page says {page.locator('#toast').inner_text()!r}"
    return "" if act.shows in page.inner_text("main") else f"{act.shows} is not shown"


def _anew(site: Site) -> None:
    """The building as it was before the act, with a worker and a schedule."""
    empty(site.engine, site.redis)
    furnish(site.engine, site.redis)
    site.redis.flushdb()  # nothing waits yet but one event
    accept(site.redis, "e-queued", acs_user_id=TOM)
    schedules = Schedules(queues_of(site.redis))
    schedules.plan("backfill", "workers.jobs.backfill_by_the_clock", "resync", every=timedelta(hours=1))
    schedules.began("backfill")
    site.redis.sadd("rq:workers", "rq:worker:the-worker")
    fields = {"state": "idle", "last_heartbeat": clock.iso(clock.now()), "queues": "events"}
    site.redis.hset("rq:worker:the-worker", mapping=fields)


def _by_mouse(page: Page, step: Step) -> None:
    if step.value is None:
        _named(page, step.name).click()
    else:
        _field(page, step.name).fill(step.value)


def _by_keyboard(page: Page, step: Step) -> None:
    """From what comes before it in the order of Tab, so that a page is not tabbed through for each step."""
    found = _named(page, step.name) if step.value is None else _field(page, step.name)
    found.evaluate(_BEFORE)
    page.keyboard.press("Tab")
    assert found.evaluate("each => each === document.activeElement"), f"Tab does not reach {step.name}"
    assert is_focus_seen(page), f"the focus on {step.name} is not seen"
    if step.value is not None:
        page.keyboard.press("Control+a")
        page.keyboard.type(step.value)
    elif found.evaluate("each => each.matches('[type=checkbox]')"):
        page.keyboard.press("Space")
    elif found.evaluate("each => each.matches('summary')"):
        page.keyboard.press("Enter")
    else:
        with page.expect_navigation():
            page.keyboard.press("Enter")


def _named(page: Page, name: str) -> Locator:
    """A button or link called so, or else whose name begins so; for `Select ` the first box of a row."""
    if name == "Select ":
        return page.locator("tbody input[type=checkbox]").first
    every = page.locator("main button:visible, main a:visible, main summary:visible, footer button:visible")
    exact = every.filter(has_text=re.compile(rf"^\s*{re.escape(name)}\s*$"))
    return exact.first if exact.count() else every.filter(has_text=re.compile(rf"^\s*{re.escape(name)}")).first


def _field(page: Page, label: str) -> Locator:
    return page.get_by_label(label).locator("visible=true").first


# Gives the focus to what comes before an element in the order of Tab.
_BEFORE = """each => { const all = [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex]")]
    .filter(one => one.tabIndex >= 0 && !one.disabled && one.type !== "hidden" && one.checkVisibility());
    all[all.indexOf(each) - 1].focus(); }"""
