"""The world may be driven from any thread while it is served."""

from __future__ import annotations

import threading

import httpx

from simulator.serve import Running

from .conftest import Receiver


def test_many_hands(sim: Running, client: httpx.Client, receiver: Receiver) -> None:
    """Users come, change and go in eight threads while they are listed; nothing breaks and nothing is lost."""
    world = sim.world
    world.settings.is_holding, world.settings.pending_seconds = False, 0.0
    world.add_webhook(receiver.url)
    broken: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                id = world.add_user(announce=True)
                world.edit_at_provider(id, full_name="Ada")
                world.update_user(world.find_user(id), {"phone_number": "+12125550100"})
                world.drain()
                world.delete_at_provider(id)
        except BaseException as exc:
            broken.append(exc)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert client.get("/acs/users/list").status_code == 200
        assert client.get("/_simulator/state").status_code == 200
    assert world.outbox.wait_until_idle(120)

    assert broken == []
    assert len(world.users) == 3
    assert len({delivery.event["event_id"] for delivery in receiver.got}) == len(world.events) == 320
