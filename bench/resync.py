"""A resync of many users who are in the mirror already: its time beside that of its pages alone, and its memory.

Seam is a small server that answers each page after 50 ms, its pages rendered beforehand: what is measured is ours.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from console import embedded_redis

_ROOT = Path(__file__).parent.parent
_PAGE, _SYSTEM = 500, "00000000-0000-4000-8000-000000000000"
_WAIT = 0.05  # seconds before each page
_LINES = {"pages": "the pages alone", "resync": "the resync"}


@dataclass(frozen=True, slots=True)
class Measured:
    """Of so many users: seconds for the pages alone and for the resync, and the peak of its process in MiB."""

    users: int
    pages: float
    resync: float
    peak: float


def measure(*, sizes: tuple[int, ...], rounds: int) -> list[Measured]:
    """Each size on a Redis and a SQLite file of its own; the two are taken in turns, each run a process."""
    found = []
    for users in sizes:
        folder = Path(tempfile.mkdtemp(prefix="sk-bench-"))
        server = embedded_redis.start(folder)
        try:
            with _seam(users) as url:
                environ = {
                    **os.environ, "REDIS_URL": server.url, "DATABASE_URL": f"sqlite:///{folder / 'mirror.db'}",
                    "SEAM_API_KEY": "seam_bench", "SEAM_ENDPOINT": url, "SEAMKEEPER_LOG_FORMAT": "json",
                }  # fmt: skip
                _run("fill", environ)
                taken = [{what: _run(what, environ) for what in _LINES} for _ in range(rounds)]
        finally:
            server.stop()
        seconds = {what: statistics.median(each[what]["seconds"] for each in taken) for what in _LINES}
        found.append(Measured(users, **seconds, peak=max(each["resync"]["peak"] for each in taken)))
    return found


def table(found: list[Measured]) -> str:
    """For people and for Markdown."""
    lines = ["| users | pages alone | resync | ratio | peak of the process |", "|---|---|---|---|---|"]
    for each in found:
        seconds = f"{each.pages:.2f} s | {each.resync:.2f} s | {each.resync / each.pages:.2f}"
        lines.append(f"| {each.users:,} | {seconds} | {each.peak:.0f} MiB |")
    return "\n".join(lines)


def _run(what: str, environ: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.resync", what]
    done = subprocess.run(command, env=environ, cwd=_ROOT, check=True, capture_output=True, text=True)
    return cast(dict[str, float], json.loads(done.stdout.splitlines()[-1]))


def _work(what: str) -> None:
    """In a process of its own: the peak of memory is that of a process."""
    from seamkeeper import migrations
    from seamkeeper.settings import load
    from workers import resync, tools

    made = tools.make_tools(load())
    if what == "fill":
        migrations.upgrade(made.engine)
    else:
        made.seam.look_at(_SYSTEM, None)  # connections and imports are not what is measured
    began = time.perf_counter()
    if what == "pages":
        for _ in made.seam.user_pages(_SYSTEM):
            pass
    else:
        resync.resync_system(made, _SYSTEM, why="bench")
        while made.queues.redis.exists(made.queues.keys.resync_pass(_SYSTEM)):
            resync.resync_system(made, _SYSTEM, why="bench", goes_on=True)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


@contextmanager
def _seam(users: int) -> Iterator[str]:
    pages = [_page(users, start) for start in range(0, users, _PAGE)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if "1" not in query["limit"]:
                time.sleep(_WAIT)
            body = pages[int(query.get("page_cursor", ["0"])[0])]
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)

        def log_message(self, *_arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _page(users: int, start: int) -> bytes:
    end = min(start + _PAGE, users)
    cursor = str(end // _PAGE) if end < users else None
    pagination = {"has_next_page": cursor is not None, "next_page_cursor": cursor, "next_page_url": None}
    found = {"acs_users": [_user(number) for number in range(start, end)], "pagination": pagination, "ok": True}
    return json.dumps(found).encode()


def _user(number: int) -> dict[str, Any]:
    """As large as the API's own."""
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    return {
        "acs_user_id": f"{number:08d}-0000-4000-8000-000000000000", "acs_system_id": _SYSTEM, "workspace_id": _SYSTEM,
        "connected_account_id": _SYSTEM, "created_at": at, "display_name": f"Person {number}", "is_managed": True,
        "full_name": f"Person {number}", "email": f"p{number}@example.com", "email_address": f"p{number}@example.com",
        "phone_number": f"+1555{number:07d}", "hid_acs_system_id": None, "external_type": "salto_ks_user",
        "external_type_display_name": "Salto KS User", "is_suspended": False, "access_schedule": None,
        "user_identity_id": None, "user_identity_full_name": None, "user_identity_email_address": None,
        "user_identity_phone_number": None, "errors": [], "warnings": [], "pending_mutations": [],
        "last_successful_sync_at": at, "salto_ks_metadata": {"is_subscribed": True},
    }  # fmt: skip


if __name__ == "__main__":
    _work(sys.argv[1])
