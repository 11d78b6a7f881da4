"""Who comes in, as whom; what each role may do; whose requests act; that looking changes nothing."""

from __future__ import annotations

import base64
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, select
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from console.web import app
from console.web.access import Access
from seamkeeper import audit, issues
from seamkeeper.database import metadata
from seamkeeper.settings import Login, Settings
from tests.console.web.conftest import Open, accept, keep_event, keep_user, queues_of

OURS = {"sec-fetch-site": "same-origin"}
SECRETS = {"eve": "viewer-password", "olga": "operator-password", "ada": "admin-password"}
LOGINS = (
    Login("eve", "viewer", SECRETS["eve"]),
    Login("olga", "operator", SECRETS["olga"]),
    Login("ada", "admin", SECRETS["ada"]),
)
TOKEN = "token-of-twenty-four-letters"
TOKENS = (Login("metrics", "viewer", TOKEN), Login("app", "operator", f"{TOKEN}-2"))
# What a viewer may post: how times are written, for nobody but themselves.
FOR_VIEWERS = {"/preferences", "/users/{acs_user_id:path}/reveal"}


def posting(path: str) -> bool:
    """Pages' actions; those of the JSON API are tested with it."""
    return not path.startswith("/api/")


ACTIONS = sorted(
    each.path for each in app.routes
    if isinstance(each, Route) and each.methods and "POST" in each.methods and posting(each.path)
)  # fmt: skip
PAGES = sorted(
    each.path for each in app.routes
    if isinstance(each, Route) and each.methods and "GET" in each.methods and posting(each.path)
)  # fmt: skip


@pytest.fixture
def guarded(sqlite_settings: Settings, open_site: Open) -> Iterator[TestClient]:
    """A console with three logins and two tokens."""
    with open_site(replace(sqlite_settings, console_logins=LOGINS, api_tokens=TOKENS)) as site:
        yield site


def encoded(credentials: bytes) -> str:
    """As a browser does."""
    return base64.b64encode(credentials).decode()


def as_(name: str) -> dict[str, str]:
    """The header of a browser in which this person signed in."""
    return {"authorization": "Basic " + encoded(f"{name}:{SECRETS[name]}".encode())}


def test_without_a_login_this_machine_is_admin(site_on_sqlite: TestClient) -> None:
    """Loopback only; the footer says who one is."""
    page = site_on_sqlite.get("/")

    assert page.status_code == 200
    assert "admin on this machine" in page.text


def test_with_a_login_nobody_comes_in_without(guarded: TestClient) -> None:
    """401 on every page, file and metric, with the way to sign in; probes are open."""
    for path in ("/", "/events", "/settings", "/metrics", "/static/console.css", "/nope"):
        answer = guarded.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic"), path
        assert "Seamkeeper 0" not in answer.text
    assert guarded.get("/livez").status_code == 200


@pytest.mark.parametrize("name", ["eve", "olga", "ada"])
def test_each_signs_in_with_their_own_role(guarded: TestClient, name: str) -> None:
    """The name and the role stand on the page."""
    role = next(each.role for each in LOGINS if each.name == name)

    page = guarded.get("/", headers=as_(name))

    assert page.status_code == 200
    assert f"{name}, {role}" in page.text


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!", f"Basic {encoded(b'ada')}", f"Basic {encoded(bytes([255, 254]))}",
     f"Basic {encoded(b'ada:')}", f"Basic {encoded(b'ada:viewer-password')}",
     "Bearer", "Bearer x", "Bearer admin-password", "Digest x", "ada:admin-password"],
)  # fmt: skip
def test_wrong_credentials(guarded: TestClient, header: str) -> None:
    """401, whatever is wrong with them: also somebody else's password."""
    assert guarded.get("/", headers={"authorization": header}).status_code == 401


def test_a_program_reads_metrics_with_its_token(guarded: TestClient) -> None:
    """A password is no token; a token is no password."""
    assert guarded.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/metrics", headers={"authorization": f"Bearer {SECRETS['ada']}"}).status_code == 401
    wrong = base64.b64encode(f"metrics:{TOKEN}".encode()).decode()
    assert guarded.get("/metrics", headers={"authorization": f"Basic {wrong}"}).status_code == 401


