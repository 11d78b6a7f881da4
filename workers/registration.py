"""Is our webhook at Seam as it must be? Looked at each hour, and put right where policy allows.

Duplicates are never removed here: which of them somebody else lives on, only a person knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seamkeeper import clock, database, logs, registration, secret_file
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.registration import FINDING_OF, Registration
from workers import findings
from workers.seam_api import SeamApi
from workers.tools import Tools
from workers.webhooks import ALL, Webhook, completed, lacks, ours, wanted_types

_UNCONFIGURED = (
    "Nobody told us the address of our webhook, so it is not looked at: set SEAMKEEPER_WEBHOOK_URL, or run "
    "`seamkeeper register --url https://…`."
)


class NotWritten(Permanent):
    """A secret could not be kept where it belongs. The message says where, and what became of the webhook."""


@dataclass(frozen=True, slots=True)
class Look:
    """What Seam shows of our webhook. `found` are those with our address, the one to keep first."""

    url: str
    found: list[Webhook]
    lacking: list[str]
    is_secret_unknown: bool

    @property
    def states(self) -> list[str]:
        """What is wrong, the worst first."""
        if not self.found:
            return ["missing"]
        wrong = {"narrowed": self.lacking, "secret_unknown": self.is_secret_unknown, "duplicated": self.found[1:]}
        return [state for state, is_so in wrong.items() if is_so]


def check(tools: Tools, *, repair: bool = False) -> None:
    """One look, the repairs that SEAMKEEPER_REGISTER (or, with `repair`, a person) allows, and what then is open as
    findings."""
    told = tools.settings
    if told.register == "off" and not repair:
        return
    with database.reading(tools.engine) as connection:
        known = registration.read(connection)
    url = told.webhook_url or known.url
    if not url:
        _keep(tools, known, None, "")
        return
    look = _look(tools, url, known)
    done = ""
    if (repair or told.register == "repair") and set(look.states) - {"duplicated"}:
        done, known = _repair(tools, look, known)
        look = _look(tools, url, known)  # accepted is not applied
    _keep(tools, known, look, done)


def create(seam: SeamApi, url: str, event_types: list[str], keep: Callable[[str], None]) -> Webhook:
    """A new webhook whose secret was kept. One whose secret cannot be kept is removed again: nobody would ever know it.

    `keep` gets an empty secret when Seam's answer holds none that Svix could use. Raises `NotWritten`.
    """
    made = Webhook.of(seam.create_webhook(url, event_types))
    try:
        keep(made.secret)
    except (OSError, ValueError) as error:
        try:
            seam.delete_webhook(made.webhook_id)
        except (Temporary, Permanent) as refused:
            raise NotWritten(
                f"the secret could not be kept ({error}), and the webhook {made.webhook_id} could not be removed "
                f"again ({refused}): remove it in Seam Console"
            ) from error
        raise NotWritten(f"the secret could not be kept ({error}), so the webhook was removed again") from error
    return made


def complete(seam: SeamApi, webhook: Webhook, lacking: Sequence[str]) -> list[str]:
    """Adds event types to a webhook; gives those that Seam does not offer. One of them refuses the whole update (the
    fake does: `invalid_event_types`), so after such a refusal they are added one at a time."""
    try:
        seam.update_webhook(webhook.webhook_id, completed(webhook, lacking))
        return []
    except Permanent as error:
        if "event_type" not in str(error):
            raise
    refused = []
    for each in lacking:
        try:
            seam.update_webhook(webhook.webhook_id, completed(webhook, [each]))
            webhook = replace(webhook, event_types=(*webhook.event_types, each))
        except Permanent as error:
            if "event_type" not in str(error):  # the webhook is gone, or somebody else answers: that says nothing of it
                raise
            refused.append(each)
    return refused


def _look(tools: Tools, url: str, known: Registration) -> Look:
    secrets = _secrets(tools)
    listed = map(Webhook.of, tools.seam.webhooks())
    found = ours(listed, url, secrets=secrets, webhook_id=known.webhook_id)
    lacking = lacks(found[0], wanted_types(tools.table) - set(known.not_offered)) if found else []
    return Look(url, found, lacking, bool(found and secrets and found[0].secret and found[0].secret not in secrets))


def _secrets(tools: Tools) -> tuple[str, ...]:
    """Those that the receiver takes now; none where this process was told none (then nothing can be said of them)."""
    told = tools.settings
    if told.webhook_secret_file is None:
        return told.webhook_secrets
    try:
        return secret_file.read(told.webhook_secret_file)  # it may have been replaced since this process began
    except (OSError, ValueError):
        return told.webhook_secrets


def _repair(tools: Tools, look: Look, known: Registration) -> tuple[str, Registration]:
    """What was done, or why not, as a sentence; and what is known now."""
    try:
        return _mend(tools, look, known)
    except (OSError, ValueError) as error:
        reason = f"{tools.settings.webhook_secret_file} cannot be written: {error}"
    except Permanent as error:
        reason = str(error)
    logs.get().warning("registration.not_repaired", states=look.states, reason=reason)
    return f"It was not repaired: {reason}.", known


def _mend(tools: Tools, look: Look, known: Registration) -> tuple[str, Registration]:
    file, wanted, done = tools.settings.webhook_secret_file, wanted_types(tools.table), []
    if not look.found:
        if file is None:
            reason = "SEAM_WEBHOOK_SECRET_FILE names no file, and its new secret would be lost"
            return f"It was not made again: {reason}.", known
        secret_file.check_writable(file)
        if _look(tools, look.url, known).found:  # somebody was quicker; never two
            return "", known
        types = [ALL] if ALL in known.event_types or not known.event_types else sorted({*known.event_types, *wanted})
        made = create(tools.seam, look.url, types, lambda secret: secret_file.put(file, secret))
        done.append(_did(f"It was missing and was made again ({made.webhook_id}).", "created"))
        return done[0], replace(known, not_offered=tuple(lacks(made, wanted)))
    webhook = look.found[0]
    if look.lacking:
        refused = complete(tools.seam, webhook, look.lacking)
        known = replace(known, not_offered=tuple(sorted({*known.not_offered, *refused})))
        added = ", ".join(each for each in look.lacking if each not in refused)
        done.append(_did(f"Event types were added: {added or 'none'}.", "updated"))
        done += [f"Seam does not offer {', '.join(refused)}."] if refused else []
    if look.is_secret_unknown and file is not None:
        secret_file.put(file, webhook.secret)
        done.append(_did(f"Its secret was not ours and now stands in {file}.", "secret_taken"))
    return " ".join(done), known


def _did(sentence: str, what: str) -> str:
    logs.get().info("registration.repaired", what=what)
    return sentence


def _keep(tools: Tools, known: Registration, look: Look | None, done: str) -> None:
    """The findings that are open now, and the result for whoever asks."""
    states = look.states if look else []
    sentences = {state: _sentence(look, state) for state in states} if look else {}
    state = states[0] if states else ("ok" if look else "unconfigured")
    said = " ".join([*(sentences.values() or [_well(look)]), *([done] if done else [])])
    webhook_id = look.found[0].webhook_id if look and look.found else known.webhook_id
    now = replace(known, webhook_id=webhook_id, checked_at=clock.iso(clock.now()), state=state, sentence=said)
    for each, code in FINDING_OF.items():
        words = f"{sentences[each]} {done}".strip() if each in sentences else None
        findings.of_the_house(tools, code, words, _detail(look) if words else None)
    with tools.engine.begin() as connection:
        registration.write(connection, replace(now, url=look.url) if look else now)
    if state != known.state:
        logs.get().info("registration.checked", state=state, before=known.state)


def _well(look: Look | None) -> str:
    return "Our webhook at Seam is as it must be." if look else _UNCONFIGURED


def _sentence(look: Look, state: str) -> str:
    if state == "missing":
        return f"No webhook at Seam has the address {look.url}. Run: seamkeeper register --url {look.url}"
    if state == "narrowed":
        return f"It does not bring {', '.join(look.lacking)}. Run: seamkeeper register --url {look.url}"
    ids = ", ".join(webhook.webhook_id for webhook in look.found)
    if state == "duplicated":
        return f"{len(look.found)} webhooks have our address ({ids}): each event comes several times."
    return f"The secret that Seam shows of it is none of SEAM_WEBHOOK_SECRET: its deliveries are refused ({ids})."


def _detail(look: Look | None) -> dict[str, Any]:
    if look is None:
        return {}
    return {"url": look.url, "webhook_ids": [each.webhook_id for each in look.found], "lacking": look.lacking}
