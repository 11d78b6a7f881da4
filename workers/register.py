"""`seamkeeper register`: make or adopt our webhook at Seam, and keep its secret where only the receiver finds it.

It needs neither Redis nor a worker: this is what one does before anything runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from seamkeeper import clock, database, registration, settings
from seamkeeper.errors import ConfigurationError, Permanent, Temporary
from seamkeeper.registration import PATH, Registration
from workers.reactions import load_table
from workers.registration import complete, create
from workers.seam_api import SeamApi
from workers.seam_errors import NoAnswer
from workers.secret_place import NAME, Place, place_of
from workers.webhooks import ALL, Webhook, completed, lacks, ours, wanted_types

_SEAMS_OWN = (".getseam.com", ".seam.co")


class WrongUse(Exception):
    """Arguments that cannot work; the message says what to give instead."""


@dataclass(slots=True)
class Done:
    """What `--json` prints. `outcome` is `created`, `adopted` (nothing was to be changed) or `completed`; `kept` of
    its secret `written`, `known` (it stands there already), `printed`, `not_shown` by Seam, or `not_asked_for`."""

    url: str
    outcome: str = "created"
    webhook_id: str | None = None
    event_types: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    not_offered: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: str = "not_asked_for"
    secret_file: str | None = None
    remembered: bool = False
    dry_run: bool = False
    signing_secret: str | None = None


def main(arguments: Sequence[str]) -> int:
    """Exit 0 when the webhook is as it must be, 1 when Seam refuses or the secret is not where it belongs, 2 for what
    cannot work, 5 when Seam does not answer."""
    options = _options(arguments)
    try:
        told = _settings()
        return _run(options, told)
    except ConfigurationError as error:
        return _failed(2, f"The settings cannot work:\n{error}")
    except WrongUse as error:
        return _failed(2, str(error))
    except NoAnswer as error:
        return _failed(5, f"Seam does not answer at {told.endpoint}: {_explained(error)}")
    except (Temporary, Permanent) as error:
        return _failed(1, _explained(error))
    except (KeyboardInterrupt, EOFError):
        return 130


def _run(options: argparse.Namespace, told: settings.Settings) -> int:
    url = options.url or told.webhook_url
    _check_url(url, told)
    wanted = wanted_types(load_table(told.reactions))
    try:
        place = place_of(secret_path=options.secret_file, env_path=options.write_env, is_printed=options.print_secret)
    except (OSError, ValueError) as error:
        raise WrongUse(f"The file of the secret cannot be used: {error}") from error
    if options.remove_duplicates and not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise WrongUse("--remove-duplicates needs --yes where nobody can be asked.")
    seam = SeamApi(told, count=lambda fields: None)
    try:
        known = _known(told)
        refused = set(known.not_offered) if registration.is_same_place(known.url, url) else set()
        done = _register(seam, options, place, url, wanted - refused)
        done.not_offered = sorted({*done.not_offered, *refused})
        _settle_duplicates(seam, options, done)
    finally:
        seam.close()
    if not options.dry_run:
        done.remembered = _remember(told, done)
    _tell(options, done, told)
    return 1 if done.kept == "not_shown" and place.is_any and not place.known else 0


def _register(seam: SeamApi, options: argparse.Namespace, place: Place, url: str, wanted: frozenset[str]) -> Done:
    """Adopts the webhook with our address and completes its types, or makes one."""
    asked = _asked_types(options.events, wanted)
    done = Done(url, dry_run=options.dry_run, secret_file=str(place.file) if place.file else None)
    found = ours(map(Webhook.of, seam.webhooks()), url, secrets=place.known)
    if not found:
        return _make(seam, options, place, done, asked, wanted)
    webhook = found[0]
    done.webhook_id, done.outcome = webhook.webhook_id, "adopted"
    done.duplicates = [each.webhook_id for each in found[1:]]
    done.event_types, done.added = list(webhook.event_types), lacks(webhook, {*wanted, *asked} - {ALL})
    if options.events and ALL in asked and ALL not in webhook.event_types:
        done.added = [ALL]
    if done.added:
        done.outcome, done.event_types = "completed", completed(webhook, done.added)
        if not options.dry_run:
            done.not_offered = complete(seam, webhook, done.added)
            done.added = [each for each in done.added if each not in done.not_offered]
            done.event_types = [each for each in done.event_types if each not in done.not_offered]
    if webhook.url != url:
        _say(f"Seam has it as {webhook.url}, and an address cannot be changed there."
             + (f" The receiver answers 404 to the slash at its end: remove {webhook.webhook_id} in Seam Console and "
                "register again." if webhook.url.endswith("/") else ""))  # fmt: skip
    if not options.dry_run:
        _keep_adopted(place, webhook, done)
    return done


def _make(
    seam: SeamApi, options: argparse.Namespace, place: Place, done: Done, asked: frozenset[str], wanted: frozenset[str]
) -> Done:
    done.event_types = sorted(asked)
    if not options.dry_run:
        if not place.is_any:
            raise WrongUse("Seam has no webhook with this address, and the secret of a new one is shown once. "
                           "Say where it goes: --secret-file FILE, --write-env FILE or --print-secret.")  # fmt: skip
        try:
            place.check()  # before there is a secret that Seam may show only once
        except OSError as error:
            raise WrongUse(f"{place.file} cannot take the secret: {error}") from error
        made = create(seam, done.url, done.event_types, lambda secret: _keep(place, secret, done))
        done.webhook_id, done.not_offered = made.webhook_id, lacks(made, wanted)  # "all" may be a list at Seam
    return done


def _keep_adopted(place: Place, webhook: Webhook, done: Done) -> None:
    try:
        _keep(place, webhook.secret, done)
    except (OSError, ValueError) as error:
        raise Permanent(f"The webhook is as it must be, but its secret could not be kept: {error}") from error


def _keep(place: Place, secret: str, done: Done) -> None:
    done.kept = place.keep(secret)
    done.signing_secret = secret if place.is_printed and secret else None


def _settle_duplicates(seam: SeamApi, options: argparse.Namespace, done: Done) -> None:
    """Removed only when that was asked for, and then not without a question."""
    if not done.duplicates:
        return
    ids = ", ".join(done.duplicates)
    _say(f"{len(done.duplicates)} more webhooks have this address: {ids}. Each event comes once from each of them.")
    if not options.remove_duplicates or options.dry_run:
        _say("--remove-duplicates removes them.")
        return
    if options.yes or _is_confirmed(f"Remove {ids} at Seam?"):
        for webhook_id in done.duplicates:
            seam.delete_webhook(webhook_id)
            done.removed.append(webhook_id)


def _known(told: settings.Settings) -> Registration:
    """What an earlier call or look found out; nothing where there is no database."""
    try:
        with _database(told) as connection:
            return registration.read(connection) if connection is not None else Registration()
    except (SQLAlchemyError, OSError, ValueError):
        return Registration()


@contextmanager
def _database(told: settings.Settings) -> Iterator[Connection | None]:
    """A transaction; None where an SQLite file would have to be made: nobody asked for a database here."""
    path = make_url(told.database_url)
    if path.get_backend_name() == "sqlite" and not Path(path.database or "").exists():
        yield None
        return
    engine = database.open_engine(told.database_url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _remember(told: settings.Settings, done: Done) -> bool:
    """For the hourly look; a database that is not there is no reason to fail."""
    now: dict[str, Any] = {"url": done.url, "webhook_id": done.webhook_id, "registered_at": clock.iso(clock.now())}
    types: dict[str, Any] = {"event_types": tuple(done.event_types), "not_offered": tuple(done.not_offered)}
    try:
        with _database(told) as connection:
            if connection is None:
                return False
            registration.write(connection, replace(registration.read(connection), **types, **now))
    except (SQLAlchemyError, OSError, ValueError):
        return False
    return True


def _tell(options: argparse.Namespace, done: Done, told: settings.Settings) -> None:
    if options.json:
        found = asdict(done)
        if done.signing_secret is None:
            del found["signing_secret"]
        print(json.dumps(found, indent=2))  # noqa: T201
    elif done.signing_secret:
        print(done.signing_secret)  # noqa: T201
    would = "Would have" if done.dry_run else "Has"
    words = {"created": "made the webhook", "adopted": "adopted the webhook, which is complete",
             "completed": f"added {', '.join(done.added)} to the webhook"}  # fmt: skip
    _say(f"{would} {words[done.outcome]}{f' {done.webhook_id}' if done.webhook_id else ''}, {done.url}, "
         f"event types {', '.join(done.event_types)}.")  # fmt: skip
    if done.not_offered:
        _say(f"Seam does not offer {', '.join(done.not_offered)}, which somebody here reacts to.")
    if done.removed:
        _say(f"Removed {', '.join(done.removed)}.")
    if done.dry_run:
        return
    for sentence in _about_secret(done):
        _say(sentence)
    if not done.remembered and not told.webhook_url:
        _say(f"The database was not reached, so set SEAMKEEPER_WEBHOOK_URL={done.url} for the hourly look.")
    if told.webhook_url and not registration.is_same_place(told.webhook_url, done.url):
        _say(f"SEAMKEEPER_WEBHOOK_URL is {told.webhook_url}: that is what the hourly look goes by.")


def _about_secret(done: Done) -> list[str]:
    if done.kept == "written":
        return [f"Its secret stands in {done.secret_file}, which others cannot read."]
    if done.kept == "known":
        return [f"Its secret stands in {done.secret_file or NAME} already."]
    if done.kept == "not_shown":
        return ["Seam does not show its secret. If nobody has it: copy it from Seam Console, Developer, Webhooks; or "
                f"remove the webhook {done.webhook_id} there and register again."]  # fmt: skip
    return []


def _settings() -> settings.Settings:
    """Without the webhook's secret: its file is what this command may make."""
    told = settings.load({name: value for name, value in os.environ.items() if name not in (NAME, f"{NAME}_FILE")})
    settings.need_seam(told)
    return told


