"""`make pictures`: the pictures of docs/pictures, of a real `seamkeeper dev` in which a few things go wrong.

`--all FOLDER` takes one of every page instead, in both schemes and on a phone, for whoever changes how they look.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.stack import ROOT, eventually, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SHOWN = ROOT / "docs" / "pictures"
REFUSED = "+10005550101"
_LIFE = 75  # seconds of an ordinary day before anything goes wrong
_DESK, _PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


class Building:
    """`seamkeeper dev` and its simulator, from outside."""

    def __init__(self, said: str) -> None:
        self.console = _address(said, "Console")
        self._seam = re.search(r"the simulator at (\S+)", said)[1]  # type: ignore[index]

    def world(self, path: str, **keys: Any) -> Any:
        """Something happens at Seam, or at the access system."""
        return httpx.post(f"{self._seam}/_simulator{path}", json=keys, timeout=10).raise_for_status().json()

    def people(self) -> list[dict[str, Any]]:
        """As Seam has them."""
        found: list[dict[str, Any]] = httpx.get(f"{self._seam}/_simulator/users", timeout=10).json()["users"]
        return found

    def page(self, path: str) -> str:
        """What the console answers."""
        return httpx.get(f"{self.console}{path}", timeout=20).raise_for_status().text

    def wants(self, acs_user_id: str, **values: str) -> None:
        """The customer's application says so."""
        headers = {"sec-fetch-site": "same-origin"}
        url = f"{self.console}/api/v1/desired/{acs_user_id}"
        httpx.put(url, json=values, headers=headers, timeout=10).raise_for_status()


@contextmanager
def building(seed: int = 7) -> Iterator[Building]:
    """On free ports, in a folder of its own; its people are looked at before anything goes wrong."""
    with tempfile.TemporaryDirectory(prefix="sk-pictures-") as folder:
        quick = {
            "SEAMKEEPER_RETRY_DELAYS": "1,2",
            "SEAMKEEPER_CIRCUIT_FAILURES": "100000",
            "SEAMKEEPER_REREAD_DELAYS": "1,2,5",
        }
        environ = {"PATH": os.environ["PATH"], "HOME": folder, "PYTHONPATH": str(ROOT), "SEAMKEEPER_DATA_DIR": folder}
        log = Path(folder) / "said"
        port = str(free_port())
        quick["SEAMKEEPER_WEBHOOK_URL"] = f"http://127.0.0.1:{port}/webhooks/seam"
        arguments = ["--port", port, "--console-port", str(free_port()), "--users", "14", "--seed", str(seed)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "console", "dev", *arguments], env=environ | quick, stdout=out, stderr=out,
                cwd=ROOT,
            )  # fmt: skip
        try:
            eventually(lambda: "  Try " in log.read_text(), what="seamkeeper dev")
            yield Building(log.read_text())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def go_wrong(of: Building) -> dict[str, str]:
    """The troubles of docs/runbook.md; gives the names of what shows them."""
    eventually(lambda: len(of.people()) > 9 and "in sync" in of.page("/users"), what="the first look")
    time.sleep(_LIFE)
    people = [each["acs_user_id"] for each in of.people() if not each["errors"] and not each["warnings"]]
    jack, mina, cleo, *others = people
    of.world("/alive", on=False)
    of.world("/mutations/settings", refused_numbers=[REFUSED])
    of.world("/users/warning", acs_user_id=jack, code="salto_ks_user_not_subscribed")
    of.wants(jack, phone_number=REFUSED, full_name=_name(of, jack))
    of.world("/users/error", acs_user_id=mina, code="salto_ks_subscription_limit_exceeded")
    of.world("/credentials/issue", acs_user_id=jack)
    of.world("/credentials/issue", acs_user_id=mina)
    eventually(lambda: "seam:400" in of.page("/dead"), what="the refused number")
    of.world("/outage", on=True)
    for each in [*others[:4], cleo]:
        of.world("/credentials/issue", acs_user_id=each)
    of.world("/users/add", announce=True)
    eventually(lambda: "seam:5xx" in of.page("/dead"), what="the outage")
    time.sleep(6)
    of.world("/outage", on=False)
    of.world("/users/delete", acs_user_id=others[4])
    of.world("/credentials/issue", acs_user_id=others[5])
    of.world("/users/add", announce=True)
    of.world("/users/add", announce=True)
    time.sleep(6)
    [event] = re.findall(r'href="(/events/[0-9a-f-]{36})"', of.page("/events?status=dead"))[:1]
    return {"user": f"/users/{jack}", "limit": f"/users/{mina}", "event": event}


