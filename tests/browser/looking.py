"""What every page must be, whatever it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


_COLOURS = ["color-contrast", "link-in-text-block"]


def axe_findings(page: Page, *rules: str) -> list[str]:
    """What axe-core finds wrong, one line for each rule; empty when nothing is. `rules`: only these."""
    from axe_playwright_python.sync_playwright import Axe

    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)  # not by the page: its policy stays as it is
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = page.evaluate("options => axe.run(document, options).then(found => found.violations)", options)
    return [f"{each['id']}: {each['help']}: {[node['target'] for node in each['nodes']][:3]}" for each in found]


def axe_clean(page: Page) -> None:
    """Nothing that axe-core knows of keeps anybody from using this page."""
    assert axe_findings(page) == [], page.url


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def faults(page: Page) -> list[str]:
    """All of it: axe (most of the time), the width, one heading, and the skip link first in the order of Tab, and seen
    there. Then the other scheme: the same page in other colours."""
    found = axe_findings(page)
    if (wide := overflow(page)) > 0:
        found.append(f"{wide} px wider than the window: {_widest(page)}")
    if (headings := page.locator("h1").count()) != 1:
        found.append(f"{headings} h1")
    page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    page.keyboard.press("Tab")
    if not page.evaluate("document.activeElement.matches('a.skip')"):
        found.append("the skip link is not the first")
    elif not page.evaluate(_IS_SEEN):
        found.append("the skip link has the focus and is not seen")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        found += axe_findings(page, *_COLOURS) if scheme == "dark" else []
    return found


_IS_SEEN = """(() => { const at = document.activeElement, box = at.getBoundingClientRect(), how = getComputedStyle(at);
    return box.top >= 0 && box.height > 8 && (how.outlineStyle !== "none" || how.boxShadow !== "none"); })()"""


def is_focus_seen(page: Page) -> bool:
    """What has the focus is on the screen, with a ring around it."""
    return bool(page.evaluate(_IS_SEEN))


def _widest(page: Page) -> str:
    """Which elements reach beyond the right edge."""
    return str(
        page.evaluate(
            """[...document.querySelectorAll('main *, header *, footer *')]
            .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .slice(0, 3).map(each => each.tagName + '.' + each.className)"""
        )
    )
