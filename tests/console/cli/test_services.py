"""The commands that are doors, and those that look after them: serve, worker, console, migrate, sync, health."""

from __future__ import annotations

import http.server
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Worker

from console import door
from console.cli import COMMANDS, services
from tests.conftest import SECRET
from tests.stack import eventually, free_port, stack

from .conftest import NOBODY, Seamkeeper

HEAVY = ("sqlalchemy", "redis", "rq", "seam", "rich", "jinja2", "uvicorn", "httpx", "alembic")
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["desired", "set", "--help"], ["dev", "--help"]])
def test_help_is_quick(arguments: list[str]) -> None:
    """Nothing heavy is imported to answer it."""
    program = (
        "import sys; sys.argv = ['seamkeeper', *sys.argv[1:]]\n"
        "from console.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"
    assert done.stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "simulate"])
def test_every_command_has_help(seamkeeper_anywhere: Seamkeeper, name: str) -> None:
    """Also with wrong settings."""
    said = seamkeeper_anywhere(name, "--help", SEAM_WEBHOOK_SECRET="wrong")

    assert said.code == 0
    assert said.out.startswith(f"Usage: seamkeeper {name}")


def test_every_command_is_in_the_docs() -> None:
    """With its name as it is typed."""
    docs = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text(encoding="utf-8")

    assert [name for name in COMMANDS if f"seamkeeper {name}" not in docs] == []


@pytest.mark.parametrize(
    "arguments", [["plan"], ["users", "nobody"], ["serve", "--port", "70000"], ["worker", "--processes", "0"]]
)
def test_what_is_not_there(seamkeeper_anywhere: Seamkeeper, arguments: list[str]) -> None:
    """Exit 2."""
    assert seamkeeper_anywhere(*arguments).code == 2


