"""What the webhook door answers, and what then stands in Redis: every row of the verify table, and the contract."""

from __future__ import annotations

import base64
import json
import zlib
from datetime import timedelta

import pytest
from redis import Redis
from starlette.testclient import TestClient

from receiver.app import create_app
from seamkeeper import clock, settings
from seamkeeper.accept import BACKFILLED, accept, deliveries, event_job
from seamkeeper.keys import Keys
from seamkeeper.queues import Queues
from seamkeeper.rqjob import Terms
from tests.conftest import SECRET
from tests.signing import body_of, event, signed

OTHER = "whsec_" + base64.b64encode(b"another secret of thirty-two byte").decode()
PATH = "/webhooks/seam"
KEYS = Keys()


def queued(redis: Redis) -> list[str]:
    """The ids of the jobs that wait."""
    return [job_id.decode() for job_id in redis.lrange(KEYS.queue("events"), 0, -1)]


def call_of(redis: Redis, job_id: str) -> tuple[str, dict[str, str]]:
    """The function of a job and its arguments, as RQ would read them."""
    data = redis.hget(KEYS.job(job_id), "data")
    assert isinstance(data, bytes)
    function, _instance, _args, arguments = json.loads(zlib.decompress(data))
    return function, arguments


def test_a_signed_event_is_queued_and_answered_204(door: TestClient, redis: Redis) -> None:
    """204 means: its job, named after it, is in the queue with the body as it came."""
    body = body_of(payload := event())

    answer = door.post(PATH, content=body, headers=signed(body, message_id="msg_1"))

    assert (answer.status_code, answer.content) == (204, b"")
    assert queued(redis) == [payload["event_id"]]
    function, arguments = call_of(redis, payload["event_id"])
    assert function == "workers.jobs.handle_event"
    assert arguments["body"] == body.decode()
    assert (arguments["source"], arguments["delivery_id"]) == ("webhook", "msg_1")


@pytest.mark.parametrize("family", ["svix", "webhook"])
def test_both_header_families_are_read(door: TestClient, family: str) -> None:
    """White-label senders use `webhook-*`."""
    body = body_of(event())

    assert door.post(PATH, content=body, headers=signed(body, family=family)).status_code == 204


def test_svix_headers_win_over_webhook_headers(door: TestClient) -> None:
    """As in the svix library: a wrong `svix-signature` is not saved by a right `webhook-signature`."""
    body = body_of(event())
    headers = signed(body, family="webhook") | signed(body, secret=OTHER)

    assert door.post(PATH, content=body, headers=headers).status_code == 401


def test_the_same_event_twice_is_one_job(door: TestClient, redis: Redis) -> None:
    """Dedupe is by event_id: a second endpoint brings the same event under another svix-id."""
    body = body_of(payload := event())

    answers = [door.post(PATH, content=body, headers=signed(body)).status_code for _ in range(5)]

    assert answers == [204] * 5
    assert len(queued(redis)) == 1
    assert redis.hget(KEYS.counters(), "webhook_requests:duplicate") == b"4"
    assert deliveries(Queues(redis, keys=KEYS, terms=Terms()), payload["event_id"]) == 5


def test_what_a_backfill_found_first_counts_deliveries_only(door: TestClient, redis: Redis) -> None:
    """Fetched twice, delivered once; and the mark of an older version, which held words, is no number."""
    body, queues = body_of(payload := event()), Queues(redis, keys=KEYS, terms=Terms())
    job = event_job(payload["event_id"], "x", body.decode(), received_at=clock.now(), source="backfill", delivery="")
    for _ in range(2):
        accept(queues, [(payload["event_id"], job)], dedupe=timedelta(hours=1), counter=BACKFILLED)
    assert deliveries(queues, payload["event_id"]) == 0

    assert door.post(PATH, content=body, headers=signed(body)).status_code == 204
    assert deliveries(queues, payload["event_id"]) == 1

    redis.set(KEYS.seen(payload["event_id"]), payload["event_id"])
    assert door.post(PATH, content=body, headers=signed(body)).status_code == 204
    assert deliveries(queues, payload["event_id"]) is None
    assert deliveries(queues, "nobody") is None


def test_an_event_is_remembered_for_72_hours(door: TestClient, redis: Redis) -> None:
    """Svix retries for up to 33 hours."""
    body = body_of(payload := event())

    door.post(PATH, content=body, headers=signed(body))

    assert redis.ttl(KEYS.seen(payload["event_id"])) == pytest.approx(72 * 3600, abs=60)


def test_any_of_several_secrets_may_match(told: settings.Settings, redis: Redis) -> None:
    """While a secret is replaced both are configured."""
    body = body_of(event())
    both = settings.load({"SEAM_WEBHOOK_SECRET": f"{OTHER},{SECRET}", "REDIS_URL": told.redis_url})

    with TestClient(create_app(both)) as door:
        assert door.post(PATH, content=body, headers=signed(body)).status_code == 204


