"""Is this Redis set up to keep what was accepted?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from seamkeeper.redis_checks import Facts, facts_of, problems_of, refusal

WELL = Facts(version="7.2.4", policy="noeviction", is_appending=True, fsync="everysec")


@pytest.fixture
def changed(redis: Redis) -> Iterator[Redis]:
    """Its settings are put back afterwards."""
    yield redis
    for name, value in (("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")):
        redis.config_set(name, value)


def test_the_embedded_one_is_well(redis: Redis) -> None:
    """What `seamkeeper dev` starts has nothing to be said about."""
    assert problems_of(facts_of(redis)) == []
    assert refusal(redis) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("appendonly", "no", "appendonly is no"),
        ("appendfsync", "no", "appendfsync is no"),
        ("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru"),
    ],
)
def test_a_real_one_that_is_not(changed: Redis, name: str, value: str, words: str) -> None:
    """Each is named with the setting."""
    changed.config_set(name, value)

    assert [words in each.what for each in problems_of(facts_of(changed))] == [True]


@pytest.mark.parametrize(
    ("facts", "words", "is_fatal"),
    [
        (Facts(version="6.2.7"), "too old", True),
        (Facts(version="7.2.4", is_write_ok=False), "cannot write", False),
        (Facts(version="7.2.4", is_save_ok=False), "snapshot", False),
        (Facts(version="7.2.4", used_memory=95, max_memory=100), "95 %", False),
    ],
    ids=["old", "disk-full", "snapshot-failed", "nearly-full"],
)
def test_what_a_test_cannot_bring_about(facts: Facts, words: str, is_fatal: bool) -> None:
    """By what INFO would say."""
    [problem] = problems_of(facts)

    assert words in problem.what
    assert problem.is_fatal is is_fatal


def test_a_managed_one_that_says_little_is_no_problem() -> None:
    """What is not said is not held against it."""
    assert problems_of(Facts(version="7.2.4")) == []
    assert problems_of(WELL) == []
