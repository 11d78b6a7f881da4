"""The stack as an operator runs it: people are kept right, restarts lose nothing, doors that shall be shut are shut."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.containers.conftest import WORKERS
from tests.containers.stack import LOGIN, Stack, docker, inspect, wait_for
from tests.signing import body_of, event, signed

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

WANTED = {"full_name": "Ada Lovelace", "phone_number": "+12065550100"}
OUR_SERVICES = ("receiver", "worker", "scheduler", "console", "simulator")


def test_an_edit_behind_our_back_is_repaired(stack: Stack) -> None:
    """Desired state set, edited at the provider, a signed webhook at the published port: the user is as desired."""
    acs_user_id = _managed_user(stack)
    stack.steer("/users/edit", acs_user_id=acs_user_id, phone_number="+12065550142", full_name="Somebody Else")

    _deliver(stack, event("acs_user.created", acs_user_id=acs_user_id))

    wait_for("the simulated Seam has the desired values again", lambda: _has_wanted(stack.at_seam(acs_user_id)))
    wait_for("the mirror says in_sync", lambda: _is_in_sync(stack, acs_user_id))


def test_a_restart_keeps_what_was_known(stack: Stack) -> None:
    """After `down` and `up` the event, the user and the desired state are there; the same webhook is a duplicate."""
    acs_user_id = _managed_user(stack)
    delivered = event("acs_user.created", acs_user_id=acs_user_id)
    _deliver(stack, delivered)
    event_before = _settled(stack, delivered)
    wait_for("the mirror says in_sync", lambda: _is_in_sync(stack, acs_user_id))
    user_before = stack.seamkeeper_json("users", "show", acs_user_id)

    stack.compose("down")
    stack.up(workers=WORKERS)
    _deliver(stack, delivered)  # as Svix does when it did not hear our first answer
    later = event("acs_system.connected")
    _deliver(stack, later)
    _settled(stack, later)  # the queue is in order: a second job of the first event would have run by now

    assert stack.seamkeeper_json("events", "show", delivered["event_id"]) == event_before
    rows = stack.seamkeeper_json("events", "list", "--user", acs_user_id)
    assert [row["event_id"] for row in rows] == [delivered["event_id"]]
    # The simulator forgets its people with its process, and the clock's resync may have found that out by now: the
    # mirror then says so and keeps what it saw last.
    assert stack.seamkeeper_json("users", "show", acs_user_id)["observed"] == user_before["observed"]
    assert stack.seamkeeper_json("desired", "show", acs_user_id) == WANTED


def test_what_was_accepted_survives_a_kill(stack: Stack) -> None:
    """Events that were answered 204 while no worker ran are done in the end, though Redis and receiver were killed."""
    stack.compose("stop", "worker")
    accepted = [event("acs_system.connected") for _ in range(20)]
    for payload in accepted:
        _deliver(stack, payload)

    stack.compose("kill", "redis", "receiver")
    stack.up(workers=WORKERS)

    for payload in accepted:
        assert _settled(stack, payload)["status"] in ("done", "ignored")


def test_every_worker_container_is_registered(stack: Stack) -> None:
    """`--scale worker=3` gives three hosts in RQ's registry, each serving every queue."""
    script = 'for worker in $(redis-cli smembers rq:workers); do redis-cli hmget "$worker" hostname queues; done'

    def registered() -> list[str]:
        return stack.compose("exec", "-T", "redis", "sh", "-c", script).split()

    expected = {id[:12] for id in stack.containers("worker")}
    assert len(expected) == WORKERS
    pairs = wait_for("all are registered", lambda: expected <= set(registered()[::2]) and registered())
    for host in expected:
        served = [names.split(",") for name, names in zip(pairs[::2], pairs[1::2], strict=True) if name == host]
        assert {queue for queues in served for queue in queues} == {"events", "reconcile", "resync"}


def test_only_the_doors_are_published(stack: Stack) -> None:
    """The receiver on every address, console and simulator on this machine's own, the stores not at all."""
    published = {
        service: {
            binding["HostIp"]
            for container in stack.containers(service)
            for bindings in inspect(container)["NetworkSettings"]["Ports"].values()
            for binding in bindings or ()
        }
        for service in (*OUR_SERVICES, "redis", "postgres")
    }

    assert published.pop("receiver") >= {"0.0.0.0"}  # noqa: S104
    assert published.pop("console") == published.pop("simulator") == {"127.0.0.1"}
    assert published == {"worker": set(), "scheduler": set(), "redis": set(), "postgres": set()}


