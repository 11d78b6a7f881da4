"""Words of strangers on every page: shown as words, whoever looks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.browser.conftest import Open, Seen, Site
from tests.browser.hostile import EVENT, ID, LONG, infest
from tests.browser.looking import overflow

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

_USER = f"/users/{quote(ID, safe='')}"
PAGES = (
    "/", "/events", f"/events/{quote(EVENT, safe='')}", f"/events/{quote(EVENT, safe='')}?payload=tree",
    "/events/rejected", "/dead", "/replays", "/replays/1", "/replays/2", "/users", _USER, "/users/u-long",
    "/users/plan", f"{_USER}/suspend", f"{_USER}/recreate", f"{_USER}/desired", "/queues", "/queues/events/queued",
    "/queues/reconcile/queued", "/jobs/hostile-job", "/jobs/e-hostile", "/settings", "/settings/audit",
    f"/events?search={quote(ID, safe='')}&type={quote(ID, safe='')}", f"/users?search={quote(ID, safe='')}",
    f"/replay?type={quote(ID, safe='')}", "/users?system=" + LONG,
)  # fmt: skip


@pytest.mark.parametrize(
    ("database_url", "role", "width"),
    [("postgresql", "viewer", 390), ("sqlite", "admin", 1300)],
    indirect=["database_url"],
)
def test_hostile_words_are_words(site: Site, open_page: Open, seen: Seen, role: str, width: int) -> None:
    """On every page, masked or not: no title but ours, no dialog, no element of theirs, nothing refused by the
    policy, no error in the browser, nothing wider than the window. The policy is not what saves us: no inline script
    is even in the page."""
    infest(site.engine, site.redis)
    seen.expected |= {403} if role != "admin" else set()
    page = open_page(role, width=width)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))

    found = {path[:60]: wrong for path in PAGES if (wrong := _wrong(page, path))}

    assert found == {}
    page.goto("/settings/audit")
    assert "<script>document.title='taken';alert(1)</script>" in page.inner_text("main")
    assert dialogs == []


def _wrong(page: Page, path: str) -> list[str]:
    answer = page.goto(path)
    assert answer is not None
    found = [f"status {answer.status}"] if answer.status not in (200, 403) else []
    if not page.title().endswith(" · Seamkeeper") or page.title().startswith("taken"):
        found.append(f"the title is {page.title()[:60]}")
    if theirs := page.evaluate(_THEIRS):
        found.append(f"elements of theirs: {theirs}")
    if (wide := overflow(page)) > 0:
        found.append(f"{wide} px wider than the window")
    if page.locator("h1").count() != 1:
        found.append("not one h1")
    return found


# what only a stranger would have put into a page
_THEIRS = """[...document.querySelectorAll('script:not([src="/static/console.js"]), style, iframe, [style], '
    + 'img:not([src="/static/mark.svg"]), svg[onload], [onerror], [onfocus], [autofocus]')]
    .map(each => each.outerHTML.slice(0, 80))"""