def _check_url(url: str, told: settings.Settings) -> None:
    if not url:
        raise WrongUse("Where does Seam reach the receiver? --url https://hooks.example.com/webhooks/seam")
    try:
        parts, host = urlsplit(url), urlsplit(told.endpoint).hostname or ""
        is_whole = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or any(character.isspace() for character in url):
        raise WrongUse(f"--url {url}: is no address, such as https://hooks.example.com/webhooks/seam")
    if parts.scheme != "https" and f".{host}".endswith(_SEAMS_OWN):
        raise WrongUse(f"--url {url}: Seam sends people's data there; it must begin with https://")
    if parts.path != PATH:
        _say(
            f"The path of {url} does not end in {PATH}: the receiver listens nowhere else, so a proxy must rewrite it."
        )


def _asked_types(events: str, wanted: frozenset[str]) -> frozenset[str]:
    """Of a new webhook: all, unless fewer are asked for; those that we react to are always among them."""
    names = {name.strip() for name in events.split(",") if name.strip()} or {ALL}
    return frozenset({ALL}) if ALL in names else frozenset((names - {"ours"}) | wanted)


def _explained(error: Exception) -> str:
    words = str(error)
    if ": 401" in words:
        return ("Seam does not accept the API key (401): is SEAM_API_KEY whole, of this workspace, and not revoked? "
                "Seam Console, Developer, API Keys.")  # fmt: skip
    hint = ". It may have been made all the same: run this again, it is then adopted." if "/create" in words else ""
    return words + (hint if isinstance(error, Temporary) else "")


def _is_confirmed(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201
    return input().strip().lower() in ("y", "yes")


def _failed(code: int, sentence: str) -> int:
    _say(sentence)
    return code


def _say(sentence: str) -> None:
    """To people; Seam's words must not drive the terminal."""
    print("".join(each if each.isprintable() or each == "\n" else " " for each in sentence), file=sys.stderr)  # noqa: T201


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers register", description=__doc__)
    parser.add_argument("--url", default="")
    parser.add_argument("--events", default="")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--write-env", type=Path)
    where.add_argument("--secret-file", type=Path)
    parser.add_argument("--print-secret", action="store_true")
    parser.add_argument("--remove-duplicates", action="store_true")
    for flag in ("--dry-run", "--yes", "--json"):
        parser.add_argument(flag, action="store_true")
    return parser.parse_args(arguments)
