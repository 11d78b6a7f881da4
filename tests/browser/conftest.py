"""A real Chromium before a real console: one browser per file, one console per test, and nothing wrong unseen.

Importing this needs no Playwright: the everyday suite has none.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from redis import Redis
from sqlalchemy import Engine

from console.web.app import create_app
from seamkeeper.settings import Login, Role, Settings
from tests.browser.building import furnish

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
_PASSWORDS = {role: f"the password of the {role}" for role in ("viewer", "operator", "admin")}
_LOGINS = tuple(Login(role, role, _PASSWORDS[role]) for role in ("viewer", "operator", "admin"))
_STATUS = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of this machine, without a window. Without one the tests are skipped; in CI they fail. For one file:
    while Playwright is open an event loop runs in this thread, and the tests of others can have none of their own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("there is no chromium on PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (make test-browser)")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield found
        found.close()


@dataclass(frozen=True, slots=True)
class Site:
    """A console that listens: its address, and the stores behind it."""

    url: str
    engine: Engine
    redis: Redis
    settings: Settings
    server: uvicorn.Server

    def has_looked(self) -> bool:
        """Whether the reader of the live tail has seen what is there: what comes from now on is new to it."""
        return bool(self.server.lifespan.state["live"]._seen is not None)


def until(page: Page, is_so: Callable[[], object]) -> None:
    """The page goes on meanwhile, and what it says is heard."""
    for _ in range(600):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError("not within a minute")


@pytest.fixture
def settings(redis_url: str, database_url: str) -> Settings:
    """A login for each role."""
    return Settings(redis_url=redis_url, database_url=database_url, console_logins=_LOGINS)


@pytest.fixture
def site(settings: Settings, engine: Engine, redis: Redis) -> Iterator[Site]:
    """A console on a free port, over a building in which a few things are wrong (tests/browser/building.py)."""
    furnish(engine, redis)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(settings), log_level="critical", access_log=False, ws="none", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", engine, redis, settings, server)
    server.should_exit = True  # an orderly end, in which the connections are closed
    thread.join(90)
    listener.close()
    assert not thread.is_alive(), "the console does not end"


@dataclass
class Seen:
    """What went wrong on a page. `expected`: statuses of 400 and more that the test itself asks for."""

    problems: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        """From here on. What the policy (CSP) refuses is an error of the browser's console."""
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._note(page, message))

    def _note(self, page: Page, message: ConsoleMessage) -> None:
        status = _STATUS.match(message.text)
        if message.type in ("error", "warning") and not (status and int(status[1]) in self.expected):
            self.problems.append(f"{page.url}: {message.text}")


Open = Callable[..., Any]


@pytest.fixture
def seen() -> Iterator[Seen]:
    """Fails the test when anything went wrong on any of its pages."""
    found = Seen()
    yield found
    assert found.problems == []


@pytest.fixture
def open_page(browser: Browser, site: Site, seen: Seen) -> Iterator[Open]:
    """Opens a page as somebody: `role`, `scheme`, `width`, `javascript`."""
    contexts = []

    def opened(
        role: Role = "admin", *, scheme: str = "light", width: int = 1300, javascript: bool = True, **more: Any
    ) -> Page:
        context = browser.new_context(
            base_url=site.url,
            viewport={"width": width, "height": 1000},
            color_scheme=scheme,
            java_script_enabled=javascript,
            reduced_motion="reduce",
            http_credentials={"username": role, "password": _PASSWORDS[role]},
            **more,
        )
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        seen.watch(page)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: Open) -> Page:
    """As an admin, in the light scheme, on a desk."""
    return open_page()