def test_a_proxy_says_who_it_is(sqlite_settings: Settings, open_site: Open) -> None:
    """From its own address only, with the role of the first line that fits; without a group, without a name: 403."""
    told = replace(
        sqlite_settings, trusted_proxies=(ip_network("127.0.0.1/32"),),
        proxy_roles=(("oncall", "operator"), ("staff", "viewer")),
    )  # fmt: skip
    with open_site(told) as site:
        near, far = _from(site, "127.0.0.1"), _from(site, "10.0.0.9")
        named = {"x-forwarded-user": "ada", "x-forwarded-groups": "staff, oncall"}

        assert "ada, operator" in near.get("/", headers=named).text
        assert near.get("/", headers=named | {"x-forwarded-groups": "others"}).status_code == 403
        assert near.get("/").status_code == 403
        assert (
            "ada@x.example, viewer"
            in near.get("/", headers={"x-forwarded-email": "ada@x.example", "x-forwarded-groups": "staff"}).text
        )
        for headers in (named, named | {"x-forwarded-for": "127.0.0.1"}, {"forwarded": "for=127.0.0.1", **named}):
            assert far.get("/", headers=headers).status_code == 401


def test_a_stranger_adds_groups_to_what_the_proxy_says(sqlite_settings: Settings, open_site: Open) -> None:
    """A proxy that sets one kind of headers and lets the other through gives nobody another role, or name."""
    told = replace(
        sqlite_settings, trusted_proxies=(ip_network("127.0.0.1/32"),), proxy_roles=(("ops", "admin"), ("*", "viewer"))
    )
    with open_site(told) as site:
        near = _from(site, "127.0.0.1")
        authelia, oauth2 = {"remote-user": "eve", "remote-groups": "staff"}, {"x-forwarded-user": "eve"}
        by_eve = [
            authelia | {"x-forwarded-groups": "ops"}, authelia | {"x-forwarded-email": "ada@example.com"},
            oauth2 | {"remote-groups": "ops"},
        ]  # fmt: skip
        answers = [near.get("/", headers=headers).status_code for headers in by_eve]

    assert answers == [403, 403, 403]


def test_a_right_token_after_many_wrong_ones(guarded: TestClient) -> None:
    """A program with an old token does not lock out the others of its address; a password is limited all the same."""
    wrong = [guarded.get("/metrics", headers={"authorization": "Bearer old"}).status_code for _ in range(11)]

    assert (wrong[0], wrong[-1]) == (401, 429)
    assert guarded.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_trusted_proxy_does_not_open_the_logins(sqlite_settings: Settings, open_site: Open) -> None:
    """Both ways side by side: a login from elsewhere counts, a name from elsewhere does not."""
    told = replace(sqlite_settings, console_logins=LOGINS, trusted_proxies=(ip_network("10.0.0.0/8"),))
    with open_site(told) as site:
        elsewhere = _from(site, "192.0.2.7")

        assert elsewhere.get("/", headers={"x-forwarded-user": "ada"}).status_code == 401
        assert elsewhere.get("/", headers=as_("eve") | {"x-forwarded-user": "ada"}).status_code == 200
        assert "eve, viewer" in elsewhere.get("/", headers=as_("eve") | {"x-forwarded-user": "ada"}).text


@pytest.mark.parametrize("path", ACTIONS)
def test_no_action_is_open_to_a_viewer(guarded: TestClient, path: str) -> None:
    """Every POST route asks for operator or admin, unless it stands on the short list; nothing is written of it."""
    filled = _filled(path)

    answer = guarded.post(filled, headers=as_("eve") | OURS)

    if path in FOR_VIEWERS:
        assert answer.status_code in (303, 400, 404)
    else:
        assert (answer.status_code, "takes the role" in answer.text) == (403, True)


def test_what_only_an_admin_may(guarded: TestClient) -> None:
    """Of our own pages: deleting jobs, stopping workers, repairing the webhook."""
    for path in (
        "/jobs/j/delete",
        "/queues/events/failed/delete",
        "/queues/workers/w/stop",
        "/settings/webhook/repair",
    ):
        refused = guarded.post(path, headers=as_("olga") | OURS)
        assert (refused.status_code, "takes the role admin" in refused.text) == (403, True), path
        assert guarded.post(path, headers=as_("ada") | OURS).status_code == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8001"}, 403),
        ({"origin": "http://127.0.0.1:8001"}, 303),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
    ids=lambda value: "-".join(value.values()) or "no-header" if isinstance(value, dict) else None,
)
@pytest.mark.parametrize("signed_in", [True, False], ids=["login", "machine"])
def test_only_our_own_pages_act(
    sqlite_settings: Settings, open_site: Open, redis: Redis, headers: dict[str, str], status: int, signed_in: bool
) -> None:  # fmt: skip
    """A page elsewhere cannot act with the login that a browser adds by itself; nor can one without any header."""
    told = replace(sqlite_settings, console_logins=LOGINS if signed_in else ())
    with open_site(told) as site:
        answer = site.post("/queues/events/pause", headers=headers | (as_("ada") if signed_in else {}))

    assert answer.status_code == status
    assert bool(queues_of(redis).paused_queues()) == (status == 303)


