"""The building keeps itself alive."""

from __future__ import annotations

from collections import Counter

from simulator.alive import FEWEST, MOST, Building
from simulator.world import World


def _live(seed: int, turns: int) -> tuple[World, list[str]]:
    """So many turns of a quarter of a second."""
    world = World(seed=seed, users=12)
    lines: list[str] = []
    world.on_happening = lines.append
    building = Building(world)
    for turn in range(turns):
        building.turn(turn / 4)
    return world, lines


def test_something_happens_every_two_to_four_seconds() -> None:
    """In half an hour everything has happened, and the building is neither empty nor crowded."""
    world, lines = _live(1, 4 * 1800)

    own = [line for line in lines if "mobile key" not in line]
    events = Counter(event.body["event_type"] for event in world.events)
    assert len(lines) >= 1800 / 4
    assert len(own) <= 1800 / 2
    for what in ("moved in", "moved out", "edited at the provider", " has ", "is well again", "the API answers"):
        assert any(what in line for line in own), what
    assert {"acs_user.created", "acs_user.deleted", "acs_credential.issued"} == set(events)
    assert FEWEST <= len(world.users) <= MOST + 1


def test_most_edits_are_followed_by_an_event_that_leads_to_them() -> None:
    """Seam says nothing about an edit, but a key that is issued soon after does."""
    world, lines = _live(2, 4 * 600)

    edits = sum("edited at the provider" in line for line in lines)
    keys = sum(event.body["event_type"] == "acs_credential.issued" for event in world.events)
    assert edits > 20
    assert keys > edits * 0.7


def test_the_same_seed_lives_the_same_life() -> None:
    """Every line is the same."""
    assert _live(3, 400)[1] == _live(3, 400)[1]
    assert _live(3, 400)[1] != _live(4, 400)[1]


def test_what_seam_is_about_to_change_is_left_alone() -> None:
    """With everybody pending, nothing happens, and nobody moves in without end."""
    world = World(users=12)
    world.settings.is_holding = True
    for user in world.users.values():
        world.update_user(user, {"full_name": "Ada"})

    assert Building(world).happen(0) == "all is quiet"
