"""What a viewer sees of people: `J… D…`, `j…@example.com`, `+1…0101`; one function for every page and payload."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PERSONAL = re.compile(r"(?:^|_)(?:name|email|phone)(?:$|_)")
_EMAIL = re.compile(r"[^\s@<>\"',;()]+@[^\s@<>\"',;()]+")
_PHONE = re.compile(r"\+?\d(?:[\s().-]?\d){6,}")
_NAMES_OF_THINGS = ("event_type", "acs_system_name", "workspace_name", "device_name")


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


def masked_text(text: str) -> str:
    """A sentence without the e-mail addresses and telephone numbers in it. Ids and times stay."""
    return _PHONE.sub(_phone_in_text, _EMAIL.sub(lambda found: masked_email(found[0]), text))


def masked_value(field: str, value: Any) -> Any:
    """One field of a user."""
    if isinstance(value, (Mapping, list)):
        return masked_json(value)
    if not isinstance(value, str) or field in _NAMES_OF_THINGS:
        return value
    if "email" in field:
        return masked_email(value)
    if "phone" in field:
        return masked_phone(value)
    return masked_name(value) if "name" in field else value


def masked_json(value: Any) -> Any:
    """A payload with what is personal in it masked, at any depth. JSON text is read first; other text is a sentence."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return masked_text(value)
    return _masked(value, "", 0)


def _masked(value: Any, field: str, depth: int) -> Any:
    if depth > 60:
        return "…"
    if isinstance(value, Mapping):
        # {"full_name": {"from": …, "to": …}}: what stands in a personal field is personal
        return {key: _masked(each, _nearest(str(key), field), depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, field, depth + 1) for each in value]
    return masked_value(field, value) if _PERSONAL.search(field) else value


def _nearest(key: str, above: str) -> str:
    return key if _PERSONAL.search(key) or not _PERSONAL.search(above) else above


def _phone_in_text(found: re.Match[str]) -> str:
    text = found[0]
    is_date = re.match(r"\d{4}-\d{2}-\d{2}", text)
    return text if is_date or not text.startswith("+") else masked_phone(text)