def taken(browser: Browser, of: Building, found: dict[str, str]) -> None:
    """Those of the documents."""
    wanted = (
        ("overview", "/", 980, "light"), ("overview-dark", "/", 980, "dark"), ("user", found["user"], 1240, "light"),
        ("event", found["event"], 1000, "light"), ("queues", "/queues", 1140, "light"),
        ("dead-letters", "/dead", 980, "light"),
    )  # fmt: skip
    SHOWN.mkdir(exist_ok=True)
    for name, path, height, scheme in wanted:
        size = {"width": 1280, "height": height}
        _take(browser, of.console + path, SHOWN / f"{name}.png", size, scheme)
    _take(browser, of.console + found["user"], SHOWN / "user-phone.png", _PHONE, "light", scale=2)


def all_taken(browser: Browser, of: Building, found: dict[str, str], folder: Path) -> None:
    """One of every page, whole."""
    paths = {
        "overview": "/", "events": "/events", "events-none": "/events?search=nobody", "rejected": "/events/rejected",
        "event": found["event"], "users": "/users", "users-none": "/users?search=nobody", "user": found["user"],
        "user-limit": found["limit"], "desired": f"{found['user']}/desired", "suspend": f"{found['user']}/suspend",
        "users-plan": "/users/plan", "queues": "/queues", "finished": "/queues/events/finished",
        "failed": "/queues/reconcile/failed", "dead": "/dead", "discard": "/dead/discard?cause=seam:5xx",
        "plan": "/replay?status=dead&cause=seam:5xx", "replays": "/replays", "settings": "/settings",
        "audit": "/settings/audit", "missing": "/nowhere", "user-missing": "/users/none",
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        for kind, size, scheme in (("desk", _DESK, "light"), ("dark", _DESK, "dark"), ("phone", _PHONE, "light")):
            _take(browser, of.console + path, folder / f"{name}-{kind}.png", size, scheme, is_whole=True)
    wrong = {"Telephone number": "5550101", "E-mail address": "nobody"}
    for kind, size in (("desk", _DESK), ("phone", _PHONE)):
        _after(browser, f"{of.console}{found['user']}/desired", "Save", folder / f"mistakes-{kind}.png", size, wrong)
        replay = of.console + paths["plan"] if kind == "desk" else f"{of.console}/replay?status=done"
        _after(browser, replay, "Replay", folder / f"progress-{kind}.png", size, {})


def _after(browser: Browser, url: str, button: str, to: Path, size: Any, fields: dict[str, str]) -> None:
    """What a form answers."""
    context = browser.new_context(viewport=size)
    page = context.new_page()
    page.goto(url)
    for label, text in fields.items():
        page.get_by_label(label).fill(text)
    page.locator("main").get_by_role("button", name=button).click()
    page.screenshot(path=to, full_page=True)
    context.close()


def _take(
    browser: Browser, url: str, to: Path, size: Any, scheme: Any, *, scale: float = 1, is_whole: bool = False
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=scale)
    page: Page = context.new_page()
    page.goto(url)
    page.screenshot(path=to, full_page=is_whole)
    context.close()


def _name(of: Building, acs_user_id: str) -> str:
    return next(str(each["full_name"]) for each in of.people() if each["acs_user_id"] == acs_user_id)


def _address(said: str, name: str) -> str:
    found = re.search(rf"^  {name} +(http\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


def main() -> None:
    """Takes them."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page, into this folder")
    folder = parser.parse_args().all
    with building() as of, sync_playwright() as playwright:
        found = go_wrong(of)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        if folder:
            all_taken(browser, of, found, folder)
        else:
            taken(browser, of, found)
        browser.close()


if __name__ == "__main__":
    main()
