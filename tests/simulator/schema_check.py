"""Does a JSON value fit a schema of Seam's? The small dialect of `seam_schema.json`, and nothing more."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{3}|\d{6})Z")
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
    "object": (dict,),
    "array": (list,),
}


def misfits(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """Everything in which the value differs from the schema; empty when it fits."""
    if "oneOf" in schema:
        tried = [misfits(value, each, where) for each in schema["oneOf"]]
        return [] if [] in tried else [f"{where}: fits none of {len(tried)} variants: {min(tried, key=len)}"]
    if value is None:
        return [] if schema.get("nullable") else [f"{where}: null is not allowed"]
    expected = TYPES[schema["type"]]
    if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
        return [f"{where}: {value!r} is not a {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r} is not one of {schema['enum']}"]
    if isinstance(value, dict):
        return _object_misfits(value, schema.get("properties", {}), where)
    if isinstance(value, list):
        return [each for n, item in enumerate(value) for each in misfits(item, schema["items"], f"{where}[{n}]")]
    if isinstance(value, str):
        return [f"{where}: {value!r} is not a {schema['format']}"] if not _has_format(value, schema) else []
    return []


def _object_misfits(value: dict[str, Any], properties: dict[str, Any], where: str) -> list[str]:
    found = [f"{where}.{name}: unknown" for name in value if name not in properties]
    for name, schema in properties.items():
        if name in value:
            found += misfits(value[name], schema, f"{where}.{name}")
        elif not schema.get("optional"):
            found.append(f"{where}.{name}: missing")
    return found


def _has_format(value: str, schema: dict[str, Any]) -> bool:
    kind = schema.get("format")
    if kind == "uuid":
        return value == f"{uuid.UUID(value)}"
    if kind == "date-time":
        return MOMENT.fullmatch(value) is not None
    if kind == "email":
        return "@" in value
    if kind == "uri":
        return urlsplit(value).scheme in ("http", "https")
    return len(value) >= int(schema.get("minLength", 0))
