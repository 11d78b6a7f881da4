"""The browser tests are not blind: what they are there to find, they find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Seen, until
from tests.browser.looking import faults

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]


def test_what_the_policy_refuses_is_noticed(page: Page, seen: Seen) -> None:
    """An inline script, an inline style and a picture from elsewhere do nothing, and each is a problem."""
    page.goto("/")
    page.evaluate(
        """() => { for (const [name, text] of [["script", "document.title = 'taken'"], ["style", "p { color: red }"]]) {
            const made = document.createElement(name); made.textContent = text; document.body.append(made); }
        const made = new Image(); made.src = "https://elsewhere.example/x.png"; document.body.append(made); }"""
    )
    until(page, lambda: sum("Content Security Policy" in each for each in seen.problems) >= 3)

    refused = [each for each in seen.problems if "Content Security Policy" in each]
    seen.problems.clear()
    assert len(refused) == 3
    assert page.title() != "taken"


def test_a_mistake_in_a_script_is_noticed(page: Page, seen: Seen) -> None:
    """So is an answer of 404 that nobody expected."""
    page.goto("/")
    page.evaluate("setTimeout(() => nothing.here, 0)")
    page.evaluate("fetch('/nowhere')")
    until(page, lambda: len(seen.problems) >= 2)

    found = " ".join(seen.problems)
    seen.problems.clear()
    assert "nothing is not defined" in found
    assert "404" in found


def test_a_page_that_is_hard_to_use_is_noticed(page: Page) -> None:
    """A picture without words, a second heading, something too wide, something before the skip link."""
    page.goto("/queues")
    page.evaluate(
        """() => { const more = document.createElement("div"), first = document.createElement("button");
        more.append(Object.assign(new Image(), {src: "/static/mark.svg", width: 1500}), document.createElement("h1"));
        first.textContent = "first"; document.body.prepend(first); document.querySelector("main").append(more); }"""
    )

    found = " ".join(faults(page))
    for each in ("image-alt", "2 h1", "wider than the window", "the skip link is not the first"):
        assert each in found
