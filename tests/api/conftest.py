"""Fixtures of the API client's tests: requests and responses without a network, and a raw loopback server."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from agentphone_mcp.api.client import ApiClient

Ask = Callable[[ApiClient], Awaitable[Any]]
Network = Callable[..., Any]
Api = Callable[..., ApiClient]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PAGE = {"limit": "20", "offset": "0"}
"""How a page is asked for by default."""

# Enough of every resource that any method can read it.
_ANYTHING = {
    "id": "any_1",
    "phoneNumber": "+14155551234",
    "url": "https://your-server.com/webhook",
    "accessToken": "token",
    "data": [],
}


@dataclass
class Sent:
    """A request as the network saw it; the value of a repeated query field is a list."""

    line: str
    query: dict[str, Any]
    body: Any


Read = Callable[..., Awaitable[Any]]
SentBy = Callable[[Ask], Awaitable[Sent]]


def sends(ask: Ask, line: str, body: Any = None, *, query: dict[str, Any] | None = None, id: str) -> Any:
    """Make the parameters of a method and of the request that the API documents for it."""
    return pytest.param(ask, Sent(line, query or {}, body), id=id)


@pytest.fixture
def sent_by(answering: Callable[..., Any], api_over: Callable[..., ApiClient]) -> SentBy:
    """Return a function that runs one method and returns the single request that it sent."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/recording"):
            return httpx.Response(200, content=b"RIFF", headers={"Content-Type": "audio/wav"})
        return httpx.Response(200, json=_ANYTHING)

    async def sent_by(ask: Ask) -> Sent:
        network = answering(answer)
        async with api_over(network) as api:
            await ask(api)
        (request,) = network.requests
        fields = request.url.params
        query = {name: fields[name] if len(fields.get_list(name)) == 1 else fields.get_list(name) for name in fields}
        body = json.loads(request.content) if request.content else None
        return Sent(f"{request.method} {request.url.path}", query, body)

    return sent_by


@pytest.fixture
def read(answering: Callable[..., Any], api_over: Callable[..., ApiClient]) -> Read:
    """Return a function that runs one method over a response (JSON, or a function of the request)."""

    async def read(answer: Any, ask: Ask, status: int = 200) -> Any:
        payload = answer if callable(answer) else lambda _: httpx.Response(status, content=json.dumps(answer).encode())
        async with api_over(answering(payload)) as api:
            return await ask(api)

    return read


@pytest.fixture
def loopback() -> Callable[[Handler], AbstractAsyncContextManager[str]]:
    """Return a function that serves raw bytes on a loopback port for as long as its block lasts."""

    @asynccontextmanager
    async def loopback(handle: Handler) -> AsyncGenerator[str]:
        async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # the client left, which is what some tests are about
            finally:
                writer.close()

        server = await asyncio.start_server(closing, "127.0.0.1")
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()

    return loopback
