"""How values become words on a page: times, numbers, states, ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from seamkeeper import clock

# What a state means to the eye. The word always stands beside the colour.
_TONES = {
    "good": ("done", "ok", "in_sync", "finished", "idle"),
    "busy": ("running", "started", "busy", "applying", "queued", "received", "scheduled"),
    "warn": ("retrying", "retry", "postponed", "warning", "finding", "drifted", "paused", "suspended", "deferred"),
    "bad": ("dead", "error", "failed", "lost", "refused", "stopped"),
}
_TONE_OF = {state: tone for tone, states in _TONES.items() for state in states}
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def tone(state: str) -> str:
    """The colour of a state: good, busy, warn, bad, or quiet for all that asks for nothing."""
    return _TONE_OF.get(state, "quiet")


def lasting(seconds: float | None) -> str:
    """A duration in its largest unit: `8 ms`, `3.4 s`, `12 min`, `2 h`, `5 d`."""
    if seconds is None:
        return "–"
    if 0 < seconds < 0.095:  # or it would be called "0.1 s" at most
        return f"{max(1.0, seconds * 1000):.0f} ms"
    size, unit = next(((size, unit) for size, unit in _STEPS if seconds >= size), _STEPS[-1])
    figure = max(0.0, seconds) / size
    return f"{figure:.1f}".removesuffix(".0") + f" {unit}" if figure < 10 else f"{figure:.0f} {unit}"


def ago(value: str | datetime) -> str:
    """An instant seen from now: `12 s ago`, `in 3 min`."""
    seconds = (clock.now() - instant(value)).total_seconds()
    if abs(seconds) < 1:
        return "now"
    size, unit = next((size, unit) for size, unit in _STEPS if abs(seconds) >= size)
    words = f"{abs(seconds) // size:.0f} {unit}"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def iso(value: str | datetime) -> str:
    """An instant as programs read it."""
    return clock.iso(instant(value))


def exact(value: str | datetime) -> str:
    """An instant as people write it: `2026-11-22 08:30:00.123 UTC`."""
    return f"{instant(value):%Y-%m-%d %H:%M:%S}.{instant(value).microsecond // 1000:03d} UTC"


def moves(issue: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, str]]]]:
    """(field, who moved it when) of a finding that another writer, or an access system, led to."""
    detail = issue.get("detail")
    fields = detail.get("fields", {}) if isinstance(detail, Mapping) else {}
    return [(name, each["moves"]) for name, each in fields.items() if each.get("moves")]


def happening(what: str, detail: Any) -> str:
    """A line of a user's history in words: `phone_number changed outside us`."""
    told = detail if isinstance(detail, Mapping) else {}
    word = what.removeprefix("acs_user.")
    if word == "changed" and told.get("fields"):
        ours = [name for name in told.get("by_us", ()) if name in told["fields"]]
        others = [name for name in told["fields"] if name not in ours]
        said = [(others, "changed outside us"), (ours, "changed as we asked")]
        return "; ".join(f"{', '.join(names)} {words}" for names, words in said if names)
    if word in ("error_raised", "warning_raised"):
        return f"{word.removesuffix('_raised')} {told.get('code', '')}"
    if word in ("error_cleared", "warning_cleared"):
        return f"{word.removesuffix('_cleared')} {told.get('code', '')} cleared"
    if word == "drifted" and told.get("fields"):
        return f"drifted: {', '.join(told['fields'])}"
    return f"POST {what}" if what.startswith("/") else what


def sentence(text: str) -> str:
    """Its first letter large, the others as they are."""
    return text[:1].upper() + text[1:]


def one_line(value: Any) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def instant(value: str | datetime) -> datetime:
    """An instant from what the queries give."""
    return value if isinstance(value, datetime) else clock.parse(value)


def number(value: float) -> str:
    """A whole number with thousands apart: `2,381`."""
    return f"{value:,.0f}"


def plain(state: str) -> str:
    """A state as two words instead of one name: `in sync`."""
    return state.replace("_", " ")


def value_text(value: Any) -> str:
    """A field of a user as people read it."""
    if isinstance(value, Mapping) and set(value) <= {"starts_at", "ends_at"} and value:
        return f"from {_end(value.get('starts_at'))}\nto {_end(value.get('ends_at'))}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _end(value: Any) -> str:
    """An end of a schedule: `2026-12-01 10:00 UTC`; what is no time as it stands."""
    if not value:
        return "always"
    try:
        at = clock.parse(value)
    except (ValueError, OverflowError):
        return str(value)
    is_even = not at.second and not at.microsecond
    return f"{at:%Y-%m-%d %H:%M} UTC" if is_even else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def pretty(value: Any) -> str:
    """JSON as people read it. Text is parsed first, and shown as it is when it cannot be."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return str(value)


def ticks(text: str) -> Markup:
    """A sentence of ours, with what stands between backticks as code. Everything in it is escaped."""
    parts = str(text).split("`")
    return Markup("").join(  # every part goes through escape(), so nothing in it is markup
        Markup("<code>{}</code>").format(each) if place % 2 and place < len(parts) - 1 else escape(each)
        for place, each in enumerate(parts)
    )


def segment(value: str) -> str:
    """A name as one segment of an address."""
    return quote(value, safe="")


def link(path: str, query: Mapping[str, str] | None = None, **changes: str | None) -> str:
    """An address with the filter of this page, changed; what is empty is left out."""
    asked = {name: value for name, value in {**(query or {}), **changes}.items() if value}
    return f"{path}?{urlencode(asked)}" if asked else path


FILTERS: Mapping[str, Callable[..., Any]] = {
    "tone": tone, "moves": moves, "lasting": lasting, "ago": ago, "exact": exact, "number": number,
    "plain": plain, "value_text": value_text, "pretty": pretty, "segment": segment, "ticks": ticks, "instant": instant,
    "iso": iso, "happening": happening, "capitalize_first": sentence, "tojson_line": one_line,
}  # fmt: skip
