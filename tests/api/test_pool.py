"""Tests of the connections to the API: when they are reused, and that their errors become httpx's."""

import asyncio
import inspect
import time
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import anyio
import httpcore2
import httpx
import pytest

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.pool import PooledTransport
from agentphone_mcp.api.transport import Transport
from tests.support import PATIENCE

KEY = ApiKey("sk_sandbox_1")
ERRORS = [
    kind
    for _, kind in inspect.getmembers(httpcore2, inspect.isclass)
    if issubclass(kind, Exception) and kind is not httpcore2.ConnectionNotAvailable
]


def serving(
    connections: list[list[bytes]], *, answers_each: int = 1_000, closed: anyio.Semaphore | None = None
) -> Callable[..., Any]:
    """Make a server that notes the methods on each connection, closes it after some answers, and signals that."""

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods: list[bytes] = []
        connections.append(methods)
        for _ in range(answers_each):
            try:
                methods.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
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


def advance_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the clock of the connections forward."""
    later = time.monotonic() + seconds
    monkeypatch.setattr("httpcore2._async.http11.time", SimpleNamespace(monotonic=lambda: later))


async def five_at_once(api: ApiClient) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(api.account.usage)


async def test_many_requests_share_one_connection(loopback: Callable[..., Any]) -> None:
    connections: list[list[bytes]] = []
    async with loopback(serving(connections)) as url, ApiClient(Transport(url, KEY)) as api:
        for _ in range(20):
            await api.account.usage()
    assert connections == [[b"GET"] * 20]


@pytest.mark.parametrize(("seconds", "opened"), [(1, 1), (3, 2)], ids=["a-moment", "some-seconds"])
async def test_a_write_goes_over_no_connection_that_was_idle_for_more_than_two_seconds(
    loopback: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, seconds: float, opened: int
) -> None:
    connections: list[list[bytes]] = []
    async with loopback(serving(connections)) as url, ApiClient(Transport(url, KEY)) as api:
        await api.calls.end("call_1")
        advance_clock(monkeypatch, seconds)
        await api.calls.end("call_1")
    assert len(connections) == opened


async def test_a_write_goes_over_no_connection_that_a_read_keeps_for_minutes(loopback: Callable[..., Any]) -> None:
    connections: list[list[bytes]] = []
    async with loopback(serving(connections)) as url, ApiClient(Transport(url, KEY)) as api:
        for _ in range(3):
            await api.account.usage()
            await api.calls.end("call_1")
    assert connections == [[b"GET"] * 3, [b"POST"] * 3]


@pytest.mark.parametrize(("minutes", "opened"), [(3, 1), (5, 2)], ids=["some-minutes", "too-many"])
async def test_a_read_goes_over_a_connection_that_was_idle_for_minutes(
    loopback: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, minutes: int, opened: int
) -> None:
    """People pause between their questions, and a TLS handshake takes longer than a request."""
    connections: list[list[bytes]] = []
    async with loopback(serving(connections)) as url, ApiClient(Transport(url, KEY)) as api:
        await api.account.usage()
        advance_clock(monkeypatch, minutes * 60)
        await api.account.usage()
    assert len(connections) == opened


async def test_leaving_a_client_closes_its_connection(loopback: Callable[..., Any]) -> None:
    closed = anyio.Semaphore(0)
    async with loopback(serving([], closed=closed)) as url:
        async with ApiClient(Transport(url, KEY)) as api:
            await api.account.usage()
        with anyio.fail_after(PATIENCE):
            await closed.acquire()


async def test_a_connection_that_the_server_closed_is_not_used_again(loopback: Callable[..., Any]) -> None:
    connections: list[list[bytes]] = []
    closed = anyio.Semaphore(0)
    server = serving(connections, answers_each=1, closed=closed)
    async with loopback(server) as url, ApiClient(Transport(url, KEY, tries=1)) as api:
        with anyio.fail_after(PATIENCE):
            for _ in range(3):
                await api.account.usage()
                await closed.acquire()
                await api.calls.end("call_1")
                await closed.acquire()
    assert [len(methods) for methods in connections] == [1] * 6


async def test_requests_at_the_same_time_have_a_connection_each(loopback: Callable[..., Any]) -> None:
    connections: list[list[bytes]] = []
    async with loopback(serving(connections)) as url, ApiClient(Transport(url, KEY)) as api:
        for _ in range(3):
            await five_at_once(api)
    assert len(connections) == 5
    assert sum(map(len, connections)) == 15


async def test_no_more_than_some_idle_connections_are_kept(loopback: Callable[..., Any]) -> None:
    connections: list[list[bytes]] = []
    inner = PooledTransport(max_idle=2)
    async with loopback(serving(connections)) as url, ApiClient(Transport(url, KEY, inner=inner)) as api:
        for _ in range(2):
            await five_at_once(api)
    assert len(connections) == 8


async def test_a_cancelled_request_leaves_no_connection_behind_that_another_would_use(
    loopback: Callable[..., Any],
) -> None:
    """The rest of its response is still to come on it, and would be read as the next one's."""
    half_sent = anyio.Event()
    opened: list[int] = []

    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        is_first = len(opened) == 1
        await reader.readuntil(b"\r\n\r\n")
        if is_first:
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"half')
            await writer.drain()
            half_sent.set()
            await reader.read()
            return
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"plan": {"name": "pro"}}')
        await writer.drain()

    async with loopback(server) as url, ApiClient(Transport(url, KEY)) as api:
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(api.account.usage)
                await half_sent.wait()
                tasks.cancel_scope.cancel()
            usage = await api.account.usage()
    assert usage.plan is not None
    assert (usage.plan.name, len(opened)) == ("pro", 2)


async def error_for(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Return what a client of httpx raises for an error of the pool."""

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(httpcore2.AsyncConnectionPool, "handle_async_request", fail)
    async with httpx.AsyncClient(transport=PooledTransport()) as client:
        with pytest.raises(Exception, match=str(error)) as raised:
            await client.get("http://127.0.0.1:1/v1/agents")
    return raised.value


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
async def test_an_error_of_the_pool_becomes_httpxs_of_that_name(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was never made and a response that was lost must not be confused."""
    raised = await error_for(kind("what was wrong"), monkeypatch)
    assert type(raised) is getattr(httpx, kind.__name__)
    assert str(raised) == "what was wrong"


async def test_a_newer_kind_of_error_becomes_the_nearest_that_httpx_has(monkeypatch: pytest.MonkeyPatch) -> None:
    class LateRead(httpcore2.ReadTimeout):
        __module__ = "httpcore2"

    assert type(await error_for(LateRead("late"), monkeypatch)) is httpx.ReadTimeout


async def test_an_error_that_is_not_the_networks_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(await error_for(ZeroDivisionError("ours"), monkeypatch)) == "ours"