BODY = body_of(event(event_id="0000-signed"))
FORGED = {
    "signature-without-comma": {"svix-signature": "v1"},
    "signature-with-two-commas": {"svix-signature": "v1,a,b"},
    "bad-base64-padding": {"svix-signature": "v1,abc"},
    "non-ascii-signature": {"svix-signature": "v1,\u00e4\u00f6"},
    "empty-signature": {"svix-signature": ""},
    "signature-of-another-secret": {"svix-signature": signed(BODY, secret=OTHER)["svix-signature"]},
    "timestamp-nan": {"svix-timestamp": "nan"},
    "timestamp-1e400": {"svix-timestamp": "1e400"},
    "timestamp-text": {"svix-timestamp": "yesterday"},
    "timestamp-negative": {"svix-timestamp": "-1"},
    "other-id": {"svix-id": "msg_other"},
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED.keys())
def test_what_is_not_proven_is_401(door: TestClient, redis: Redis, change: dict[str, str]) -> None:
    """Every way the library can fail on what a stranger can send is the same 401, and nothing is written."""
    headers = {name: value.encode("utf-8") for name, value in (signed(BODY) | change).items()}

    answer = door.post(PATH, content=BODY, headers=headers)

    assert (answer.status_code, answer.content) == (401, b"")
    assert queued(redis) == []


@pytest.mark.parametrize("missing", ["svix-id", "svix-timestamp", "svix-signature", "all"])
def test_missing_headers_are_401(door: TestClient, missing: str) -> None:
    """Each of the three is needed."""
    headers = {} if missing == "all" else {name: value for name, value in signed(BODY).items() if name != missing}

    assert door.post(PATH, content=BODY, headers=headers).status_code == 401


@pytest.mark.parametrize(("seconds", "status"), [(360, 401), (-360, 401), (290, 204), (-290, 204)])
def test_the_time_of_the_attempt_counts_five_minutes_both_ways(door: TestClient, seconds: int, status: int) -> None:
    """Svix stamps each attempt anew, so a retry after hours passes; an old recording does not."""
    body = body_of(event())

    answer = door.post(PATH, content=body, headers=signed(body, age=timedelta(seconds=seconds)))

    assert answer.status_code == status


def test_a_fraction_in_the_timestamp_is_accepted(door: TestClient) -> None:
    """`123.9`: the library signs the whole seconds."""
    body = body_of(event())
    headers = signed(body)
    headers["svix-timestamp"] += ".9"

    assert door.post(PATH, content=body, headers=headers).status_code == 204


@pytest.mark.parametrize("first", ["v1,AAAA", "v1a,AAAA", "v2,AAAA"])
def test_the_good_signature_may_come_second(door: TestClient, first: str) -> None:
    """A rotation and newer versions put several into one header."""
    body = body_of(event())
    headers = signed(body)
    headers["svix-signature"] = f"{first} {headers['svix-signature']}"

    assert door.post(PATH, content=body, headers=headers).status_code == 204


def test_a_body_that_is_not_utf8_is_401(door: TestClient) -> None:
    """The library decodes before it verifies: such a body cannot be proven."""
    assert door.post(PATH, content=b"\xff\xfe{}", headers=signed(b"{}")).status_code == 401


def test_a_changed_body_is_401(door: TestClient) -> None:
    """One byte more, and it is not what Seam signed."""
    assert door.post(PATH, content=BODY + b" ", headers=signed(BODY)).status_code == 401


