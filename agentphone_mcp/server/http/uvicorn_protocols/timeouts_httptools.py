"""ClientTimeouts with httptools, which is faster than h11 and leaves more to us; importable where httptools is installed."""

from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agentphone_mcp.server.http.uvicorn_protocols.timeouts import ClientTimeouts, Part

FRAMING = {b"content-length", b"transfer-encoding"}
PIPELINED = 100
"""How many requests may wait for the answer to the one before; a single read brings up to ten thousand."""


class Refused(Exception):
    """A request that is not taken; raised through the parser, it is handled like one that cannot be parsed."""


class ClientTimeoutsHttpTools(ClientTimeouts, HttpToolsProtocol):
    """With httptools, which bounds nothing: neither heads, nor trailers, nor how many requests wait."""

    parser: Any  # known only where httptools is installed
    _part: Part = "head"
    _unfinished = 0  # bytes since the parser last came to the end of something
    _open: tuple[Any, ...] = ()  # the request that is served, and those behind it

    def awaited(self) -> Part | None:
        """By where the parser is; it runs ahead of the answers when requests are pipelined."""
        busy = self.cycle is not None and not self.cycle.response_complete
        return None if self.pipeline or (busy and self._part == "head") else self._part

    def unanswered(self) -> bool:
        """By what is awaited, unless the answer to it has begun."""
        awaited = self.awaited()
        return awaited == "head" or (awaited == "body" and not self.cycle.response_started)

    def data_received(self, data: bytes) -> None:
        """Bound what the parser keeps: an incomplete head, and an endless trailer."""
        self._unfinished += len(data)
        super().data_received(data)
        if self._unfinished > self.limits.head_bytes:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; the blanks around its value are none of it, but the parser leaves those at the end."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """The body is next.

        Raises:
            Refused: for a body after which another protocol should begin, which the parser would take for a request;
                and for one request too many behind the one that is served.
        """
        if self.parser.should_upgrade() and not FRAMING.isdisjoint(name for name, _ in self.headers):
            raise Refused
        if len(self.pipeline) >= PIPELINED:
            raise Refused
        super().on_headers_complete()
        self._open = (*self._open, self.cycle) if self.pipeline else (self.cycle,)
        # Trailers come the same way; uvicorn would add them to the headers of a request that is served already.
        self.headers = []
        self._part, self._unfinished = "body", 0

    def on_body(self, body: bytes) -> None:
        """Some of it came."""
        super().on_body(body)
        self._unfinished = 0

    def on_message_complete(self) -> None:
        """The next head is next."""
        super().on_message_complete()
        self._part, self._unfinished = "head", 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request; uvicorn tells the last, and the one that is being served may be another."""
        for cycle in self._open:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)
