"""Imitate a live call, and subscribe to its transcript in either era of the protocol."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from mcp.client import Client
from mcp.client.subscriptions import ListenNotSupportedError
from mcp_types import ResourceUpdatedNotification

TALKATIVE = "+14155550109"
CALL_1 = "agentphone://calls/call_1/transcript"


class Updates:
    """Collect which resources were updated, as the message handler of a client of either era."""

    def __init__(self) -> None:
        self._uris: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, message: Any) -> None:
        """Take in a notification."""
        if isinstance(message, ResourceUpdatedNotification):
            self._uris.put_nowait(str(message.params.uri))

    async def next(self, count: int = 1) -> list[str]:
        """Wait for the next updates, and return their addresses."""
        async with asyncio.timeout(60):
            return [await self._uris.get() for _ in range(count)]

    def take_all(self) -> list[str]:
        """Return the addresses of the updates that have arrived and were not taken yet."""
        return [self._uris.get_nowait() for _ in range(self._uris.qsize())]


@asynccontextmanager
async def subscribed(client: Client, uri: str) -> AsyncGenerator[None]:
    """Subscribe as clients of this era do, and unsubscribe in the end."""
    try:
        async with client.listen(resource_subscriptions=[uri]) as listening:
            assert listening.honored.resource_subscriptions == [uri]
            yield
    except ListenNotSupportedError:
        await client.subscribe_resource(uri)
        yield
        await client.unsubscribe_resource(uri)


class FakeCall:
    """Imitate an API with one call, in which a turn is spoken when a test asks for it."""

    def __init__(self, turns: int = 0, status: str = "in-progress") -> None:
        self.status = status
        self.turns = [self._turn(number) for number in range(turns)]
        self.streams = 0
        self._events: asyncio.Queue[tuple[str, dict[str, Any]] | None] = asyncio.Queue()

    def speak(self) -> None:
        """Speak the next turn."""
        self.turns.append(self._turn(len(self.turns)))
        self._events.put_nowait(("turn", self.turns[-1]))

    def end(self) -> None:
        """Hang up."""
        self.status = "completed"
        self._events.put_nowait(("ended", {"status": "completed"}))

    def break_stream(self) -> None:
        """Close the live stream before the call ends."""
        self._events.put_nowait(None)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request to the API."""
        if request.url.path.endswith("/stream"):
            self.streams += 1
            return httpx.Response(
                200, content=self._stream(list(self.turns)), headers={"Content-Type": "text/event-stream"}
            )
        if request.url.path.endswith("/transcript"):
            return httpx.Response(200, json={"transcript": self.turns})
        return httpx.Response(200, json={"id": "call_1", "status": self.status})

    async def _stream(self, past: list[dict[str, str]]) -> AsyncGenerator[bytes]:
        yield self._frame("connected", {"status": self.status})
        for turn in past:
            yield self._frame("turn", turn)
        while event := await self._events.get():
            if event[0] != "turn" or event[1] not in past:
                yield self._frame(*event)

    @staticmethod
    def _turn(number: int) -> dict[str, str]:
        return {"role": "user" if number % 2 else "agent", "content": f"Turn {number}."}

    @staticmethod
    def _frame(kind: str, data: dict[str, Any]) -> bytes:
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


async def place(client: Client, number: str = TALKATIVE) -> tuple[str, str]:
    """Place a call, and return its id and the address of its transcript."""
    arguments = {"agent_id": "agt_frontdesk", "to_number": number, "confirm": True}
    call_id = (await client.call_tool("place_call", arguments)).structured_content["result"]["id"]
    return call_id, f"agentphone://calls/{call_id}/transcript"
