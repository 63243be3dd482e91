"""A web server that slow clients, half-open connections and endless bodies cannot hold.

uvicorn waits for the head of a request, for its body and for whoever should read the answer as long as they like.
Give `protocol()` to `uvicorn.Config(http=...)`; of what is a client's turn, nothing then lasts for ever.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl

Part = Literal["head", "body"]


@dataclass(frozen=True)
class ClientLimits:
    """How much a client may take of us.

    Attributes:
        head_seconds: from connecting, or from the first byte of a further request, to the end of its head.
        body_seconds: from there to the end of the body, whether or not it was answered meanwhile.
        stalled_seconds: how long something may lie here that the client does not read.
        head_bytes: how long a head may be; one that is not complete may be longer by what one read brings.
        headers: how many it may have.
    """

    head_seconds: float = 10
    body_seconds: float = 30
    stalled_seconds: float = 60
    head_bytes: int = 32 * 1024
    headers: int = 100


class UvicornProtocol(asyncio.Protocol):
    """What is used of uvicorn's protocol classes beyond asyncio's own; the tests hold new versions of uvicorn to it."""

    app: Any  # uvicorn's types for ASGI are private
    cycle: Any  # two classes of one name, one for each parser
    flow: FlowControl
    loop: asyncio.AbstractEventLoop
    timeout_keep_alive_task: asyncio.TimerHandle | None
    transport: asyncio.Transport
    ws_protocol_class: type[asyncio.Protocol] | None

    if TYPE_CHECKING:  # When running, uvicorn's own must be found.

        def on_response_complete(self) -> None:
            """Go on after an answer."""

        def send_400_response(self, msg: str) -> None:
            """Refuse what cannot be parsed."""


class ClientTimeouts(UvicornProtocol):
    """Mixed into a protocol of uvicorn's, closes the connections of clients who let it wait.

    There is one deadline at a time, for the part of a request that is awaited; none while it is the app's turn, so
    streams may last. Between requests uvicorn's keep-alive timer runs, as long as uvicorn has not cancelled it.
    """

    limits: ClassVar[ClientLimits] = ClientLimits()
    _due: tuple[Part, object] | None = None
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def awaited(self) -> Part | None:
        """What the client has to send now; None while it is our turn."""
        raise NotImplementedError

    def unanswered(self) -> bool:
        """Whether an answer that is written now would be taken for the one to what is being received."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the first deadline."""
        super().connection_made(transport)
        self.app = partial(_within_bounds, self.limits, self.app)
        # A WebSocket would leave the deadlines behind.
        self.ws_protocol_class = None
        # Writing is paused as soon as anything is left: also a short answer, or one to a connection that was closed
        # since, could otherwise lie here for ever.
        self.transport.set_write_buffer_limits(high=0)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take what came, and see what is awaited after it."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Go on; the head of the next request may have come already, without its body."""
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """Start the deadline for reading."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """All was read."""
        super().resume_writing()
        self._stalled = _cancelled(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        super().connection_lost(exc)
        self._deadline = _cancelled(self._deadline)
        self._stalled = _cancelled(self._stalled)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed; uvicorn's own way fails, or answers twice, once an answer has begun."""
        self.refuse(HTTPStatus.BAD_REQUEST)

    def refuse(self, status: HTTPStatus) -> None:
        """Close, and say why if nothing else was said."""
        if self.unanswered():
            answer = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            self.transport.write(answer.encode())
        self.transport.close()

    def _look(self) -> None:
        awaited = None if self.transport.is_closing() else self.awaited()
        if awaited == "head" and self.timeout_keep_alive_task is not None:
            awaited = None
        due = awaited and (awaited, self.cycle)
        if due != self._due:
            self._due = due
            self._deadline = _cancelled(self._deadline)
            if due:
                self._arm()

    def _arm(self, excused: bool = False) -> None:
        seconds = self.limits.head_seconds if self.awaited() == "head" else self.limits.body_seconds
        self._deadline = self.loop.call_later(seconds, self._late, excused)

    def _late(self, excused: bool) -> None:
        if self.awaited() == "head":
            self.transport.close()
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._arm(excused=True)  # The app did not want the body yet.
        elif excused:
            self._arm()  # It may have asked for it just now.
        else:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _within_bounds(limits: ClientLimits, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Let a request through to the app unless its head is too large, or says twice how long its body is.

    Both parsers refuse lengths that differ, and httptools refuses equal ones and a length beside chunks too.
    """
    size = len(scope["raw_path"]) + len(scope["query_string"])
    length = chunks = False
    for name, value in scope["headers"]:
        size += len(name) + len(value) + len(": \r\n")
        length = length or name == b"content-length"
        chunks = chunks or name == b"transfer-encoding"
    if len(scope["headers"]) > limits.headers or size > limits.head_bytes:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    elif length and chunks:
        status = HTTPStatus.BAD_REQUEST
    else:
        return app(scope, receive, send)
    return PlainTextResponse(status.phrase, status, {"Connection": "close"})(scope, receive, send)
