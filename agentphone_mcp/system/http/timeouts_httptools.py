"""Add the time limits to uvicorn's HttpToolsProtocol, which is faster than h11; needs httptools installed."""

from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agentphone_mcp.system.http.timeouts import ClientTimeouts, Part

FRAMING = {b"content-length", b"transfer-encoding"}
MOST_PIPELINED = 100
"""How many requests may wait for the response to the one before; a single read brings up to ten thousand."""


class RequestRejected(Exception):
    """Raised when a request is rejected, through the parser, it is handled like a parse error."""


class ClientTimeoutsHttpTools(ClientTimeouts, HttpToolsProtocol):
    """Use httptools, and add the limits it lacks: of heads, trailers and pipelined requests."""

    parser: Any  # typed only where httptools is installed
    _part: Part = "head"
    _unfinished = 0  # bytes since the parser last finished a head, a message or a part of a body
    _open: tuple[Any, ...] = ()  # the cycles of the request that is served and of those behind it

    def awaited(self) -> Part | None:
        """Return what the parser expects; None if it is ahead of the app, as with pipelined requests."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return None if self.pipeline or (busy and self._part == "head") else self._part

    def unanswered(self) -> bool:
        """Return whether the request being received has no response yet."""
        awaited = self.awaited()
        return awaited == "head" or (awaited == "body" and not self.cycle.response_started)

    def data_received(self, data: bytes) -> None:
        """Limit what the parser stores of an incomplete head or an endless trailer."""
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > self.limits.head_bytes:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Strip the blanks after a value, which httptools leaves there (RFC 9110, 5.5)."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Expect the body next.

        Raises:
            RequestRejected: for an upgrade with a body, which the parser would read as another request; and for too
                many pipelined requests.
        """
        if self.parser.should_upgrade() and not FRAMING.isdisjoint(name for name, _ in self.headers):
            raise RequestRejected
        if len(self.pipeline) >= MOST_PIPELINED:
            raise RequestRejected
        super().on_headers_complete()
        self._open = (*self._open, self.cycle) if self.pipeline else (self.cycle,)
        # The parser reports trailers as headers, and uvicorn would add them to those of the request being served.
        self.headers = []
        self._part, self._unfinished = "body", 0

    def on_body(self, body: bytes) -> None:
        """Note that a part of the body is complete."""
        super().on_body(body)
        self._unfinished = 0

    def on_message_complete(self) -> None:
        """Expect the next head."""
        super().on_message_complete()
        self._part, self._unfinished = "head", 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Disconnect every open request; uvicorn does so for the last one parsed only."""
        for cycle in self._open:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)
