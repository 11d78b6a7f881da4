"""Redis or the database goes away while somebody looks, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine, text

from seamkeeper import audit
from tests.browser.building import DEAD_EVENT, JACK
from tests.browser.conftest import Open, Seen, Site
from tests.browser.looking import faults
from tests.console.web.conftest import queues_of
from tests.redis_servers import OwnRedis, own_redis

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NEED_REDIS = ("/", f"/events/{DEAD_EVENT}", f"/users/{JACK}", "/queues", "/settings")
NEED_THE_DATABASE = ("/", "/events", "/dead", "/users", f"/users/{JACK}")


@pytest.fixture
def redis_server() -> Iterator[OwnRedis]:
    """In place of the one that all tests share."""
    with own_redis() as server:
        yield server


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_redis_stops_and_comes_back(site: Site, page: Page, seen: Seen, redis_server: OwnRedis) -> None:
    """A live page says of when it is and offers nothing to press; what was pressed just before is done or said not to
    be; each page is a page; and without a reload all is as before."""
    seen.expected.add(503)
    page.clock.install()
    page.goto("/queues?live=1")
    pause = page.get_by_role("button", name="Pause").first

    redis_server.stop()
    _later(page, "Redis could not be read")
    assert "Showing the state of" in page.locator(".stale").inner_text()
    assert page.locator("main form[method=post] button:enabled").count() == 0
    other = page.context.new_page()
    seen.watch(other)
    assert _wrong(other, NEED_REDIS) == {}

    redis_server.start()
    _later(page, None)
    pause.click()
    page.get_by_text("is paused: what runs ends").wait_for()
    assert len(queues_of(site.redis).paused_queues()) == 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_database_stops_and_comes_back(
    site: Site, open_page: Open, seen: Seen, database_url: str, postgresql_url: str
) -> None:
    """The same; what is pressed while it is away is not done, and said not to be."""
    seen.expected.add(503)
    page, pressed = open_page(), open_page()
    page.clock.install()
    page.goto("/events?live=1")
    rows = page.locator("tbody tr").count()
    pressed.goto(f"/users/{JACK}")
    name = str(site.engine.url.database)

    _let_in(postgresql_url, name, False)
    site.engine.dispose()
    _later(page, "The database could not be read")
    assert page.locator("tbody tr").count() == rows
    pressed.get_by_role("button", name="Refresh from Seam").click()
    pressed.get_by_text("did not answer").wait_for()
    assert _wrong(pressed, NEED_THE_DATABASE) == {}

    _let_in(postgresql_url, name, True)
    _later(page, None)
    assert page.locator("tbody tr").count() == rows
    assert not _lines(site.engine, "user.refresh")
    pressed.goto(f"/users/{JACK}")
    pressed.get_by_role("button", name="Refresh from Seam").click()
    pressed.get_by_text("Asked for: the user is read").wait_for()
    assert [each["outcome"] for each in _lines(site.engine, "user.refresh")] == ["done"]


def _wrong(page: Page, paths: tuple[str, ...]) -> dict[str, list[str]]:
    """Page -> what is wrong with it, when it cannot be whole: it still is a page, says so and offers nothing."""
    found = {}
    for path in paths:
        answer, wrong = page.goto(path), faults(page)
        is_read = answer is not None and answer.status == 200  # it needs nothing of what is away
        if not is_read and not page.locator("[role=alert], .wrong").count():
            wrong.append("it does not say so")
        if buttons := page.locator("main form[method=post] button:enabled").all_inner_texts():
            wrong.append(f"offers {buttons}")
        found[path] = wrong
    return {path: wrong for path, wrong in found.items() if wrong}


def _later(page: Page, said: str | None) -> None:
    """Time goes on until it is said, or until nothing is said any more."""
    line = page.locator(".stale").filter(has_text=said or "")
    for _ in range(200):
        page.clock.run_for(5000)
        page.wait_for_timeout(300)
        if bool(line.count()) == (said is not None):
            return
    raise AssertionError(f"{said or 'the sentence'}: {page.locator('.stale').all_inner_texts()}")


def _lines(engine: Engine, action: str) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(each) for each in audit.lines(connection) if each["action"] == action]


def _let_in(server: str, name: str, is_open: bool) -> None:
    """A database that closes its connections and takes no other is, to its clients, one that was stopped."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {"true" if is_open else "false"}'))
        if not is_open:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"), {"n": name}
            )
    engine.dispose()
