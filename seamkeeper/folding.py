"""How people's words are compared in a search: without case, accents and doubled spaces; by their beginnings."""

from __future__ import annotations

import unicodedata

KEYS = ("name_key", "last_name_key", "email_key", "phone_key")  # columns of `acs_users`
_LONGEST = 200
BEYOND = "\U0010ffff"  # sorts after whatever follows a beginning


def folded(text: str) -> str:
    """`José  PÉREZ` as `jose perez`; at most 200 characters."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    words = bare.casefold().encode("utf-8", "replace").decode().replace("\x00", "\ufffd").split()
    return " ".join(words)[:_LONGEST]


def digits(text: str) -> str:
    """The digits of a telephone number: `+1 (555) 010-1` as `15550101`."""
    return "".join(each for each in text if each in "0123456789")[:_LONGEST]


def search_keys(name: str | None, email: str | None, phone: str | None) -> tuple[str | None, ...]:
    """What a user is found by (`KEYS`): the name, the name from its last word on (`becker tom`), the e-mail address,
    the digits of the telephone number."""
    whole = folded(name or "")
    first, _, last = whole.rpartition(" ")
    return whole or None, f"{last} {first}".strip() or None, folded(email or "") or None, digits(phone or "") or None
