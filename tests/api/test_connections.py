"""One connection serves many requests."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentphone_mcp.api import connections
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.key import ApiKey


async def test_many_requests_share_one_connection(loopback: Callable[..., Any]) -> None:
    """A handshake for every request would cost more than the request."""
    opened: list[int] = []
    answered: list[int] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        while await reader.readuntil(b"\r\n\r\n"):
            answered.append(1)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
            await writer.drain()

    async with loopback(server) as url, ApiClient(url, ApiKey("sk_sandbox_1")) as api:
        for _ in range(20):
            await api.agents.list()
    assert (len(opened), len(answered)) == (1, 20)


@pytest.mark.parametrize(("kept", "opened_for_writes"), [(60.0, 1), (0.0, 3)], ids=["just-used", "idle-for-long"])
async def test_a_write_goes_over_no_connection_that_was_idle_for_long(
    loopback: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, kept: float, opened_for_writes: int
) -> None:
    """The server may be closing it just now, and then nobody would know whether it happened; reads keep theirs."""
    monkeypatch.setattr(connections, "_KEPT_FOR_WRITES", kept)
    monkeypatch.setattr(connections, "_KEPT_SECONDS", 60.0)
    opened: list[bytes] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = opened
        while head := await reader.readuntil(b"\r\n\r\n"):
            methods.append(head.split()[0])
            methods = []
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

    async with loopback(server) as url, ApiClient(url, ApiKey("sk_sandbox_1")) as api:
        for _ in range(3):
            await api.account.usage()
            await api.calls.end("call_1")
    assert (opened.count(b"GET"), opened.count(b"POST")) == (1, opened_for_writes)


async def test_leaving_a_client_closes_its_connection(loopback: Callable[..., Any]) -> None:
    """The server sees the end of it."""
    left = asyncio.Event()

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        await writer.drain()
        await reader.read()
        left.set()

    async with loopback(server) as url:
        async with ApiClient(url, ApiKey("sk_sandbox_1")) as api:
            await api.agents.list()
        async with asyncio.timeout(60):
            await left.wait()
