"""What a viewer sees of people: `J… D…`, `j…@example.com`, `+1…0101`; one function for every page and payload.

A payload may name a person in any field, also in one that Seam adds tomorrow. So of a payload only what cannot: ids,
times, codes, states, numbers and truth values are shown as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any

_PERSONAL = re.compile(r"(?:^|_)(?:name|email|phone)(?:$|_)")
_EMAIL = re.compile(r"[^\s@<>\"',;()]+@[^\s@<>\"',;()]+")
_PHONE = re.compile(r"\+?\d(?:[\s().-]?\d){6,}")
_NAMES_OF_THINGS = ("event_type", "acs_system_name", "workspace_name", "device_name", "external_type_display_name")
_PLAIN = re.compile(  # what stands in these is no word about a person
    r"(?:.*_)?(?:ids?|at|code|type|status|state|outcome|source|endpoint|method|path|kind|fields|by_us|who|field|how)"
    r"|event|sync|health|replaces|replaced_by|timezone"
)
_WORD = re.compile(r"[A-Za-z0-9_.:/+~-]{1,200}")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,80}")
_SENTENCES = ("message", "reason", "why", "error")
_SHORTEST = 3  # letters of a word that is looked for in sentences
_CALLED = frozenset(
    ("display_name", "full_name", "first_name", "last_name", "email", "email_address", "phone", "phone_number")
)


def masked_name(name: str) -> str:
    """`Jack Doe` as `J… D…`."""
    return " ".join(f"{word[0]}…" for word in name.split()) if name.strip() else name


def masked_email(address: str) -> str:
    """`jack@example.com` as `j…@example.com`."""
    local, at, domain = address.partition("@")
    return f"{local[:1]}…{at}{domain}" if at else masked_name(address)


def masked_phone(number: str) -> str:
    """`+15555550101` as `+1…0101`; a short one as `…`."""
    bare = number.strip()
    return f"{bare[:2]}…{bare[-4:]}" if len(bare) > 8 else "…"


def masked_text(text: str, known: Iterable[str] = ()) -> str:
    """A sentence without the e-mail addresses and telephone numbers in it, and without the names of `known` people
    (those the page is about). Ids and times stay."""
    found = sorted({word for each in known for word in (each, *each.split())}, key=len, reverse=True)
    for name in (name for name in found if len(name) >= _SHORTEST and name in text):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _hidden(name).replace("\\", r"\\"), text)
    return _PHONE.sub(_phone_in_text, _EMAIL.sub(lambda found: masked_email(found[0]), text))


def called(values: Any) -> frozenset[str]:
    """What people are called in what a page shows: the values of their fields, at any depth, and `names`."""
    found: set[str] = set()
    _collect(values, "", found, 0)
    return frozenset(found)


def masked_value(field: str, value: Any) -> Any:
    """One field of a user."""
    if isinstance(value, (Mapping, list)):
        return _masked(value, field, (), 0)
    if field in _NAMES_OF_THINGS:
        return value
    if not isinstance(value, str):
        return "…" if _PERSONAL.search(field) and value is not None else value
    if "email" in field:
        return masked_email(value)
    if "phone" in field:
        return masked_phone(value)
    return masked_name(value) if "name" in field else value


def masked_json(value: Any, known: Iterable[str] = ()) -> Any:
    """A payload of which only what is no person's is shown, at any depth. JSON text is read first; what cannot be
    read is not shown."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return f"{len(value)} characters that are not JSON; your role sees no payloads that cannot be masked"
    return _masked(value, "", tuple(known), 0)


def _masked(value: Any, field: str, known: tuple[str, ...], depth: int) -> Any:
    if depth > 60:
        return "…"
    if isinstance(value, Mapping):
        # {"full_name": {"from": …, "to": …}}: what stands in a personal field is personal
        return {
            key if _KEY.fullmatch(str(key)) else "…": _masked(each, _nearest(str(key), field), known, depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_masked(each, field, known, depth + 1) for each in value]
    return _one(field, value, known)


def _one(field: str, value: Any, known: tuple[str, ...]) -> Any:
    if _PERSONAL.search(field) or field in _NAMES_OF_THINGS:
        return masked_value(field, value)
    if not isinstance(value, str):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return "…" if is_number and abs(value) >= 10**6 else value  # it may be a telephone number
    if field in _SENTENCES:
        return masked_text(value, known)
    if not (_PLAIN.fullmatch(field) and _WORD.fullmatch(value)):
        return masked_name(value)
    return value if field.endswith(("id", "ids")) else masked_text(value)  # even a code may be a telephone number


def _hidden(name: str) -> str:
    if "@" in name:
        return masked_email(name)
    return masked_phone(name) if _PHONE.fullmatch(name) else masked_name(name)


def _collect(value: Any, field: str, found: set[str], depth: int) -> None:
    if depth > 20:
        return
    if isinstance(value, str):
        if field == "body":
            with suppress(ValueError, RecursionError):
                _collect(json.loads(value), "", found, depth + 1)
        elif field in _CALLED:
            found.add(value.strip())
        return
    if is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, Mapping):
        for key, each in value.items():
            key = "full_name" if field == "names" else str(key)
            _collect(each, field if field in _CALLED and key not in _CALLED else key, found, depth + 1)
    elif isinstance(value, (list, tuple)):
        for each in value:
            _collect(each, field, found, depth + 1)


def _nearest(key: str, above: str) -> str:
    return key if _PERSONAL.search(key) or not _PERSONAL.search(above) else above


def _phone_in_text(found: re.Match[str]) -> str:
    text = found[0]
    is_date = re.match(r"\d{4}-\d{2}-\d{2}", text)
    return text if is_date or not text.startswith("+") else masked_phone(text)