UNREADABLE = {
    "not-json": b"hello",
    "empty": b"",
    "list": b"[1,2]",
    "no-event-id": body_of({name: value for name, value in event().items() if name != "event_id"}),
    "byte-order-mark": b"\xef\xbb\xbf" + body_of(event()),
    "nested-200000-deep": b"[" * 100_000 + b"]" * 100_000,
    "nan": body_of(event())[:-1] + b',"x":NaN}',
    "huge-integer": body_of(event())[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "user-id-is-a-number": body_of(event(acs_user_id=5)),
    "system-id-is-null": body_of(event(acs_system_id=None)),
    "time-without-zone": body_of(event(occurred_at="2026-11-22T08:00:00")),
    "time-is-a-number": body_of(event(created_at=1)),
    "event-id-with-nul": body_of(event(event_id="a\x00b")),
    "event-type-is-a-list": body_of(event(event_type=["acs_user.created"])),
    "nul-byte": b'{"event_id":"\x00"}',
    "string": b'"acs_user.created"',
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_signed_but_unreadable_is_kept_and_answered_204(door: TestClient, redis: Redis, body: bytes) -> None:
    """Anything else makes Svix retry a hopeless body for 27 hours."""
    answers = {door.post(PATH, content=body, headers=signed(body)).status_code for _ in range(2)}

    assert answers == {204}
    (job_id,) = queued(redis)
    function, arguments = call_of(redis, job_id)
    assert function == "workers.jobs.keep_unreadable"
    assert arguments["body"] == body.decode()
    assert arguments["reason"]


@pytest.mark.parametrize("event_type", ["acs_user.teleported", "user_identity.created", "phone.deactivated", "x"])
def test_unknown_types_are_accepted(door: TestClient, redis: Redis, event_type: str) -> None:
    """New types exist before their schemas do."""
    body = body_of(payload := event(event_type))

    assert door.post(PATH, content=body, headers=signed(body)).status_code == 204
    assert queued(redis) == [payload["event_id"]]


@pytest.mark.parametrize("stamp", ["2026-11-22T08:00:54.946Z", "2026-11-22T08:00:18.000000Z", "2026-11-22T08:00:18Z"])
def test_both_precisions_of_seams_times_are_read(door: TestClient, redis: Redis, stamp: str) -> None:
    """Samples show milliseconds and microseconds."""
    body = body_of(payload := event(occurred_at=stamp, created_at=stamp))

    assert door.post(PATH, content=body, headers=signed(body)).status_code == 204
    assert queued(redis) == [payload["event_id"]]


@pytest.mark.parametrize("event_id", ["ünïcode", "a:b/c{}", "x" * 200, "$(reboot)"])
def test_odd_event_ids_become_ids_that_rq_accepts(door: TestClient, redis: Redis, event_id: str) -> None:
    """RQ takes letters, digits, `_` and `-`; a printable id of any other form is hashed."""
    body = body_of(event(event_id=event_id))

    assert door.post(PATH, content=body, headers=signed(body)).status_code == 204
    assert all(character.isalnum() or character in "_-" for character in queued(redis)[0])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_other_methods_are_405(door: TestClient, method: str) -> None:
    """The door takes POST."""
    answer = door.request(method, PATH)

    assert (answer.status_code, answer.content) == (405, b"")


@pytest.mark.parametrize("path", ["/", "/webhooks", "/webhooks/seam/", "/metrics", "/admin", "/docs"])
def test_other_paths_are_404(door: TestClient, path: str) -> None:
    """Nothing else lives on the public port; a slash too many is not redirected."""
    body = body_of(event())

    answer = door.post(path, content=body, headers=signed(body), follow_redirects=False)

    assert (answer.status_code, answer.content) == (404, b"")


def test_a_body_over_the_cap_is_413(door: TestClient, told: settings.Settings) -> None:
    """Refused by its length, and by what really comes when there is no length."""
    body = b"x" * (told.max_body_bytes + 1)

    def without_length() -> object:
        yield body

    by_length = door.post(PATH, content=body, headers=signed(body))
    by_stream = door.post(PATH, content=without_length(), headers=signed(body))  # type: ignore[arg-type]

    assert (by_length.status_code, by_stream.status_code) == (413, 413)


def test_a_body_at_the_cap_is_read(door: TestClient, told: settings.Settings) -> None:
    """256 KiB is allowed."""
    payload = event(padding="")
    payload["padding"] = "x" * (told.max_body_bytes - len(body_of(payload)))
    body = body_of(payload)

    assert len(body) == told.max_body_bytes
    assert door.post(PATH, content=body, headers=signed(body)).status_code == 204


def test_health(door: TestClient) -> None:
    """`/livez` touches nothing; `/readyz` asks Redis."""
    assert door.get("/livez").status_code == 200
    assert door.get("/readyz").status_code == 200
    assert door.get("/healthz?verbose").json() == {"redis": True, "not_draining": True}


def test_a_redis_that_refuses_is_503_and_nothing_is_half_written(door: TestClient, redis: Redis) -> None:
    """Out of memory with `noeviction`: no job without its key, no key without its job; and it heals by itself."""
    body = body_of(payload := event())
    redis.config_set("maxmemory", 1)

    refused = door.post(PATH, content=body, headers=signed(body))
    redis.config_set("maxmemory", 0)
    left = redis.keys("*")
    accepted = door.post(PATH, content=body, headers=signed(body))

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert left == []
    assert accepted.status_code == 204
    assert queued(redis) == [payload["event_id"]]


def test_rejections_are_counted_and_the_last_are_kept_without_bodies(told: settings.Settings, redis: Redis) -> None:
    """An operator can see that somebody knocks with a wrong secret."""
    with TestClient(create_app(told)) as door:
        for _ in range(3):
            door.post(PATH, content=BODY, headers=signed(BODY, secret=OTHER, message_id="msg_wrong"))

    assert redis.hget(KEYS.counters(), "webhook_requests:bad_signature") == b"3"
    lines = [json.loads(line) for line in redis.lrange(KEYS.rejected(), 0, -1)]
    assert [line["delivery_id"] for line in lines] == ["msg_wrong"] * 3
    assert set(lines[0]) == {"at", "outcome", "delivery_id", "sender"}
