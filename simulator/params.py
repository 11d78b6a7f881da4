"""Are the parameters of a request what Seam's schema asks for? Text of a query becomes the value it stands for."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .clock import read_time
from .records import Json, Schedule
from .refusals import invalid

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
MISSING = object()


@dataclass(frozen=True, slots=True)
class Param:
    """What one parameter may be. `read` gives its value, or raises ValueError with what Seam would say."""

    read: Callable[[Any], Any]
    is_required: bool = False
    is_nullable: bool = False
    is_list: bool = False


def read_params(spec: Mapping[str, Param], given: Mapping[str, Any]) -> Json:
    """The values of the parameters that were given. Raises Refusal (400) that names every parameter that is wrong."""
    values: Json = {}
    errors: dict[str, list[str]] = {}
    for name in sorted(set(given) - set(spec)):
        errors.setdefault("", []).append(f"Unrecognized key(s) in object: '{name}'")
    for name, param in spec.items():
        value = given.get(name, MISSING)
        try:
            if value is MISSING:
                if param.is_required:
                    raise ValueError("Required")
            elif value is None and param.is_nullable:
                values[name] = None
            else:
                values[name] = param.read(value)
        except ValueError as exc:
            errors[name] = [str(exc)]
    if errors:
        raise invalid(errors)
    return values


def from_query(spec: Mapping[str, Param], pairs: list[tuple[str, str]]) -> Json:
    """The parameters of a query: a list is a repeated name, an empty text is null (Seam, URL search params).

    `_strict`, which the SDKs add, is not a parameter.
    """
    given: Json = {}
    for raw_name, text in pairs:
        name = raw_name.removesuffix("[]")
        param = spec.get(name)
        if name == "_strict":
            continue
        if param is not None and param.is_list:
            given.setdefault(name, []).extend([text] if text else [])
        else:
            given[name] = None if text == "" and param is not None and param.is_nullable else text
    return given


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"Expected string, received {_kind(value)}")
    return value


def some_text(value: Any) -> str:
    """A text that is not empty once trimmed (Seam trims full_name)."""
    trimmed = text(value).strip()
    if not trimmed:
        raise ValueError("String must contain at least 1 character(s)")
    return trimmed


def an_id(value: Any) -> str:
    try:
        return str(uuid.UUID(text(value)))
    except ValueError as exc:
        raise ValueError("Invalid uuid" if isinstance(value, str) else str(exc)) from exc


def email(value: Any) -> str:
    if not EMAIL.fullmatch(text(value)):
        raise ValueError("Invalid email")
    return str(value)


def url(value: Any) -> str:
    parts = urlsplit(text(value))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("Invalid url")
    return str(value)


def moment(value: Any) -> Any:
    try:
        return read_time(text(value))
    except ValueError as exc:
        raise ValueError("Invalid datetime" if isinstance(value, str) else str(exc)) from exc


def count(value: Any) -> int:
    """A whole number from 0, which a query brings as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"Expected number, received {_kind(value)}")
    if value < 0:
        raise ValueError("Number must be greater than or equal to 0")
    return value


def list_of(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """A reader of lists."""

    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError(f"Expected array, received {_kind(value)}")
        return [read(each) for each in value]

    return read_list


def two_moments(value: Any) -> list[Any]:
    moments = list_of(moment)(value)
    if len(moments) != 2:
        raise ValueError("Array must contain exactly 2 element(s)")
    return moments


def whole_schedule(value: Any) -> Schedule:
    """The access_schedule of update: both ends, neither null (Seam, OpenAPI)."""
    given = _object(value)
    for name in ("starts_at", "ends_at"):
        if given.get(name) is None:
            raise ValueError(f"{name}: Required" if name not in given else f"{name}: Expected string, received null")
    return _in_order(Schedule(moment(given["starts_at"]), moment(given["ends_at"])))


def loose_schedule(value: Any) -> Json:
    """The access_schedule of create: either end may be missing, ends_at may be null (Seam, OpenAPI).

    Gives a dict, because a missing starts_at becomes the current time, which the caller knows.
    """
    given = _object(value)
    starts_at = moment(given["starts_at"]) if "starts_at" in given else None
    ends_at = moment(given["ends_at"]) if given.get("ends_at") is not None else None
    if starts_at is not None:
        _in_order(Schedule(starts_at, ends_at))
    return {"starts_at": starts_at, "ends_at": ends_at}


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise ValueError(f"Expected object, received {_kind(value)}")
    unknown = set(value) - {"starts_at", "ends_at"}
    if unknown:
        raise ValueError(f"Unrecognized key(s) in object: '{sorted(unknown)[0]}'")
    return value


def _in_order(schedule: Schedule) -> Schedule:
    if schedule.ends_at is not None and schedule.ends_at <= schedule.starts_at:
        raise ValueError("ends_at must be after starts_at")
    return schedule


def _kind(value: Any) -> str:
    """The name that JavaScript has for the type of a JSON value."""
    names = {type(None): "null", bool: "boolean", dict: "object", list: "array", str: "string"}
    return names.get(type(value), "number")
