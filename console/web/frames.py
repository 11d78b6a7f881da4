"""A traceback as it helps: the frames of our code first, then what was above and below them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FRAME = re.compile(r'^  File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<name>.*)$')
_THEIRS = ("site-packages", "dist-packages", "/lib/python")


@dataclass(frozen=True, slots=True)
class Traceback:
    """`error` is its last line, `ours` the frames of this product and of the customer's reactions, `whole` the text."""

    error: str
    ours: tuple[str, ...]
    whole: str


def read_traceback(text: str) -> Traceback:
    """Takes what RQ keeps. What is no traceback is all `whole`."""
    lines = text.rstrip().splitlines()
    ours = []
    for number, line in enumerate(lines):
        found = _FRAME.match(line)
        if found and not any(place in found["file"] for place in _THEIRS):
            follows = number + 1 < len(lines) and lines[number + 1].startswith("    ")
            code = f"\n    {lines[number + 1].strip()}" if follows else ""
            ours.append(f"{_short(found['file'])}, line {found['line']}, in {found['name']}{code}")
    last = next((line for line in reversed(lines) if line and not line.startswith((" ", "Traceback"))), "")
    return Traceback(last, tuple(reversed(ours)), text)


def _short(path: str) -> str:
    return "/".join(path.split("/")[-3:])
