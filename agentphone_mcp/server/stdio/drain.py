"""Drain the session at the end of stdin: answer what was asked before the server ends, as scripts ask and leave.

The SDK alone would cancel what is under way at that point, though stdout is still open.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

_SECONDS = 1.0
"""Hosts that end a server wait two seconds for it; a subscription is not waited for."""
_ENDLESS_METHOD = "subscriptions/listen"
_CANCELLED = "notifications/cancelled"


class HostStream(Protocol):
    """Exchange lines with a host: what `stdio_server` uses of a file."""

    def __aiter__(self) -> AsyncIterator[str]:
        """Iterate over the host's lines."""
        ...

    async def write(self, text: str, /) -> object:
        """Write one message, in a line."""

    async def flush(self) -> None:
        """Send what was written."""


class ReceiveStream(Protocol):
    """Receive the messages of a host, or the errors of lines that are none."""

    async def receive(self) -> SessionMessage | Exception:
        """Wait for the next message; at the end that raises `anyio.EndOfStream`."""
        ...

    async def aclose(self) -> None:
        """Close the stream."""


class SendStream(Protocol):
    """Send messages to a host."""

    async def send(self, item: SessionMessage, /) -> None:
        """Wait until the message is accepted; it is written then in any case."""

    async def aclose(self) -> None:
        """Close the stream."""


class _Unanswered:
    """Keep the ids of the requests that a host waits for."""

    def __init__(self) -> None:
        # As text: the SDK takes "1" for 1 in a cancellation.
        self._ids: set[str] = set()
        self._is_quiet = anyio.Event()

    def note_incoming(self, message: SessionMessage | Exception) -> None:
        """Note a request, or the cancellation of one."""
        match message:
            case SessionMessage(JSONRPCRequest(id=asked, method=method)) if method != _ENDLESS_METHOD:
                self._ids.add(str(asked))
            case SessionMessage(JSONRPCNotification(method=method, params=params)) if method == _CANCELLED:
                self._answered((params or {}).get("requestId"))
            case _:
                pass

    def note_outgoing(self, message: SessionMessage) -> None:
        """Note an answer."""
        if isinstance(message.message, JSONRPCResponse | JSONRPCError):
            self._answered(message.message.id)

    async def wait(self) -> None:
        """Wait until no request is left."""
        while self._ids:
            self._is_quiet = anyio.Event()
            await self._is_quiet.wait()

    def _answered(self, request_id: object) -> None:
        self._ids.discard(str(request_id))
        if not self._ids:
            self._is_quiet.set()


class DrainingStream(ObjectReceiveStream[SessionMessage | Exception]):
    """Pass on the host's messages, and end only when every request that was read is answered.

    `get_ready` waits for what every request needs, however long that takes.
    """

    def __init__(
        self, incoming: ReceiveStream, outgoing: SendStream, get_ready: Callable[[], Awaitable[object]]
    ) -> None:
        self._incoming = incoming
        self._get_ready = get_ready
        self._unanswered = _Unanswered()
        self.answers: ObjectSendStream[SessionMessage] = _Answers(outgoing, self._unanswered)
        """Takes the answers in the place of `outgoing`."""

    async def receive(self) -> SessionMessage | Exception:
        """Give the next message, and end (`anyio.EndOfStream`) when there is none and all is answered."""
        try:
            message = await self._incoming.receive()
        except anyio.EndOfStream:
            await self._get_ready()
            with anyio.move_on_after(_SECONDS):
                await self._unanswered.wait()
            raise
        self._unanswered.note_incoming(message)
        return message

    async def aclose(self) -> None:
        """Close the stream."""
        await self._incoming.aclose()


class _Answers(ObjectSendStream[SessionMessage]):
    def __init__(self, outgoing: SendStream, unanswered: _Unanswered) -> None:
        self._outgoing = outgoing
        self._unanswered = unanswered

    async def send(self, item: SessionMessage) -> None:
        await self._outgoing.send(item)
        # Only once it is accepted: at the end the SDK drops an answer that still waits behind others.
        self._unanswered.note_outgoing(item)

    async def aclose(self) -> None:
        await self._outgoing.aclose()
