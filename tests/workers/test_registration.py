"""Our webhook at Seam, looked at by the clock: what is wrong is said, and healed where policy allows."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from seamkeeper import checkpoints, database, issues, notices, registration, secret_file
from seamkeeper.schedules import Schedules
from simulator.records import Webhook
from simulator.serve import Running
from tests.conftest import SECRET
from tests.stack import Stack, eventually, stack
from tests.workers.conftest import Floor
from workers import tools as tools_module
from workers.reactions import REACTIONS
from workers.registration import check
from workers.schedules import SCHEDULES, plan_all
from workers.seam_api import SeamApi
from workers.webhooks import wanted_types

URL = "https://hooks.example.com/webhooks/seam"
OTHERS = "https://elsewhere.example.com/webhooks/seam"
ALL_OURS = sorted(wanted_types(REACTIONS))
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise's own import

Configure = Callable[..., Floor]


@pytest.fixture
def sim(sim: Running) -> Iterator[Running]:
    """With no webhooks but somebody else's."""
    sim.world.webhooks.clear()
    sim.world.settings.has_secrets = True
    sim.world.add_webhook(OTHERS)
    yield sim
    sim.world.webhooks.clear()
    sim.world.settings.has_secrets, sim.world.settings.unknown_types = True, set()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the webhook's secrets stand."""
    path = tmp_path / "webhook-secret"
    secret_file.put(path, SECRET)
    return path


