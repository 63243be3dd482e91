"""One connection serves many requests."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from agentphone_mcp.api import pool as connections
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient


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


@pytest.mark.parametrize(("kept", "opened_for_writes"), [(60.0, 0), (0.0, 3)], ids=["just-used", "idle-for-long"])
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


def saying(
    heads: list[list[bytes]], *, answers_each: int = 1_000, closed: asyncio.Semaphore | None = None
) -> Callable[..., Any]:
    """A server that notes the requests of each connection, closes it after some answers, and tells when it has."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append([])
        mine = heads[-1]
        for _ in range(answers_each):
            try:
                mine.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        if closed:
            closed.release()

    return server


@pytest.mark.parametrize(("minutes", "opened"), [(3, 1), (5, 2)], ids=["some-minutes", "too-many"])
async def test_a_read_goes_over_a_connection_that_was_idle_for_minutes(
    loopback: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, minutes: int, opened: int
) -> None:
    """People pause between their questions; a handshake with the vendor takes longer than a request."""
    heads: list[list[bytes]] = []
    async with loopback(saying(heads)) as url, ApiClient(url, ApiKey("sk_sandbox_1")) as api:
        await api.account.usage()
        later = time.monotonic() + minutes * 60
        monkeypatch.setattr(connections, "monotonic", lambda: later)
        await api.account.usage()
    assert len(heads) == opened


async def test_a_connection_that_the_server_closed_is_not_used_again(loopback: Callable[..., Any]) -> None:
    """Nothing is lost and nothing sent twice, so that a write is as safe as a read."""
    heads: list[list[bytes]] = []
    closed = asyncio.Semaphore(0)
    server = saying(heads, answers_each=1, closed=closed)
    async with loopback(server) as url, ApiClient(url, ApiKey("sk_sandbox_1"), tries=1) as api:
        for _ in range(3):
            await api.account.usage()
            await asyncio.wait_for(closed.acquire(), 60)
            await api.calls.end("call_1")
            await asyncio.wait_for(closed.acquire(), 60)
    assert [len(requests) for requests in heads] == [1] * 6


async def five_at_once(api: ApiClient) -> None:
    """Ask five times, each without waiting for the others."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(api.account.usage())


async def test_requests_at_the_same_time_have_a_connection_each(loopback: Callable[..., Any]) -> None:
    """And all of these are kept for the next ones."""
    heads: list[list[bytes]] = []
    async with loopback(saying(heads)) as url, ApiClient(url, ApiKey("sk_sandbox_1")) as api:
        for _ in range(3):
            await five_at_once(api)
    assert len(heads) == 5
    assert sum(map(len, heads)) == 15


async def test_no_more_than_some_idle_connections_are_kept(
    loopback: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were used longest ago are closed."""
    monkeypatch.setattr(connections, "_KEPT_IDLE", 2)
    heads: list[list[bytes]] = []
    async with loopback(saying(heads)) as url, ApiClient(url, ApiKey("sk_sandbox_1")) as api:
        for _ in range(2):
            await five_at_once(api)
    assert len(heads) == 8


async def test_a_cancelled_request_leaves_no_connection_behind_that_another_would_use(
    loopback: Callable[..., Any],
) -> None:
    """Half an answer is still to come on it, and would be read as the next one's."""
    asked = asyncio.Event()
    opened: list[int] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        is_first = len(opened) == 1
        await reader.readuntil(b"\r\n\r\n")
        if is_first:
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"half')
            await writer.drain()
            asked.set()
            await reader.read()
            return
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"plan": {"name": "pro"}}')
        await writer.drain()

    async with loopback(server) as url, ApiClient(url, ApiKey("sk_sandbox_1")) as api:
        cancelled = asyncio.create_task(api.account.usage())
        await asyncio.wait_for(asked.wait(), 60)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        usage = await api.account.usage()
    assert usage.plan is not None
    assert (usage.plan.name, len(opened)) == ("pro", 2)
