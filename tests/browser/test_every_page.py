"""Every page: usable by everybody, in both schemes, on a desk and on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from starlette.routing import Route

from console.web.app import routes
from seamkeeper.rqjob import job_id_for
from tests.browser.building import DEAD_EVENT, JACK, empty
from tests.browser.conftest import Open, Seen, Site
from tests.browser.looking import faults

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

WIDTHS = (1300, 390)
# What stands for each parameter of a path; a page with another one needs a line here.
EXAMPLES = {
    "acs_user_id": JACK, "event_id": DEAD_EVENT, "queue": "events", "registry": "queued", "replay_id": "1",
    "job_id": job_id_for("e-queued"), "id": "1", "issue_id": "1", "name": "events",
}  # fmt: skip
# what answers with something else than a page
NO_PAGES = ("/metrics", "/livez", "/readyz", "/live", "/events/export", "/users/{acs_user_id:path}/reveal")
QUERIES = {"/dead/discard": "?cause=seam:no_answer", "/replay": "?status=dead"}  # pages that need to be told of what
MORE = ("/users?search=nobody", "/events?status=dead", "/users/u-gone", "/users/u-never-read", "/events/e-done")
OF_A_VIEWER = ["/events", f"/events/{DEAD_EVENT}", "/dead", "/users", f"/users/{JACK}", f"/users/{JACK}/desired"]
EMPTY = ("/", "/events", "/events/rejected", "/dead", "/users", "/users/plan", "/replays", "/queues", "/settings/audit")
MISSING = ("/nowhere", "/users/none", "/events/none")


def addresses() -> list[str]:
    """Every page that the console lists, with an example of each parameter, and some that look otherwise."""
    found = []
    for route in routes:
        if isinstance(route, Route) and "GET" in (route.methods or ()) and route.path not in NO_PAGES:
            path = route.path_format.format_map({name: quote(value) for name, value in EXAMPLES.items()})
            found.append(path + QUERIES.get(path, ""))
    return [*dict.fromkeys(found), *MORE]


def wrong_ones(page: Page, paths: list[str], *, widths: tuple[int, ...] = WIDTHS[:1]) -> dict[str, list[str]]:
    """Page and width -> what is wrong there."""
    found = {}
    for path in paths:
        page.goto(path)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 1000})
            found[f"{path} at {width} px"] = faults(page)
    return {where: wrong for where, wrong in found.items() if wrong}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_page(open_page: Open) -> None:
    """No finding of axe in either scheme, nothing beyond the edge, one heading, the skip link first, no error in the
    browser."""
    assert wrong_ones(open_page("admin"), addresses(), widths=WIDTHS) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_page_of_a_viewer(open_page: Open, seen: Seen) -> None:
    """The same where names are masked and buttons are missing; the pages before an action say whom it takes."""
    seen.expected.add(403)

    assert wrong_ones(open_page("viewer"), OF_A_VIEWER) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_first_day(site: Site, page: Page) -> None:
    """Pages with nothing to show are pages, too."""
    empty(site.engine, site.redis)

    assert wrong_ones(page, list(EMPTY)) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_not_there(open_page: Open, seen: Seen) -> None:
    """A page like the others, which says so."""
    seen.expected.add(404)

    assert wrong_ones(open_page(), list(MISSING)) == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_reading_needs_no_javascript(open_page: Open) -> None:
    """Every page has its heading and its navigation, and the links of it lead there."""
    page = open_page(javascript=False)
    page.goto("/")

    for link in ("Events", "Users", "Queues", "Dead letters", "Settings", "Overview"):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=link).click()
        assert page.locator("h1").count() == 1
        assert page.locator("nav a[aria-current=page]").inner_text().startswith(link)
