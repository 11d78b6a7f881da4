"""Settings: read once, all mistakes together, each with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamkeeper import settings
from seamkeeper.errors import ConfigurationError
from tests.conftest import SECRET


def mistakes_of(environ: dict[str, str], **options: tuple[str, ...]) -> tuple[str, ...]:
    """What is wrong with it."""
    with pytest.raises(ConfigurationError) as caught:
        settings.load(environ, **options)
    return caught.value.mistakes


def test_an_empty_environment_has_defaults() -> None:
    """Everything has one, but for credentials."""
    told = settings.load({})

    assert (told.repair, told.max_body_bytes, told.can_call_seam) == ("apply", 262_144, False)


def test_all_mistakes_are_listed_together() -> None:
    """One start shows them all, not one start each."""
    found = mistakes_of(
        {"REDIS_URL": "localhost:6379", "SEAMKEEPER_REPAIR": "yes", "SEAMKEEPER_MAX_BODY_BYTES": "-1",
         "DATABASE_URL": "mysql://x", "SEAMKEEPER_RETRY_DELAYS": "5,x"},
        need=("SEAM_WEBHOOK_SECRET",),
    )  # fmt: skip

    assert [sentence.split()[0] for sentence in found] == [
        "SEAM_WEBHOOK_SECRET", "REDIS_URL", "DATABASE_URL", "SEAMKEEPER_REPAIR",
        "SEAMKEEPER_MAX_BODY_BYTES", "SEAMKEEPER_RETRY_DELAYS",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        ("mySecret", "whsec_"),
        ("whsec_abc", "base64"),
        ("whsec_AAAA", "24"),
        ("whsec_" + "A" * 31 + "!", "base64"),
        (f"{SECRET},nope", "whsec_"),
        (" , ", "no secret"),
    ],
)
def test_a_secret_that_the_library_would_take_is_refused_at_start(secret: str, word: str) -> None:
    """`whsec_abc` is accepted by the library, and then every request fails; the secret itself is not repeated."""
    (sentence,) = mistakes_of({"SEAM_WEBHOOK_SECRET": secret})

    assert word in sentence
    assert secret not in sentence


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    """As Docker and Kubernetes give them."""
    (tmp_path / "secret").write_text(SECRET + "\n", encoding="utf-8")

    told = settings.load({"SEAM_WEBHOOK_SECRET_FILE": str(tmp_path / "secret")})

    assert told.webhook_secrets == (SECRET,)


def test_a_value_and_a_file_at_once_is_a_mistake(tmp_path: Path) -> None:
    """Which of the two is meant?"""
    (sentence,) = mistakes_of({"SEAM_API_KEY": "x", "SEAM_API_KEY_FILE": str(tmp_path / "x")})

    assert "both set" in sentence


def test_a_file_that_is_not_there_is_a_mistake() -> None:
    """Not an empty value."""
    (sentence,) = mistakes_of({"SEAM_API_KEY_FILE": "/nowhere/at/all"})

    assert "could not be read" in sentence


@pytest.mark.parametrize(
    "environ",
    [
        {"SEAM_API_KEY": "seam_x", "SEAM_PERSONAL_ACCESS_TOKEN": "seam_at_x"},
        {"SEAM_PERSONAL_ACCESS_TOKEN": "seam_at_x"},
    ],
    ids=["both-credentials", "token-without-workspace"],
)
def test_credentials_that_the_sdk_refuses_are_found_at_start(environ: dict[str, str]) -> None:
    """Seam's SDK takes a key, or a token with a workspace."""
    assert mistakes_of(environ)


def test_secrets_are_not_in_the_repr() -> None:
    """A log line with the settings in it shows no secret."""
    told = settings.load({"SEAM_WEBHOOK_SECRET": SECRET, "SEAM_API_KEY": "seam_key", "REDIS_URL": "redis://:pw@host"})

    assert not any(secret in repr(told) for secret in (SECRET, "seam_key", "pw"))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_the_usual_postgresql_addresses_use_psycopg_3(scheme: str) -> None:
    """Hosting providers hand out `postgres://`."""
    assert settings.load({"DATABASE_URL": f"{scheme}://u@h/d"}).database_url == "postgresql+psycopg://u@h/d"


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", ""])
@pytest.mark.parametrize(
    ("name", "beginning"), [("REDIS_URL", "redis://:p:w@host"), ("DATABASE_URL", "postgresql://u:p@[::1]")]
)
def test_a_port_that_is_none_is_a_mistake(name: str, beginning: str, port: str) -> None:
    """The libraries meet it much later, each in its own way."""
    (sentence,) = mistakes_of({name: f"{beginning}:{port}/0"})

    assert "port" in sentence


@pytest.mark.parametrize(
    "value", ["redis://host", "redis://:pa:ss@host:6379/0", "rediss://[::1]:6380", "unix:///run/a:b.sock?db=0"]
)
def test_the_usual_addresses_of_redis_are_taken(value: str) -> None:
    """With a port, without one, with brackets, as a socket."""
    assert settings.load({"REDIS_URL": value}).redis_url == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("SEAMKEEPER_DEDUPE_HOURS", "0.0001"), ("SEAMKEEPER_JOB_TIMEOUT_SECONDS", "0.5"),
     ("SEAMKEEPER_MAINTENANCE_SECONDS", "0.9")],
)  # fmt: skip
def test_what_redis_and_rq_count_in_seconds_is_a_second_or_more(name: str, value: str) -> None:
    """Cut to whole seconds it would be none: EX 0 is an error at every webhook."""
    (sentence,) = mistakes_of({name: value})

    assert "1 s or more" in sentence


def test_addresses_of_apprise_may_hold_commas() -> None:
    """Separated as apprise itself separates them."""
    mail, chat = "mailto://u:p@example.com?to=a@example.com,b@example.com", "slack://a/b/c"

    found = [settings.load({"SEAMKEEPER_NOTIFY": text}).notify for text in (f"{mail}, {chat}", f"{mail} {chat}", chat)]

    assert found == [(mail, chat), (mail, chat), (chat,)]


def test_what_is_no_address_of_apprise_is_refused_without_repeating_it() -> None:
    """It may be a password."""
    (sentence,) = mistakes_of({"SEAMKEEPER_NOTIFY": "hunter2"})

    assert "number 1 is none" in sentence
    assert "hunter2" not in sentence