def test_a_wrong_password_many_times(guarded: TestClient) -> None:
    """429 with the time to wait, also to the right one then; another name, and another address, go on."""
    wrong = {"authorization": "Basic " + base64.b64encode(b"ada:wrong").decode()}
    statuses = [guarded.get("/livez-not", headers=wrong).status_code for _ in range(12)]

    late = guarded.get("/", headers=as_("ada"))

    assert statuses == [401] * 10 + [429] * 2
    assert (late.status_code, late.headers["retry-after"]) == (429, "60")
    assert guarded.get("/", headers=as_("olga")).status_code == 200
    assert _from(guarded, "192.0.2.7").get("/", headers=as_("ada")).status_code == 200


def test_wrong_tries_are_forgotten_in_the_end(guarded: TestClient) -> None:
    """At most ten thousand names are remembered: who tries many names fills no memory."""
    wrong = Access(guarded.app, settings=Settings(console_logins=LOGINS)).wrong
    for number in range(10_050):
        wrong.note(f"a {number}")

    assert len(wrong._times) == 10_000


def test_looking_changes_nothing(settings: Settings, open_site: Open, engine: Engine, redis: Redis) -> None:
    """Every page by GET, as admin: neither a row nor a key of Redis is another afterwards."""
    keep_event(engine, "e1", status="dead")
    drift = {"full_name": {"observed": "Jack", "desired": "Jack Doe"}}
    keep_user(engine, "u1", name="Jack Doe", sync="drifted", health="error", drift=drift)
    with engine.begin() as connection:
        issues.raise_finding(connection, "webhook_silent", message="nothing comes")
        line = audit.begin(connection, who="Ada", role="admin", action="x")
        audit.end(connection, line, "done")
    accept(redis, "e1", "e2")
    job_id = queues_of(redis).ask_reconcile("u1", why="x", source="webhook")
    redis.sadd("rq:workers", "rq:worker:gone")
    before = _rows(engine), _keys(redis)

    with open_site(settings) as site:
        statuses = {
            path: site.get(
                _filled(path, event_id="e1", acs_user_id="u1", job_id=job_id, queue="events", registry="queued")
            ).status_code
            for path in PAGES
            if "live" not in path and "stream" not in path and "tail" not in path  # a stream does not end
        }

    assert (_rows(engine), _keys(redis)) == before
    assert statuses["/"] == 200
    assert not {path for path, status in statuses.items() if status >= 500}


def test_another_address_needs_a_login(environment: dict[str, str]) -> None:
    """`--host 0.0.0.0` is refused without one (test_process.py) and accepted with one, which is then asked for."""
    told = environment | {"SEAMKEEPER_CONSOLE_LOGINS": f"ada:admin:{SECRETS['ada']}"}
    command = [sys.executable, "-m", "console.web", "--host", "0.0.0.0", "--port", "0"]  # noqa: S104
    with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().rpartition(":")[2].strip()
        try:
            with pytest.raises(urllib.request.HTTPError, match="401"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60)
            request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=as_("ada"))
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                assert answer.status == 200
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0


def test_mounts_are_files_and_the_api() -> None:
    """The walk above sees every route: nothing else is mounted below the pages; the API has tests of its own."""
    assert [each.path for each in app.routes if isinstance(each, Mount)] == ["/api/v1", "/static"]


def _filled(path: str, **values: str) -> str:
    parts = [
        (values.get(part[1:-1].partition(":")[0], "1") if part.startswith("{") else part) for part in path.split("/")
    ]
    return "/".join(parts)


def _from(site: TestClient, address: str) -> TestClient:
    """The same console, asked from another address."""
    return TestClient(
        _Addressed(site.app, address, site.app_state), base_url="http://127.0.0.1:8001", raise_server_exceptions=False,
        follow_redirects=False,
    )  # fmt: skip


class _Addressed:
    """As if the connection came from there; the state of the lifespan goes along."""

    def __init__(self, inner: Any, address: str, state: Any) -> None:
        self.inner, self.address, self.state = inner, address, state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.inner(scope | {"client": (self.address, 40000), "state": dict(self.state)}, receive, send)


def _rows(engine: Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all())) for table in metadata.sorted_tables
        }


def _keys(redis: Redis) -> dict[bytes, Any]:
    return {key: redis.dump(key) for key in sorted(redis.keys())}