@pytest.fixture
def configured(floor: Floor, file: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """The floor with other settings."""

    def configure(**values: Any) -> Floor:
        known: dict[str, Any] = {"webhook_url": URL, "webhook_secrets": (SECRET,), "webhook_secret_file": file}
        told = dataclasses.replace(floor.tools.settings, **{**known, **values})
        floor.tools = dataclasses.replace(floor.tools, settings=told)
        monkeypatch.setattr(tools_module, "_made", {os.getpid(): floor.tools})
        return floor

    return configure


def findings(floor: Floor) -> dict[str, dict[str, Any]]:
    """Those that are open on our webhook."""
    with database.reading(floor.engine) as connection:
        return {issue["code"]: issue for issue in issues.list_issues(connection)}


def kept(floor: Floor) -> registration.Registration:
    """What is known of it."""
    with database.reading(floor.engine) as connection:
        return registration.read(connection)


def at_our_address(sim: Running) -> list[Webhook]:
    """The webhooks that would deliver to us."""
    return [each for each in sim.world.webhooks.values() if each.url != OTHERS]


def test_all_is_well(configured: Configure, sim: Running) -> None:
    """Nothing is open, and when it was looked at is known."""
    webhook = sim.world.add_webhook(URL, secret=SECRET)
    floor = configured()

    check(floor.tools)

    found = kept(floor)
    assert findings(floor) == {}
    assert (found.state, found.url, found.webhook_id) == ("ok", URL, webhook.webhook_id)
    assert found.checked_at is not None


@pytest.mark.parametrize(
    "spelt", ["https://HOOKS.example.com/webhooks/seam/", "https://hooks.example.com:443/webhooks/seam"]
)
def test_the_spelling_of_the_address_makes_no_difference(configured: Configure, sim: Running, spelt: str) -> None:
    """Case of the host, the usual port, a slash at the end."""
    sim.world.add_webhook(spelt, secret=SECRET)
    floor = configured()

    check(floor.tools)

    assert kept(floor).state == "ok"


@pytest.mark.parametrize(
    "other",
    ["https://hooks.example.com/webhooks/other", "http://hooks.example.com/webhooks/seam",
     "https://hooks.example.com:8443/webhooks/seam", "https://hooks.example.com:x/", "nonsense", "http://["],
)  # fmt: skip
def test_another_address_is_not_ours(configured: Configure, sim: Running, other: str) -> None:
    """Path, scheme and port do."""
    sim.world.add_webhook(other, secret=SECRET)
    floor = configured()

    check(floor.tools)

    assert kept(floor).state == "missing"


def test_a_webhook_that_was_removed_is_said_until_it_is_back(configured: Configure, sim: Running) -> None:
    """With the command that mends it; `check` changes nothing at Seam."""
    floor = configured(notify=("json://127.0.0.1:9/",))

    check(floor.tools)
    check(floor.tools)

    assert list(findings(floor)) == ["webhook_missing"]
    assert f"seamkeeper register --url {URL}" in findings(floor)["webhook_missing"]["message"]
    assert (kept(floor).state, at_our_address(sim)) == ("missing", [])
    with database.reading(floor.engine) as connection:
        (notice,) = notices.list_notices(connection)
    assert notice["title"] == "webhook_missing"
    sim.world.add_webhook(URL, secret=SECRET)
    check(floor.tools)
    assert (findings(floor), kept(floor).state) == ({}, "ok")


def test_a_narrowed_webhook_is_said_with_what_it_lacks(configured: Configure, sim: Running) -> None:
    """Types that others want are none of our business."""
    webhook = sim.world.add_webhook(URL, ["acs_user.created", "lock.locked"], secret=SECRET)
    floor = configured()

    check(floor.tools)

    found = findings(floor)["webhook_narrowed"]
    assert found["detail"]["lacking"] == [each for each in ALL_OURS if each != "acs_user.created"]
    assert webhook.event_types == ["acs_user.created", "lock.locked"]


def test_a_narrowed_webhook_is_completed_in_repair(configured: Configure, sim: Running) -> None:
    """Foreign types are kept, nothing stays open."""
    webhook = sim.world.add_webhook(URL, ["acs_user.created", "lock.locked"], secret=SECRET)
    floor = configured(register="repair")

    check(floor.tools)

    assert sorted(webhook.event_types) == sorted([*ALL_OURS, "lock.locked"])
    assert (findings(floor), kept(floor).state) == ({}, "ok")
    assert "Event types were added: " in kept(floor).sentence


def test_what_our_reactions_want_are_events_of_seam() -> None:
    """What only our own re-reads find is not asked for."""
    assert "acs_user.created" in ALL_OURS
    assert not {"acs_user.error_raised", "acs_user.vanished", "acs_user.recreated"} & set(ALL_OURS)


def test_a_refused_update_stays_open_with_its_reason(configured: Configure, sim: Running) -> None:
    """The look is over all the same."""
    sim.world.add_webhook(URL, ["acs_user.created"], secret=SECRET)
    sim.world.faults.add("status", path="/webhooks/update", status=400)
    floor = configured(register="repair")

    check(floor.tools)

    assert "It was not repaired: POST /webhooks/update: 400" in findings(floor)["webhook_narrowed"]["message"]


def test_a_type_that_seam_does_not_offer_stops_no_other(configured: Configure, sim: Running) -> None:
    """Seam refuses the whole update for it: the others are added one at a time, and it is told once, not each hour."""
    webhook = sim.world.add_webhook(URL, ["acs_credential.issued", "acs_credential.deleted"], secret=SECRET)
    sim.world.settings.unknown_types = {"acs_user.created"}
    floor = configured(register="repair")

    check(floor.tools)

    assert set(ALL_OURS) - set(webhook.event_types) == {"acs_user.created"}
    assert (findings(floor), kept(floor).state) == ({}, "ok")
    assert "Seam does not offer acs_user.created" in kept(floor).sentence
    sim.world.requests.clear()
    check(floor.tools)
    assert (sim.world.requests.list("/webhooks/update"), kept(floor).state) == ([], "ok")


def test_a_webhook_that_goes_while_types_are_added_says_nothing_about_types(
    configured: Configure, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not remembered as what Seam does not offer: nobody would ever ask for them again."""
    sim.world.add_webhook(URL, ["acs_credential.issued"], secret=SECRET)
    sim.world.settings.unknown_types = {"acs_user.created"}
    floor = configured(register="repair")
    update = SeamApi.update_webhook

    def gone_afterwards(seam: SeamApi, webhook_id: str, event_types: Sequence[str]) -> None:
        try:
            update(seam, webhook_id, event_types)
        finally:
            sim.world.webhooks.clear()

    monkeypatch.setattr(SeamApi, "update_webhook", gone_afterwards)

    check(floor.tools)

    assert kept(floor).not_offered == ()


def test_duplicates_are_said_and_never_removed(configured: Configure, sim: Running) -> None:
    """Not even in `repair`: which of them somebody lives on, only a person knows."""
    first, second = (sim.world.add_webhook(URL, secret=secret) for secret in (None, SECRET))
    floor = configured(register="repair")

    check(floor.tools)

    found = findings(floor)
    assert list(found) == ["webhook_duplicated"]
    assert found["webhook_duplicated"]["detail"]["webhook_ids"] == [second.webhook_id, first.webhook_id]
    assert len(at_our_address(sim)) == 2


def test_a_secret_that_is_not_ours_is_said_without_being_shown(configured: Configure, sim: Running) -> None:
    """Each delivery would be refused."""
    webhook = sim.world.add_webhook(URL)
    floor = configured()

    check(floor.tools)

    assert list(findings(floor)) == ["webhook_secret_unknown"]
    assert webhook.secret not in str(findings(floor)) + str(kept(floor))


def test_a_secret_that_seam_shows_is_taken_in_repair(configured: Configure, sim: Running, file: Path) -> None:
    """So one whose making was cut short by a crash heals with the next look."""
    webhook = sim.world.add_webhook(URL)
    floor = configured(register="repair")

    check(floor.tools)

    assert secret_file.read(file) == (webhook.secret, SECRET)
    assert findings(floor) == {}


@pytest.mark.parametrize(
    "values", [{"webhook_secrets": (), "webhook_secret_file": None}, {}], ids=["none-here", "hidden"]
)
def test_of_a_secret_that_cannot_be_compared_nothing_is_said(
    configured: Configure, sim: Running, values: dict[str, Any]
) -> None:
    """This process was told none, or Seam shows none."""
    sim.world.settings.has_secrets = bool(values)
    sim.world.add_webhook(URL)
    floor = configured(**values)

    check(floor.tools)

    assert (findings(floor), kept(floor).state) == ({}, "ok")


def test_a_secret_replaced_since_this_process_began_is_ours(configured: Configure, sim: Running, file: Path) -> None:
    """The file counts, not what was read at the start."""
    webhook = sim.world.add_webhook(URL)
    secret_file.put(file, webhook.secret)
    floor = configured()

    check(floor.tools)

    assert kept(floor).state == "ok"


def test_off_does_nothing(configured: Configure, sim: Running) -> None:
    """No call, no line in the plan."""
    floor = configured(register="off")
    sim.world.requests.clear()

    check(floor.tools)
    plan_all(floor.tools.queues, floor.tools.settings)

    assert (findings(floor), kept(floor).checked_at) == ({}, None)
    assert [each for each in sim.world.requests.list() if "webhooks" in each.path] == []
    assert "registration" not in {each.name for each in Schedules(floor.tools.queues).all()}


def test_without_an_address_there_is_nothing_to_look_at(configured: Configure, sim: Running) -> None:
    """That is said, and is no finding; what was open about an address of before is over."""
    floor = configured()
    check(floor.tools)
    assert list(findings(floor)) == ["webhook_missing"]
    with floor.engine.begin() as connection:
        checkpoints.write(connection, "registration", None)

    check(configured(webhook_url="").tools)

    assert (findings(floor), kept(floor).state) == ({}, "unconfigured")
    assert "SEAMKEEPER_WEBHOOK_URL" in kept(floor).sentence


def test_the_address_that_register_remembers_is_looked_at(configured: Configure, sim: Running) -> None:
    """Without a setting."""
    floor = configured(webhook_url="")
    with floor.engine.begin() as connection:
        registration.write(connection, registration.Registration(URL))

    check(floor.tools)

    assert list(findings(floor)) == ["webhook_missing"]


def test_a_webhook_whose_secret_cannot_be_kept_is_not_made(
    configured: Configure, sim: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file, in a folder that takes none, and when the disk is full in the last moment."""
    floor = configured(register="repair", webhook_secret_file=None)
    check(floor.tools)
    assert "SEAM_WEBHOOK_SECRET_FILE names no file" in findings(floor)["webhook_missing"]["message"]

    (tmp_path / "a-file").touch()
    check(configured(register="repair", webhook_secret_file=tmp_path / "a-file" / "secret").tools)
    assert "cannot be written" in findings(floor)["webhook_missing"]["message"]

    def full(_path: Path, _secret: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret_file, "put", full)
    check(configured(register="repair").tools)
    assert "No space left" in findings(floor)["webhook_missing"]["message"]
    assert at_our_address(sim) == []


def test_who_was_quicker_is_not_doubled(configured: Configure, sim: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seam's list is read again before a webhook is made."""
    floor = configured(register="repair")
    monkeypatch.setattr(
        secret_file, "check_writable", lambda _path: sim.world.add_webhook(URL, secret=SECRET)
    )  # somebody else, between the two looks

    check(floor.tools)

    assert len(at_our_address(sim)) == 1
    assert (findings(floor), kept(floor).state) == ({}, "ok")


@pytest.mark.parametrize("fault", ["drop", "html", "bare_ok"])
def test_an_answer_that_says_nothing_changes_nothing(configured: Configure, sim: Running, fault: Any) -> None:
    """What was known stays, nobody is told that the webhook is gone, nothing is made; the job comes again."""
    sim.world.add_webhook(URL, secret=SECRET)
    floor = configured(register="repair")
    sim.world.faults.add(fault, path="/webhooks/list", times=2)
    Queue("resync", connection=floor.redis, serializer=JSONSerializer).enqueue("workers.jobs.check_registration")

    floor.work(include_later=False)

    assert (findings(floor), kept(floor).state, len(at_our_address(sim))) == ({}, None, 1)


def test_it_comes_each_hour(configured: Configure, sim: Running) -> None:
    """Once, however many schedulers plan; its run is on record."""
    sim.world.add_webhook(URL, secret=SECRET)
    floor = configured()
    (schedule,) = [each for each in SCHEDULES if each.name == "registration"]
    assert schedule.every(floor.tools.settings) == timedelta(hours=1)
    plan_all(floor.tools.queues, floor.tools.settings)

    floor.work(rounds=1)

    (ran,) = [each for each in Schedules(floor.tools.queues).all() if each.name == "registration"]
    assert (ran.outcome, kept(floor).state) == ("ok", "ok")


@pytest.fixture
def receiver(redis_url: str, file: Path, tmp_path: Path) -> Iterator[Stack]:
    """A real one, whose secret comes from the file."""
    told = {"PATH": os.environ["PATH"], "SEAM_WEBHOOK_SECRET_FILE": str(file), "REDIS_URL": redis_url}
    with stack({**told, "SEAMKEEPER_LOG_FORMAT": "json"}, tmp_path) as found:
        found.start_receiver()
        yield found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_removed_webhook_heals_up_to_the_next_delivery(
    configured: Configure, sim: Running, receiver: Stack, file: Path, redis: Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    """In `repair`: made again, its secret in front in the file, and what Seam delivers is taken with no restart."""
    url = f"http://127.0.0.1:{receiver.port}/webhooks/seam"
    first = sim.world.add_webhook(url, secret=SECRET)
    floor = configured(register="repair", webhook_url=url)
    check(floor.tools)
    sim.world.remove_webhook(first.webhook_id)

    check(floor.tools)

    (made,) = at_our_address(sim)
    assert (findings(floor), kept(floor).state, kept(floor).webhook_id) == ({}, "ok", made.webhook_id)
    assert secret_file.read(file) == (made.secret, SECRET)
    assert file.stat().st_mode & 0o777 == 0o600
    before = redis.llen("rq:queue:events")
    sent = sim.world.emit("acs_user.created", acs_user_id="a", acs_system_id="b")
    eventually(lambda: redis.llen("rq:queue:events") == before + 1, what="the delivery")
    assert sent["event_id"] in (receiver.logs / "receiver.log").read_text(encoding="utf-8")
    said = capfd.readouterr()
    everything = said.out + said.err + (receiver.logs / "receiver.log").read_text(encoding="utf-8")
    assert not any(secret.removeprefix("whsec_") in everything for secret in (made.secret, SECRET))


@pytest.mark.parametrize("register", ["check", "off"])
def test_a_person_asks_for_the_repair(configured: Configure, sim: Running, register: str) -> None:
    """Then it is put right whatever SEAMKEEPER_REGISTER says; without being asked it is not."""
    webhook = sim.world.add_webhook(URL, secret=SECRET, event_types=["acs_user.created"])
    floor = configured(register=register)

    check(floor.tools)
    before = list(sim.world.webhooks[webhook.webhook_id].event_types)
    check(floor.tools, repair=True)

    assert before == ["acs_user.created"]
    assert "acs_user.deleted" in sim.world.webhooks[webhook.webhook_id].event_types
    assert kept(floor).state == "ok"
