"""What the settings page tells, the audit log page by page, and the webhook that is looked at and repaired."""

from __future__ import annotations

import json
from dataclasses import replace

from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy import Engine
from starlette.testclient import TestClient

from seamkeeper import audit, policies, registration
from seamkeeper.registration import Registration
from seamkeeper.settings import Login, Settings
from tests.console.web.conftest import Open
from tests.console.web.test_pages import _words

OURS = {"sec-fetch-site": "same-origin"}


def test_people_and_programs_are_named_without_their_secrets(settings: Settings, open_site: Open) -> None:
    """Names and roles; of the API key the last four letters."""
    told = replace(
        settings, api_key="seam_0123456789abcdef0123456789a1b2",
        console_logins=(Login("ada", "admin", "correct-horse-battery"),),
        api_tokens=(Login("metrics", "viewer", "token-of-twenty-four-letters"),),
    )  # fmt: skip

    with open_site(told) as site:
        page = site.get("/settings", auth=("ada", "correct-horse-battery")).text

    read = _words(page)
    assert "ada admin, signs in" in read
    assert "metrics viewer, a program’s token" in read
    assert "set, ends …a1b2" in read
    for secret in ("correct-horse", "token-of", "0123456789"):
        assert secret not in page


def test_the_webhook_is_looked_at_and_repaired(site: TestClient, engine: Engine, redis: Redis) -> None:
    """By a worker, once however often it is asked; the button to repair is there when it is needed."""
    with engine.begin() as connection:
        registration.write(connection, Registration(url="https://x", state="missing", sentence="None has <it>."))

    page = site.get("/settings").text
    for path in ("/settings/webhook/check", "/settings/webhook/check", "/settings/webhook/repair"):
        assert site.post(path, headers=OURS).headers["location"] == "/settings#webhook"

    jobs = [Job.fetch(each.decode(), redis, JSONSerializer) for each in redis.lrange("rq:queue:resync", 0, -1)]
    assert sorted(json.dumps(job.kwargs) for job in jobs) == ['{"repair": true}', "{}"]
    assert {job.func_name for job in jobs} == {"workers.jobs.check_registration"}
    assert "None has &lt;it&gt;." in page
    assert "/settings/webhook/repair" in page


def test_the_audit_log_is_paged_by_its_number(site: TestClient, engine: Engine) -> None:
    """Fifty a page, the newest first, nothing twice; a damaged place is 400; hostile words are text."""
    with engine.begin() as connection:
        for number in range(120):
            line = audit.begin(connection, who="<b>Ada</b>", role="admin", action=f"act.{number}.", kind="user",
                               subject_id="u/1?" if number % 2 else "u2")  # fmt: skip
            audit.end(connection, line, "refused", reason="<script>", detail={"ids": ["<i>"]})
    seen: list[str] = []
    path: str | None = "/settings/audit"
    while path:
        page = site.get(path).text
        seen += [f"act.{number}." for number in reversed(range(120)) if f">act.{number}.<" in page]
        _, has_next, rest = page.partition('class="next" href="')
        path = rest.partition('"')[0].replace("&amp;", "&") if has_next else None

    assert seen == [f"act.{number}." for number in reversed(range(120))]
    assert "<script>" not in page.replace('<script src="/static/console.js" defer></script>', "")
    assert "<b>" not in page
    assert site.get("/settings/audit?before=x").status_code == 400
    assert site.get("/settings/audit?kind=user&id=u2").text.count(">act.") == 50


def test_policies_are_listed(site: TestClient, engine: Engine) -> None:
    """What differs from the settings, with who said so."""
    with engine.begin() as connection:
        policies.set_policy(connection, "system", "s<1>", by="Ada", repair="plan", reason="door works")

    assert "system s<1> door works plan" in _words(site.get("/settings").text)


def test_the_checks_stand_though_redis_is_away(sqlite_settings: Settings, open_site: Open) -> None:
    """The page is there, with what could be looked at, and says which checks could not."""
    with open_site(replace(sqlite_settings, redis_url="redis://127.0.0.1:1/0")) as site:
        page = site.get("/settings")

    assert page.status_code == 503
    assert "its tables are at" in page.text
    assert "Mend that first." in page.text
