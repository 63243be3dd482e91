"""Close the connections of slow clients: half-open ones, endless heads and bodies, and unread responses.

uvicorn alone waits without limit for the head of a request, for its body, and for a client to read the response.
`uvicorn.Config(http=...)` takes a protocol class, and that is where these limits are added: see `protocol`.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from weakref import WeakKeyDictionary

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from agentphone_mcp.system.http.connection import Connection, put_connection
from agentphone_mcp.system.http.waiting import WaitingConnections, sender_of

Part = Literal["head", "body"]
_waiting: WeakKeyDictionary[ServerState, WaitingConnections] = WeakKeyDictionary()
"""For each server; uvicorn makes a protocol for each connection, which has nothing else in common with the others."""


@dataclass(frozen=True)
class ClientLimits:
    """Limit the time and memory that a client may use.

    Attributes:
        head_seconds: from connecting, or from the first byte of a further request, to the end of its head.
        body_seconds: from the end of the head to the end of the body, even if the response was sent meanwhile.
        stalled_seconds: how long a response may wait for the client to read it.
        head_bytes: the longest head; an incomplete one may be longer by one read.
        headers: the most headers of a request.
        half_open: the most connections of one address whose request is incomplete; the oldest makes place for another.
        connections: the most connections in all, likewise; None for any number.
    """

    head_seconds: float = 10
    body_seconds: float = 30
    stalled_seconds: float = 60
    head_bytes: int = 32 * 1024
    headers: int = 100
    half_open: int = 256
    connections: int | None = None


class UvicornProtocol(asyncio.Protocol):
    """Declare the private attributes of uvicorn's protocol classes in use here; a test checks new versions for them."""

    app: Any  # uvicorn's types for ASGI are private
    client: tuple[str, int] | None
    cycle: Any  # uvicorn has a RequestResponseCycle for each parser
    flow: FlowControl
    loop: asyncio.AbstractEventLoop
    server: tuple[str, int | None] | None
    server_state: ServerState
    timeout_keep_alive_task: asyncio.TimerHandle | None
    transport: asyncio.Transport
    ws_protocol_class: type[asyncio.Protocol] | None

    if TYPE_CHECKING:  # At run time these must not hide uvicorn's own methods.

        def on_response_complete(self) -> None:
            """Continue after a response."""

        def send_400_response(self, msg: str) -> None:
            """Refuse a request that cannot be parsed."""


class ClientTimeouts(UvicornProtocol):
    """Close the connections of clients that are too slow; a mixin for uvicorn's protocols.

    One deadline at a time runs, for the part of a request that the client has to send. None runs while the app works,
    so that streams may last. Between requests uvicorn's keep-alive timer runs, unless uvicorn has cancelled it.
    """

    limits: ClassVar[ClientLimits] = ClientLimits()
    _awaiting: tuple[Part, object] | None = None
    _deadline: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _sender = ""

    def awaited(self) -> Part | None:
        """Return what the client has to send now; None while the app works."""
        raise NotImplementedError

    def unanswered(self) -> bool:
        """Return whether a response written now would belong to the request that is being received."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline of the first head."""
        super().connection_made(transport)
        self._sender = sender_of(self.client[0] if self.client else "")
        if self.limits.connections is not None and len(self.server_state.connections) > self.limits.connections:
            self._others.make_place()
        connection = Connection(self.client, self.server)
        self.app = partial(_check_head, self.limits, connection, self.app)
        # A WebSocket connection would have no deadlines.
        self.ws_protocol_class = None
        # With this, asyncio pauses writing as soon as anything is unread: otherwise a short response, or one on a
        # connection that is being closed, could wait for ever.
        self.transport.set_write_buffer_limits(high=0)
        self._update_deadline()

    def data_received(self, data: bytes) -> None:
        """Parse the data, and set the deadline of what is awaited next."""
        super().data_received(data)
        self._update_deadline()

    def on_response_complete(self) -> None:
        """Continue; the head of the next request may already be here, without its body."""
        super().on_response_complete()
        self._update_deadline()

    def pause_writing(self) -> None:
        """Start the deadline for the client to read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stalled_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the deadline: the client has read everything."""
        super().resume_writing()
        self._stalled = _cancel(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all timers, which would keep the connection in memory."""
        super().connection_lost(exc)
        self._others.forget(self, self._sender)
        self._deadline = _cancel(self._deadline)
        self._stalled = _cancel(self._stalled)

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that cannot be parsed; uvicorn's own method may respond twice."""
        self.refuse(HTTPStatus.BAD_REQUEST)

    def refuse(self, status: HTTPStatus) -> None:
        """Close the connection, with this status if no response has begun."""
        if self.unanswered():
            response = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            self.transport.write(response.encode())
        self.transport.close()

    def give_way(self) -> None:
        """End the connection, as others need its place; the client has not sent or read what it should."""
        self.transport.abort()

    @property
    def _others(self) -> WaitingConnections:
        return _waiting.setdefault(self.server_state, WaitingConnections())

    def _note_waiting(self, awaited: Part | None, *, is_idle: bool) -> None:
        if self not in self.server_state.connections:
            return
        if awaited is None and self.cycle is not None and not self.cycle.response_complete:
            self._others.forget(self, self._sender)
        else:
            self._others.note(self, self._sender, is_idle=is_idle, most_half_open=self.limits.half_open)

    def _update_deadline(self) -> None:
        awaited = None if self.transport.is_closing() else self.awaited()
        is_idle = awaited == "head" and self.timeout_keep_alive_task is not None
        self._note_waiting(awaited, is_idle=is_idle)
        if is_idle:
            awaited = None
        awaiting = awaited and (awaited, self.cycle)
        if awaiting != self._awaiting:
            self._awaiting = awaiting
            self._deadline = _cancel(self._deadline)
            if awaiting:
                self._start_deadline()

    def _start_deadline(self, was_paused: bool = False) -> None:
        seconds = self.limits.head_seconds if self.awaited() == "head" else self.limits.body_seconds
        self._deadline = self.loop.call_later(seconds, self._deadline_passed, was_paused)

    def _deadline_passed(self, was_paused: bool) -> None:
        if self.awaited() == "head":
            self.transport.close()
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._start_deadline(was_paused=True)  # The app has not asked for the body yet.
        elif was_paused:
            self._start_deadline()  # The app may have asked for it a moment ago.
        else:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _check_head(
    limits: ClientLimits, connection: Connection, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> Awaitable[None]:
    """Pass a request on to the app unless its head is too large, or has both a length and chunks.

    Both parsers refuse two lengths that differ; httptools also refuses equal ones, and a length with chunks.
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
        put_connection(scope, connection)
        return app(scope, receive, send)
    return PlainTextResponse(status.phrase, status, {"Connection": "close"})(scope, receive, send)
