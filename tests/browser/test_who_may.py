"""Who may act: not a page elsewhere, not a viewer, not somebody who guesses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from seamkeeper.database import audit, desired_users, policies
from tests.browser.building import DEAD_EVENT, JACK, MINA
from tests.browser.conftest import Open, Seen, Site
from tests.console.web.conftest import queues_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

TARGETS = (f"/users/{JACK}/pause", f"/events/{DEAD_EVENT}/replay", "/queues/events/pause", "/dead/discard",
           f"/api/v1/users/{JACK}/pause", "/preferences?times=utc")  # fmt: skip


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of somebody else on another port of this machine: another origin, yet the same site and its cookies."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>elsewhere</title><link rel=icon href=data:,>")

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join(10)


def test_a_page_elsewhere_changes_nothing(site: Site, page: Page, seen: Seen, elsewhere: str) -> None:
    """With an admin signed in: its forms get 403, its fetches are refused or unread, no frame of ours opens in it, and
    nothing is done, kept or written into the audit."""
    seen.expected |= {403, 404}  # 404: a refusal in plain words has no icon
    page.goto("/")
    before = _world(site)

    for target in TARGETS:
        page.goto(elsewhere)
        with page.expect_navigation() as told:
            page.evaluate(_FORM, site.url + target)
        assert told.value.status == 403, target
        assert told.value.request.all_headers()["sec-fetch-site"] == "same-site"
    page.goto(elsewhere)
    for target in TARGETS:
        for mode in ("no-cors", "cors"):
            page.evaluate(_FETCH, [site.url + target, mode])
    page.evaluate(_FRAME, site.url + "/users")
    page.wait_for_timeout(200)
    seen.problems.clear()  # the browser says which of these it refused

    assert _world(site) == before
    assert not [cookie for cookie in page.context.cookies() if cookie["name"] == "seamkeeper_times"]


def test_a_viewer_acts_nowhere(site: Site, open_page: Open, seen: Seen) -> None:
    """No form that posts is shown but the reveal and how times are written; one that is made up gets 403."""
    seen.expected.add(403)
    page, before = open_page("viewer"), _world(site)

    for path in ("/events", f"/events/{DEAD_EVENT}", "/dead", "/users", f"/users/{JACK}", f"/users/{MINA}", "/queues",
                 "/queues/events/queued", "/jobs/e-queued", "/replays/1", "/settings"):  # fmt: skip
        page.goto(path)
        found = page.eval_on_selector_all("main form[method=post]", "all => all.map(each => each.action)")
        assert [each for each in found if not each.endswith("/reveal")] == [], path
    for target in (*TARGETS[:4], f"/users/{JACK}/desired", "/replays", "/replays/1/stop", "/settings/webhook/repair"):
        status = page.evaluate("path => fetch(path, {method: 'POST'}).then(answer => answer.status)", target)
        assert status == 403, target

    assert _world(site) == before


def test_who_guesses_is_stopped(site: Site, browser: Browser) -> None:
    """After ten wrong passwords of one name from one address even the right one waits a minute; other names do not."""
    told = [_status(browser, site, "admin", f"guess {number}") for number in range(10)]

    assert set(told) == {401}
    assert _status(browser, site, "admin", "the password of the admin") == 429
    assert _status(browser, site, "viewer", "the password of the viewer") == 200


def _status(browser: Browser, site: Site, name: str, password: str) -> int:
    told = {"username": name, "password": password, "send": "always"}
    context = browser.new_context(base_url=site.url, http_credentials=told)
    try:
        return int(context.request.get("/events").status)
    finally:
        context.close()


def _world(site: Site) -> list[Any]:
    """What an action would have changed."""
    tables = [select(func.count()).select_from(each) for each in (audit, policies, desired_users)]
    with site.engine.connect() as connection:
        counts = [connection.scalar(each) for each in tables]
    waiting = [site.redis.lrange(f"rq:queue:{name}", 0, -1) for name in ("events", "reconcile")]
    return [*counts, waiting, queues_of(site.redis).paused_queues()]


_FORM = """address => { const form = document.createElement("form");
    Object.assign(form, {method: "post", action: address}); document.body.append(form); form.submit(); }"""
_FETCH = """([address, mode]) => fetch(address, {method: "POST", mode, credentials: "include", body: "hours=24",
    headers: {"content-type": "application/x-www-form-urlencoded"}}).then(() => "", error => String(error))"""
_FRAME = """address => { const frame = document.createElement("iframe"); frame.src = address;
    document.body.append(frame); }"""
