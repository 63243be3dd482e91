"""The end of what a host says, put off until what it asked for is answered: scripts ask and leave.

The SDK alone would break off what is under way then, as nobody can be told of it over a stream that has ended. Over
stdio the other one is still open.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

_SECONDS = 1.0
"""Hosts that end a server wait two for it; a call that is followed is not waited for."""
_ENDLESS = "subscriptions/listen"
_CANCELLED = "notifications/cancelled"


class ReceiveStream(Protocol):
    """Gives the messages of a host, and the errors of lines that are none."""

    async def receive(self) -> SessionMessage | Exception:
        """Wait for the next one.

        Raises:
            anyio.EndOfStream: when it says no more.
        """
        ...

    async def aclose(self) -> None:
        """Hear no more."""
        ...


class SendStream(Protocol):
    """Takes the messages for a host."""

    async def send(self, item: SessionMessage, /) -> None:
        """Wait until it is taken; it is written then, whatever comes."""
        ...

    async def aclose(self) -> None:
        """Say no more."""
        ...


class _Unanswered:
    """The ids of the requests that a host waits for."""

    def __init__(self) -> None:
        # As text: the SDK takes "1" for 1 in a cancellation.
        self._ids: set[str] = set()
        self._is_quiet = anyio.Event()

    def hear(self, said: SessionMessage | Exception) -> None:
        """Note what the host asks for, and what it wants no more."""
        match said:
            case SessionMessage(JSONRPCRequest(id=asked, method=method)) if method != _ENDLESS:
                self._ids.add(str(asked))
            case SessionMessage(JSONRPCNotification(method=method, params=params)) if method == _CANCELLED:
                self._settle((params or {}).get("requestId"))
            case _:
                pass

    def tell(self, told: SessionMessage) -> None:
        """Note what was answered."""
        if isinstance(told.message, JSONRPCResponse | JSONRPCError):
            self._settle(told.message.id)

    async def wait(self) -> None:
        """Wait until there is none."""
        while self._ids:
            self._is_quiet = anyio.Event()
            await self._is_quiet.wait()

    def _settle(self, request_id: object) -> None:
        self._ids.discard(str(request_id))
        if not self._ids:
            self._is_quiet.set()


class DrainingStream(ObjectReceiveStream[SessionMessage | Exception]):
    """What a host says, which ends when all is answered that was read.

    Args:
        said: gives it.
        told: takes the answers.
        get_ready: waits for what every request needs, however long that takes.
    """

    def __init__(self, said: ReceiveStream, told: SendStream, get_ready: Callable[[], Awaitable[object]]) -> None:
        self._said = said
        self._get_ready = get_ready
        self._unanswered = _Unanswered()
        self.answers: ObjectSendStream[SessionMessage] = _Answers(told, self._unanswered)
        """Takes the answers in the place of `told`."""

    async def receive(self) -> SessionMessage | Exception:
        """Give the next message, and end when all is answered.

        Raises:
            anyio.EndOfStream: when there is none.
        """
        try:
            said = await self._said.receive()
        except anyio.EndOfStream:
            await self._get_ready()
            with anyio.move_on_after(_SECONDS):
                await self._unanswered.wait()
            raise
        self._unanswered.hear(said)
        return said

    async def aclose(self) -> None:
        """Hear no more."""
        await self._said.aclose()


class _Answers(ObjectSendStream[SessionMessage]):
    def __init__(self, told: SendStream, unanswered: _Unanswered) -> None:
        self._told = told
        self._unanswered = unanswered

    async def send(self, item: SessionMessage) -> None:
        await self._told.send(item)
        # Not before it is taken: at the end the SDK breaks off an answer that still waits for those before it.
        self._unanswered.tell(item)

    async def aclose(self) -> None:
        await self._told.aclose()
