"""A traceback for people: how it ended, the frames of our code (and yours), and the libraries' frames folded away."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FRAME = re.compile(r'^  File "(?P<path>[^"\n]*)", line \d+.*(?:\n    .*)*', re.MULTILINE)
_OURS = ("workers", "seamkeeper", "receiver", "console")
_LONGEST = 100_000


@dataclass(frozen=True, slots=True)
class Traceback:
    """`ending` is the exception's own words, `ours` the frames that belong to no library, `libraries` how many do."""

    ending: str
    ours: str
    libraries: int
    whole: str


def read(text: str) -> Traceback:
    """From what Python printed; anything else is an ending without frames."""
    text = text[:_LONGEST].strip("\n")
    frames = list(_FRAME.finditer(text))
    if not frames:
        return Traceback(text, "", 0, text)
    ours = [frame[0] for frame in frames if not _is_library(frame["path"])]
    ending = text[frames[-1].end() :].strip("\n")
    return Traceback(ending, "\n".join(ours), len(frames) - len(ours), text)


def _is_library(path: str) -> bool:
    """Installed packages and Python's own modules; ours may be installed, too."""
    path = path.replace("\\", "/")
    _, is_installed, rest = path.rpartition("-packages/")
    if is_installed:
        return rest.partition("/")[0] not in _OURS
    return path.startswith("<frozen") or bool(re.search(r"/lib/python\d", path))
