"""A host that cancels or goes away leaves no listener behind at the API, whichever way it is connected."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters

from agentphone_mcp.sandbox import Sandbox
from tests.support import ROOT

pytestmark = pytest.mark.slow  # a server's process for each way to connect

CALL = {"agent_id": "agt_frontdesk", "to_number": "+14155550109", "confirm": True}
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])


def settings(sandbox: Sandbox, state: Path) -> dict[str, str]:
    """What the server is told: this test's own sandbox."""
    own = {"AGENTPHONE_API_KEY": sandbox.key, "AGENTPHONE_BASE_URL": sandbox.url, "AGENTPHONE_STATE": str(state)}
    return own | {"PYTHONPATH": str(ROOT)}


@asynccontextmanager
async def served(transport: str, told: dict[str, str]) -> AsyncGenerator[str]:
    """Our command serving over HTTP: its address."""
    command = (sys.executable, "-m", "agentphone_mcp", "--transport", transport, "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, env=told, stderr=asyncio.subprocess.PIPE)
    assert process.stderr
    try:
        async with asyncio.timeout(30):
            yield (await process.stderr.readline()).decode().split()[-1]
    finally:
        process.terminate()
        await process.communicate()


async def listeners(sandbox: Sandbox, call_id: str, wanted: int) -> None:
    """Wait until so many listen to the call."""
    async with asyncio.timeout(60):
        while sandbox.context.simulator.listeners(call_id) != wanted:  # noqa: ASYNC110 - the engine tells nobody
            await asyncio.sleep(0.01)


async def following(client: Client, sandbox: Sandbox) -> tuple[asyncio.Task[Any], str]:
    """Follow a long call, as far as the sandbox having a listener."""
    placed = await client.call_tool("place_call", CALL)
    call_id = placed.structured_content["result"]["id"]
    waiting = asyncio.create_task(client.call_tool("wait_for_call", {"call_id": call_id, "max_seconds": 600}))
    await listeners(sandbox, call_id, 1)
    return waiting, call_id


async def cancelled(client: Client, sandbox: Sandbox) -> None:
    """Cancel, and see the stream closed while the call goes on and the server serves."""
    waiting, call_id = await following(client, sandbox)
    waiting.cancel()
    await listeners(sandbox, call_id, 0)
    assert sandbox.context.account.calls[call_id].is_live
    assert not (await client.call_tool("get_call", {"call_id": call_id})).is_error


@ERAS
async def test_a_request_cancelled_over_stdio_closes_the_stream(sandbox: Sandbox, state: Path, mode: str) -> None:
    command = [sys.executable, "-m", "agentphone_mcp"]
    server = StdioServerParameters(command=command[0], args=command[1:], env=settings(sandbox, state))
    async with Client(server, mode=mode) as client:
        await cancelled(client, sandbox)


@ERAS
async def test_a_request_cancelled_over_http_closes_the_stream(sandbox: Sandbox, state: Path, mode: str) -> None:
    async with served("streamable-http", settings(sandbox, state)) as url, Client(url, mode=mode) as client:
        await cancelled(client, sandbox)


@ERAS
async def test_a_client_that_leaves_over_http_closes_the_stream(sandbox: Sandbox, state: Path, mode: str) -> None:
    async with served("streamable-http", settings(sandbox, state)) as url:
        async with Client(url, mode=mode) as client:
            waiting, call_id = await following(client, sandbox)
            waiting.cancel()
        await listeners(sandbox, call_id, 0)


async def test_an_old_client_that_leaves_over_sse_closes_the_stream(sandbox: Sandbox, state: Path) -> None:
    async with served("sse", settings(sandbox, state)) as url:
        async with Client(sse_client(url), mode="legacy") as client:
            waiting, call_id = await following(client, sandbox)
            waiting.cancel()
        await listeners(sandbox, call_id, 0)
