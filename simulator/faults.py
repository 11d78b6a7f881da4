"""How does Seam's API misbehave at the moment?"""

import threading
import time
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from .records import Json

FaultKind = Literal["status", "html", "bare_ok", "redirect", "slow", "drop", "cut", "json"]

_STATUS: dict[FaultKind, int] = {"html": 502, "json": 200}  # unless told otherwise; else 503


@dataclass(slots=True)
class Fault:
    """One misbehaviour.

    kind      `status`    an error of Seam's with `status` (and `Retry-After`, if set)
              `html`      a page of some proxy, with `status`
              `bare_ok`   200 `{"ok":true}` without the resource
              `redirect`  302 to nowhere
              `slow`      the proper answer after `seconds`
              `drop`      the connection is closed without a byte
              `cut`       the connection is closed in the middle of an answer
              `json`      `body`, whatever it is, with `status` (200)
    path      such as `/acs/users/update`; None is every path of the API
    acs_system_id  only requests about this access system or one of its users; None is all
    times     for so many answers; None is until cleared
    until     of the monotonic clock; None is for ever
    seconds   wait so long first, with any kind
    body      of the kind `json`
    is_late   carry the request out, and only then misbehave
    """

    fault_id: str
    kind: FaultKind
    path: str | None = None
    acs_system_id: str | None = None
    times: int | None = None
    until: float | None = None
    status: int = 503
    retry_after: str | None = None
    seconds: float = 0.0
    is_late: bool = False
    body: Json | None = None

    def fits(self, path: str, acs_system_id: str | None) -> bool:
        return self.path in (None, path) and self.acs_system_id in (None, acs_system_id)

    def is_over(self) -> bool:
        return self.times == 0 or (self.until is not None and time.monotonic() >= self.until)


class Faults:
    """The faults that are set. The first that fits a path is the one that happens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._made = 0
        self.is_outage = False

    def add(
        self,
        kind: FaultKind = "status",
        *,
        path: str | None = None,
        acs_system_id: str | None = None,
        times: int | None = None,
        for_seconds: float | None = None,
        status: int | None = None,
        retry_after: str | float | None = None,
        seconds: float = 0.0,
        is_late: bool = False,
        body: Json | None = None,
    ) -> Fault:
        """Set a fault; `Fault` says what the arguments mean. Raises ValueError for an unknown kind."""
        if kind not in get_args(FaultKind):
            raise ValueError(f"unknown fault {kind!r}; there are {', '.join(get_args(FaultKind))}")
        with self._lock:
            self._made += 1
            fault = Fault(
                fault_id=f"fault_{self._made}",
                kind=kind,
                path=path,
                acs_system_id=acs_system_id,
                times=times,
                until=None if for_seconds is None else time.monotonic() + for_seconds,
                status=status if status is not None else _STATUS.get(kind, 503),
                retry_after=None if retry_after is None else str(retry_after),
                seconds=seconds,
                is_late=is_late,
                body=body,
            )
            self._faults.append(fault)
            return fault

    def take(self, path: str, acs_system_id: str | None = None) -> Fault | None:
        """The fault that this request (about that access system, if about any) meets, counted as used; None if it is
        to be answered properly."""
        if self.is_outage:
            return Fault("outage", "status", status=503)
        with self._lock:
            self._faults = [fault for fault in self._faults if not fault.is_over()]
            fault = next((each for each in self._faults if each.fits(path, acs_system_id)), None)
            if fault is not None and fault.times is not None:
                fault.times -= 1
            return fault

    def clear(self, path: str | None = None) -> None:
        """Forget all faults, or those set for one path. An outage is ended by `is_outage = False`."""
        with self._lock:
            self._faults = [each for each in self._faults if path is not None and each.path != path]

    def to_json(self) -> list[Json]:
        """The faults that are still to come."""
        with self._lock:
            return [asdict(fault) for fault in self._faults if not fault.is_over()]