@pytest.mark.parametrize("name", ["serve", "worker", "scheduler", "console"])
def test_a_door_with_wrong_settings(tmp_path: Path, name: str) -> None:
    """Exit 2, every mistake with its variable."""
    wrong = {"SEAM_WEBHOOK_SECRET": "whsec_abc", "REDIS_URL": "http://x", "SEAMKEEPER_REPAIR": "perhaps"}

    done = subprocess.run(
        [sys.executable, "-m", "console", name], env={**os.environ, **wrong}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 2
    assert all(f"- {variable} " in done.stderr for variable in wrong)


def test_serve_needs_a_secret() -> None:
    """Exit 2."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEAM")}

    done = subprocess.run(
        [sys.executable, "-m", "console", "serve"], env=environ, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 2
    assert "SEAM_WEBHOOK_SECRET is not set" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        pytest.param(
            ["serve", "--workers", "2", "--trust-proxy", "10.0.0.1"],
            ["receiver", "--host", "127.0.0.1", "--port", "8000", "--workers", "2", "--trust-proxy", "10.0.0.1"],
            id="serve",
        ),
        pytest.param(
            ["console", "--port", "0", "--allow-host", "a", "--allow-host", "b"],
            ["console.web", "--host", "127.0.0.1", "--port", "0", "--allow-host", "a", "--allow-host", "b"],
            id="console",
        ),
        pytest.param(
            ["worker", "--queues", "events"],
            ["workers", "worker", "--queues", "events", "--processes", "1", "--concurrency", "32"],
            id="worker",
        ),
        pytest.param(["scheduler"], ["workers", "scheduler"], id="scheduler"),
        pytest.param(["simulate", "--users", "3", "--help"], ["simulator", "--users", "3", "--help"], id="simulate"),
    ],
)
def test_a_door_gets_every_option(
    seamkeeper_anywhere: Seamkeeper, monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: list[str]
) -> None:
    """Port 0 is an option too."""
    became: list[list[str]] = []
    monkeypatch.setattr(services.os, "execv", lambda _program, argv: became.append(argv))

    seamkeeper_anywhere(*arguments)

    assert [sorted(each) for each in became] == [sorted(door.command(*command))]


@SQLITE
def test_serve_in_a_folder_with_modules_of_the_same_names(environment: dict[str, str], tmp_path: Path) -> None:
    """A `receiver` of the caller's own does not stand in the way of ours, with several processes neither."""
    folder = tmp_path / "theirs"
    for name in ("receiver", "workers", "console", "seamkeeper"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('theirs')")
    port = free_port()
    script = str(Path(sys.executable).parent / "seamkeeper")
    with stack(environment, tmp_path) as found, (tmp_path / "log").open("wb") as log:
        found.port = port
        found.running["serve"] = subprocess.Popen(
            [script, "serve", "--port", str(port), "--workers", "2"], env=environment, cwd=folder, stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip

        eventually(found.is_live, what="the receiver")


@SQLITE
def test_reactions_beside_the_caller_are_found(environment: dict[str, str], tmp_path: Path) -> None:
    """The folder in which `seamkeeper worker` is called is where a customer's module lies."""
    (tmp_path / "ours.py").write_text("REACTIONS = 5")
    script = str(Path(sys.executable).parent / "seamkeeper")
    environ = {**environment, "SEAMKEEPER_REACTIONS": "ours", "SEAM_API_KEY": "seam_test_key"}

    done = subprocess.run(
        [script, "worker"], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 2
    assert "ours has no dict REACTIONS" in done.stderr


def test_migrate(seamkeeper_anywhere: Seamkeeper, tmp_path: Path) -> None:
    """`--check` says whether it is needed; twice does no harm."""
    url = f"sqlite:///{tmp_path / 'new' / 'one.db'}"

    codes = [
        seamkeeper_anywhere("migrate", *arguments, DATABASE_URL=url).code
        for arguments in (["--check"], [], [], ["--check"])
    ]

    assert codes == [1, 0, 0, 0]
    assert seamkeeper_anywhere("users", "list", "--json", DATABASE_URL=url).json == []


@SQLITE
def test_a_database_of_a_newer_version(seamkeeper: Seamkeeper, tmp_path: Path) -> None:
    """Exit 1, and why."""
    with sqlite3.connect(tmp_path / "seamkeeper.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    said = seamkeeper("migrate")

    assert seamkeeper("migrate", "--check").code == 1
    assert said.code == 1
    assert "9999" in said.err


@SQLITE
def test_sync(seamkeeper: Seamkeeper, redis: Redis) -> None:
    """Users, systems, or everything; what was asked for is said, and asking twice is one job."""
    first = seamkeeper("sync", "u1", "u2", "--system", "s1", "--no-wait")
    second = seamkeeper("sync", "u1", "--all", "--no-wait")

    assert (first.code, first.out, first.err) == (0, "", "Asked for 2 users and 1 access system.\n")
    assert second.err == "Asked for 1 user and all access systems.\n"
    assert redis.llen("rq:queue:reconcile") == 2
    assert redis.llen("rq:queue:resync") == 2


@SQLITE
@pytest.mark.parametrize("arguments", [[], ["a b"], ["--system", ""]], ids=["nothing", "no-id", "no-system"])
def test_sync_of_nothing(seamkeeper: Seamkeeper, redis: Redis, arguments: list[str]) -> None:
    """Exit 2, and nothing is asked for."""
    assert seamkeeper("sync", *arguments).code == 2
    assert redis.keys("rq:*") == []


class _Ready(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def part() -> Iterator[str]:
    """Something that says it is ready."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Ready) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_health_of_what_answers(seamkeeper_anywhere: Seamkeeper, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 when it is ready, whatever proxy the environment names; 1 when it says it is not, and which part."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    well = seamkeeper_anywhere("health", "--receiver", part, "--console", f"{part}/")
    monkeypatch.setattr(_Ready, "status", 503)
    ill = seamkeeper_anywhere("health", "--receiver", part)

    assert (well.code, well.out, well.err) == (0, "", "")
    assert (ill.code, ill.err) == (1, f"Not well: the receiver at {part}.\n")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://127.0.0.1:port", "http://["])
def test_health_of_what_is_not_there(seamkeeper_anywhere: Seamkeeper, url: str) -> None:
    """1."""
    assert seamkeeper_anywhere("health", "--receiver", url).code == 1


def test_health_of_something_that_speaks_no_http(seamkeeper_anywhere: Seamkeeper) -> None:
    """1."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(1000)
                caller.sendall(b"+PONG\r\n")

        thread = threading.Thread(target=answer)
        thread.start()

        said = seamkeeper_anywhere("health", "--receiver", f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()

    assert said.code == 1


@SQLITE
def test_health_of_workers_and_scheduler(seamkeeper: Seamkeeper, redis: Redis) -> None:
    """A worker of this host for each queue, and a held lock: one does not stand in for another."""
    nobody = seamkeeper("health", "--worker", "--scheduler")
    for queue in ("events", "resync"):
        Worker([queue], connection=redis).register_birth()
    redis.set("rq:scheduler-lock:events", "1")
    two_of_three = seamkeeper("health", "--worker", "--scheduler")
    asked_for_two = seamkeeper("health", "--worker", "--queues", "events,resync")
    Worker(["reconcile"], connection=redis).register_birth()

    all_of_them = seamkeeper("health", "--worker", "--scheduler")

    assert (nobody.code, two_of_three.code, asked_for_two.code, all_of_them.code) == (1, 1, 0, 0)
    assert nobody.err.endswith("Not well: the scheduler.\n")
    assert two_of_three.err == "Not well: the workers of this host (queue reconcile).\n"


def test_health_of_nothing(seamkeeper_anywhere: Seamkeeper) -> None:
    """Exit 2: name a part; without Redis 5."""
    assert seamkeeper_anywhere("health").code == 2
    assert seamkeeper_anywhere("health", "--worker", REDIS_URL=NOBODY, SEAM_WEBHOOK_SECRET=SECRET).code == 5
