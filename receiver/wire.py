"""How much, and how long, may a stranger send before anybody asked who it is? uvicorn's HTTP with two limits it lacks.

The body has its cap in `webhook.py`. Request line, header and trailer fields and the dressing of chunks have none in
uvicorn with httptools (its `h11_max_incomplete_event_size` is h11's), so one connection could fill the memory; and a
request that never ends could be held open for ever, until no descriptor is left for Seam.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST = 65_536  # bytes of one request beside its body; a delivery has about 500
_LONGEST = 15.0  # seconds until a request must be whole: after these Svix has given up on it (docs.svix.com, Retries)


class Http(HttpToolsProtocol):
    """Cuts a connection whose request is longer or slower. Pieces are counted as they come from the network, since the
    parser holds an unfinished field without telling anybody."""

    _beside_body = 0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Somebody is there, and must now say something."""
        super().connection_made(transport)
        self._expect_whole_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes from the network."""
        self._beside_body += len(data)
        super().data_received(data)
        if self._beside_body > _MOST and not self.transport.is_closing():
            self.send_400_response("Too much beside the body.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._expect_whole_request()
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """A part of the body, out of what was just counted."""
        self._beside_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the next one on this connection begins from nothing."""
        self._expect_nothing()
        self._beside_body = 0
        super().on_message_complete()

    def _expect_whole_request(self) -> None:
        self._expect_nothing()
        self._late = self.loop.call_later(_LONGEST, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
