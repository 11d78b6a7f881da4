"""The live tail: what comes is said, not pushed under the eyes of who reads; and nobody is served who does not look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seamkeeper import clock
from tests.browser.building import JACK
from tests.browser.conftest import Open, Site, until
from tests.console.web.conftest import keep_event

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]


def test_what_comes_is_said(site: Site, page: Page) -> None:
    """One line with the number; the rows stay until it is pressed. Hidden, the page asks nothing; seen again, it says
    what came meanwhile."""
    page.goto("/events")
    rows = page.locator("#events tbody tr")
    before, line = rows.count(), page.locator(".fresh")
    until(page, site.has_looked)  # what is there is not new

    keep_event(site.engine, "e-new", acs_user_id=JACK, at=clock.now())
    line.get_by_text("1 new event, show").wait_for()
    assert rows.count() == before

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    _hide(page, True)
    keep_event(site.engine, "e-while-hidden", acs_user_id=JACK, at=clock.now())
    page.wait_for_timeout(1500)
    assert asked == []
    assert line.inner_text() == "1 new event, show"
    _hide(page, False)
    line.get_by_text("2 new events, show").wait_for()

    line.get_by_role("link").click()
    page.locator("a[href='/events/e-while-hidden']").wait_for()
    assert rows.count() == before + 2


def test_a_filter_holds_for_what_is_new(site: Site, open_page: Open) -> None:
    """Of what does not fit nobody is told; on a live page what fits appears by itself."""
    page = open_page("viewer")
    page.goto("/events?type=lock.locked&live=1")
    until(page, site.has_looked)

    keep_event(site.engine, "e-other", acs_user_id=JACK, at=clock.now())
    keep_event(site.engine, "e-fits", acs_user_id=JACK, event_type="lock.locked", at=clock.now())

    page.locator("a[href='/events/e-fits']").wait_for()
    assert page.locator("a[href='/events/e-other']").count() == 0


def _hide(page: Page, is_hidden: bool) -> None:
    """As when another tab is chosen, which a browser without a window has no way to do."""
    page.evaluate(
        """is => { Object.defineProperty(document, "hidden", {configurable: true, get: () => is});
        document.dispatchEvent(new Event("visibilitychange")); }""",
        is_hidden,
    )
