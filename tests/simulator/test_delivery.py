"""Events are delivered as Svix delivers them."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import httpx
import pytest
import standardwebhooks.webhooks
import svix.webhooks

from simulator.outbox import Attempt
from simulator.serve import Running
from simulator.signing import Brand
from tests.stack import eventually

from .conftest import Receiver

SCHEDULED = [5, 300, 1800, 7200, 18000, 36000, 36000]


def _statuses(attempts: list[Attempt]) -> list[int | None]:
    return [attempt.status for attempt in attempts]


@pytest.mark.parametrize("brand", ["svix", "webhook"])
def test_a_delivery_is_signed(sim: Running, receiver: Receiver, brand: Brand) -> None:
    """Both libraries verify it over the raw bytes, and the body is the bare event."""
    webhook = sim.world.add_webhook(receiver.url)
    sim.world.outbox.settings.brand = brand

    event = sim.world.emit("acs_user.created", acs_user_id=sim.world.new_id(), note="Zoë")
    [delivery] = receiver.wait_for(1)

    assert svix.webhooks.Webhook(webhook.secret).verify(delivery.body, delivery.headers) == event
    standard = {name.replace("svix-", "webhook-"): value for name, value in delivery.headers.items()}
    assert standardwebhooks.webhooks.Webhook(webhook.secret).verify(delivery.body, standard) == event
    assert delivery.headers[f"{brand}-id"].startswith("msg_")
    assert abs(int(delivery.headers[f"{brand}-timestamp"]) - time.time()) < 60
    assert delivery.headers["user-agent"].startswith("Svix-Webhooks/1.")
    assert delivery.headers["content-type"] == "application/json"


def test_another_secret_does_not_verify(sim: Running, receiver: Receiver) -> None:
    """Each webhook has its own."""
    one, other = sim.world.add_webhook(receiver.url), sim.world.add_webhook("http://127.0.0.1:9/")

    sim.world.emit("acs_user.created")
    [delivery] = receiver.wait_for(1)

    svix.webhooks.Webhook(one.secret).verify(delivery.body, delivery.headers)
    with pytest.raises(svix.webhooks.WebhookVerificationError):
        svix.webhooks.Webhook(other.secret).verify(delivery.body, delivery.headers)


def test_a_rotated_secret_signs_beside_the_new_one(sim: Running, receiver: Receiver) -> None:
    """The header holds two signatures, and either secret verifies."""
    webhook = sim.world.add_webhook(receiver.url)
    old = webhook.secret
    new = sim.world.rotate_secret(webhook.webhook_id)

    sim.world.emit("acs_user.created")
    [delivery] = receiver.wait_for(1)

    assert len(delivery.headers["svix-signature"].split()) == 2
    for secret in (old, new):
        svix.webhooks.Webhook(secret).verify(delivery.body, delivery.headers)


def test_a_failing_receiver_is_tried_eight_times(sim: Running, receiver: Receiver) -> None:
    """On the schedule of Svix, with one svix-id, a fresh time and signature each; then the message has failed."""
    receiver.answer = lambda n: 500
    webhook = sim.world.add_webhook(receiver.url)
    sim.world.retry_clock.speed = 1_000_000

    event = sim.world.emit("acs_user.created")
    deliveries = receiver.wait_for(8)
    assert sim.world.outbox.wait_until_idle(60)

    attempts = sim.world.outbox.attempts(event["event_id"])
    assert [attempt.attempt for attempt in attempts] == list(range(1, 9))
    assert _statuses(attempts) == [500] * 8
    assert attempts[-1].next_wait_seconds is None
    for attempt, planned in zip(attempts, SCHEDULED, strict=False):
        assert attempt.next_wait_seconds == pytest.approx(planned, rel=0.2)
    assert len({delivery.headers["svix-id"] for delivery in deliveries}) == 1
    for delivery in deliveries:
        svix.webhooks.Webhook(webhook.secret).verify(delivery.body, delivery.headers)
    assert [message.state for message in sim.world.outbox.messages()] == ["failed"]


@pytest.mark.parametrize("status", [301, 400, 404, 410, 429, 503])
def test_all_but_2xx_is_a_failure(sim: Running, receiver: Receiver, status: int) -> None:
    """Redirects too, which are not followed; the second attempt succeeds and is the last."""
    receiver.answer = lambda n: status if n == 1 else 200
    receiver.answer_headers = {"location": receiver.url}
    sim.world.add_webhook(receiver.url)
    sim.world.retry_clock.speed = 1_000_000

    sim.world.emit("acs_user.created")
    receiver.wait_for(2)
    assert sim.world.outbox.wait_until_idle(60)

    attempts = sim.world.outbox.attempts()
    assert _statuses(attempts) == [status, 200]
    if status == 429:
        assert attempts[0].next_wait_seconds == 60


def test_nothing_is_lost_while_the_receiver_is_down(sim: Running, receiver: Receiver) -> None:
    """Refused connections are retried, until the receiver is there."""
    sim.world.retry_clock.speed = 0.001  # nobody is tried again before all were refused
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        webhook = sim.world.add_webhook(f"http://127.0.0.1:{closed.getsockname()[1]}/")
        events = [sim.world.emit("acs_user.created")["event_id"] for _ in range(5)]
        eventually(lambda: len(sim.world.outbox.attempts()) >= 5, what="the refusals")
        refused = sim.world.outbox.attempts()

    webhook.url = receiver.url
    sim.world.retry_clock.speed = 1000
    got = receiver.wait_for(5)

    assert [(each.status, each.error) for each in refused] == [(None, "connection failed")] * 5
    assert sorted(delivery.event["event_id"] for delivery in got) == sorted(events)


def test_a_receiver_that_hangs_times_out(sim: Running, receiver: Receiver) -> None:
    """No answer in time is a failure, after which Svix slows down."""

    is_over = threading.Event()

    def hang(n: int) -> int:
        is_over.wait(120)
        return 204

    receiver.answer = hang
    sim.world.outbox.settings.time_out = 0.1
    sim.world.add_webhook(receiver.url)

    sim.world.emit("acs_user.created")
    try:
        eventually(sim.world.outbox.attempts, what="the end of its patience")
    finally:
        is_over.set()

    [attempt] = sim.world.outbox.attempts()
    assert (attempt.status, attempt.error, attempt.next_wait_seconds) == (None, "timed out", 60)


def test_a_receiver_can_abort_a_message(sim: Running, receiver: Receiver) -> None:
    """`webhook-delivery: abort-message` stops its retries (Svix, receiver control headers)."""
    receiver.answer = lambda n: 500
    receiver.answer_headers = {"webhook-delivery": "abort-message"}
    sim.world.add_webhook(receiver.url)

    sim.world.emit("acs_user.created")
    receiver.wait_for(1)

    assert sim.world.outbox.wait_until_idle(60)
    assert [message.state for message in sim.world.outbox.messages()] == ["aborted"]


def test_duplicates_have_one_id(sim: Running, receiver: Receiver) -> None:
    """Each message comes so many times, under one svix-id."""
    sim.world.add_webhook(receiver.url)
    sim.world.outbox.settings.copies = 3

    sim.world.emit("acs_user.created")
    deliveries = receiver.wait_for(3)

    assert sim.world.outbox.wait_until_idle(60)
    assert len(receiver.got) == 3
    assert len({delivery.headers["svix-id"] for delivery in deliveries}) == 1


def test_losses_can_be_recovered(sim: Running, receiver: Receiver) -> None:
    """A lost message is never tried; recovering sends it."""
    sim.world.add_webhook(receiver.url)
    settings = sim.world.outbox.settings
    settings.loss = 0.5

    events = [sim.world.emit("acs_user.created")["event_id"] for _ in range(40)]
    assert sim.world.outbox.wait_until_idle(60)
    arrived = len(receiver.got)
    recovered = sim.world.outbox.recover()
    receiver.wait_for(40)

    assert 5 < arrived < 35
    assert arrived + recovered == 40
    assert sorted(delivery.event["event_id"] for delivery in receiver.got) == sorted(events)


def test_a_window_is_shuffled(sim: Running, receiver: Receiver) -> None:
    """Nothing is sent until the window is full; then all of it, in another order."""
    sim.world.add_webhook(receiver.url)
    settings = sim.world.outbox.settings
    settings.reorder_window, settings.concurrency, settings.hold_seconds = 10, 1, 60

    events = [sim.world.emit("acs_user.created")["event_id"] for _ in range(10)]
    got = [delivery.event["event_id"] for delivery in receiver.wait_for(10)]

    assert got != events
    assert sorted(got) == sorted(events)


def test_a_window_that_does_not_fill_is_sent_anyway(sim: Running, receiver: Receiver) -> None:
    """After `hold_seconds`."""
    sim.world.add_webhook(receiver.url)
    sim.world.outbox.settings.reorder_window = 10
    sim.world.outbox.settings.hold_seconds = 0.05

    sim.world.emit("acs_user.created")

    assert len(receiver.wait_for(1)) == 1


def test_order_is_kept_with_one_at_a_time(sim: Running, receiver: Receiver) -> None:
    """Without reordering and with a concurrency of one, events come as they happened."""
    sim.world.add_webhook(receiver.url)
    sim.world.outbox.settings.concurrency = 1

    events = [sim.world.emit("acs_user.created")["event_id"] for _ in range(10)]

    assert [delivery.event["event_id"] for delivery in receiver.wait_for(10)] == events


def test_a_message_is_resent_under_its_id(sim: Running, receiver: Receiver) -> None:
    """As from the Svix portal."""
    sim.world.add_webhook(receiver.url)
    event = sim.world.emit("acs_user.created")
    receiver.wait_for(1)
    assert sim.world.outbox.wait_until_idle(60)

    resent = sim.world.outbox.resend(event["event_id"])
    first, second = receiver.wait_for(2)

    assert resent == 1
    assert first.headers["svix-id"] == second.headers["svix-id"]
    assert first.body == second.body


def test_a_webhook_gets_the_types_it_asked_for(sim: Running, client: httpx.Client, receiver: Receiver) -> None:
    """Two endpoints give one event two svix-ids; a removed endpoint gets nothing."""
    made: list[dict[str, Any]] = [
        client.post("/webhooks/create", json={"url": receiver.url, "event_types": types}).json()["webhook"]
        for types in (["*"], ["acs_user.deleted"], ["acs_user.deleted"])
    ]
    client.delete("/webhooks/delete", params={"webhook_id": made[2]["webhook_id"]})

    sim.world.emit("acs_user.created")
    sim.world.emit("acs_user.deleted")
    got = receiver.wait_for(3)

    assert sim.world.outbox.wait_until_idle(60)
    assert len(receiver.got) == 3
    assert sorted(delivery.event["event_type"] for delivery in got) == [
        "acs_user.created",
        "acs_user.deleted",
        "acs_user.deleted",
    ]
    assert len({delivery.headers["svix-id"] for delivery in got}) == 3


def test_a_removed_webhook_is_not_tried_again(sim: Running, receiver: Receiver) -> None:
    """What was waiting for it is dropped (Seam, webhooks)."""
    receiver.answer = lambda n: 500
    webhook = sim.world.add_webhook(receiver.url)
    sim.world.retry_clock.speed = 0.001
    sim.world.emit("acs_user.created")
    receiver.wait_for(1)

    sim.world.remove_webhook(webhook.webhook_id)

    assert sim.world.outbox.wait_until_idle(60)
    assert len(receiver.got) == 1


def test_a_pause_keeps_everything(sim: Running, receiver: Receiver) -> None:
    """Nothing is sent until it ends."""
    sim.world.add_webhook(receiver.url)
    httpx.post(f"{sim.url}/_simulator/deliveries/settings", json={"is_paused": True})
    sim.world.emit("acs_user.created")
    assert not sim.world.outbox.wait_until_idle(0.2)

    httpx.post(f"{sim.url}/_simulator/deliveries/settings", json={"is_paused": False})

    assert len(receiver.wait_for(1)) == 1