@pytest.mark.parametrize("service", OUR_SERVICES)
def test_a_service_can_do_little_harm(stack: Stack, service: str) -> None:
    """Every process of it has the uid 10001, no capability, no way to more, and writes to /tmp only."""
    for container in stack.containers(service):
        lines = docker("top", container, "-eo", "uid,pid").splitlines()[1:]
        assert {line.split()[0] for line in lines} == {"10001"}

        host = inspect(container)["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert list(host["Tmpfs"]) == ["/tmp"]  # noqa: S108
        assert inspect(container)["Mounts"] == []


@pytest.mark.parametrize("service", ["redis", "postgres"])
def test_a_store_is_not_run_by_root(stack: Stack, service: str) -> None:
    """Its processes have a user of their own and no capability."""
    (container,) = stack.containers(service)

    lines = docker("top", container, "-eo", "uid,pid").splitlines()[1:]

    assert "0" not in {line.split()[0] for line in lines}
    assert inspect(container)["HostConfig"]["CapDrop"] == ["ALL"]


def test_the_receiver_reaches_neither_database_nor_simulator_secrets(stack: Stack) -> None:
    """Strangers reach this process: it has no API key, no database password, and no network with the database."""
    (container,) = stack.containers("receiver")
    names = {line.partition("=")[0] for line in inspect(container)["Config"]["Env"]}

    resolved = stack.compose("exec", "-T", "receiver", "getent", "hosts", "postgres", ok=(0, 2))

    assert names & {"SEAM_API_KEY", "SEAM_PERSONAL_ACCESS_TOKEN", "DATABASE_URL", "PGPASSWORD"} == set()
    assert resolved == ""


def test_stopping_is_orderly(stack: Stack) -> None:
    """SIGTERM through the init process ends each of our services by itself: none has to be killed."""
    services = [service for service in OUR_SERVICES if service != "simulator"]  # its people would be others afterwards

    stack.compose("stop", *services)
    codes = {service: {inspect(id)["State"]["ExitCode"] for id in stack.containers(service)} for service in services}
    stack.up(workers=WORKERS)

    assert all(137 not in found for found in codes.values()), codes
    assert codes["worker"] == codes["scheduler"] == {0}


def test_a_forged_webhook_is_refused(stack: Stack) -> None:
    """A signature by another secret gets 401 at the published port."""
    body = body_of(event())

    answer = httpx.post(stack.webhook, content=body, headers=signed(body, secret="whsec_" + "A" * 40))

    assert answer.status_code == 401


def test_the_console_shows_its_pages(stack: Stack) -> None:
    """The published console asks who comes, then answers with the overview and the metrics."""
    assert httpx.get(stack.console).status_code == 401
    assert httpx.get(stack.console, auth=LOGIN).status_code == 200
    assert "seamkeeper_" in httpx.get(f"{stack.console}/metrics", auth=LOGIN).text


def _managed_user(stack: Stack) -> str:
    acs_user_id = str(stack.steer("/users/add", full_name=f"Guest {uuid.uuid4().hex[:6]}")["acs_user_id"])
    stack.seamkeeper("desired", "set", acs_user_id, *(f"{name}={value}" for name, value in WANTED.items()))
    wait_for("the new user is in sync", lambda: _is_in_sync(stack, acs_user_id))
    return acs_user_id


def _deliver(stack: Stack, payload: dict[str, Any]) -> None:
    body = body_of(payload)
    assert httpx.post(stack.webhook, content=body, headers=signed(body)).status_code == 204


def _settled(stack: Stack, payload: dict[str, Any]) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        found = stack.seamkeeper_json("events", "show", payload["event_id"])
        return dict(found) if found and found["status"] in ("done", "ignored", "dead") else None

    found = wait_for(f"{payload['event_type']} is settled", done)
    assert found["status"] != "dead", found
    return dict(found)


def _is_in_sync(stack: Stack, acs_user_id: str) -> bool:
    found = stack.seamkeeper_json("users", "show", acs_user_id)
    return bool(found) and found["sync"] == "in_sync" and _has_wanted(found["observed"])


def _has_wanted(user: dict[str, Any]) -> bool:
    return {name: user.get(name) for name in WANTED} == WANTED and not user["pending_mutations"]
