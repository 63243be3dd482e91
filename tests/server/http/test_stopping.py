"""Finish requests under way when the server is stopped, and cancel long ones with a reason."""

import asyncio
import logging
import sys
from collections.abc import Generator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.sse import sse_client

from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.sandbox.http.faults import Fault
from tests.support import COMMAND, PATIENCE, clean_environment

TRANSPORTS = pytest.mark.parametrize(
    ("transport", "mode"),
    [("streamable-http", "auto"), ("streamable-http", "legacy"), ("sse", "legacy")],
    ids=["modern", "legacy", "sse"],
)
LONG_CALL = "+14155550109"


def client_of(url: str, transport: str, mode: str) -> Client:
    return Client(sse_client(f"{url}/sse") if transport == "sse" else f"{url}/mcp", mode=mode)


@TRANSPORTS
async def test_a_purchase_under_way_finishes(hosting, sandbox, eventually, caplog, transport: str, mode: str) -> None:
    settings = HttpSettings(transport=transport)
    async with AsyncExitStack() as clients:
        async with hosting(settings) as url:
            client = await clients.enter_async_context(client_of(url, transport, mode))
            # Cached now, as the client checks results against it after the server is gone.
            await client.list_tools()
            sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=1))
            buying = asyncio.create_task(client.call_tool("buy_number", {"agent_id": "agt_frontdesk", "confirm": True}))
            await eventually(lambda: not sandbox.faults.rules)
        result = await buying
    assert result.structured_content["status"] == "done"
    assert errors_in(caplog) == []


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the server logged as errors; a client may log that the server is gone."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR and not record.name.startswith("mcp.client")
    ]


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    """Run a sandbox whose calls last for minutes."""
    with running(speed=2) as box:
        yield box


@TRANSPORTS
async def test_a_long_request_is_cancelled_with_a_reason(
    hosting, sandbox, monkeypatch, caplog, transport: str, mode: str
) -> None:
    monkeypatch.setattr("agentphone_mcp.server.http.app._SECONDS_TO_FINISH", 0.3)
    arguments = {"agent_id": "agt_frontdesk", "to_number": LONG_CALL, "confirm": True}
    progressed = asyncio.Event()

    async def note_progress(*_: Any) -> None:
        progressed.set()

    async with AsyncExitStack() as clients:
        async with hosting(HttpSettings(transport=transport)) as url, asyncio.timeout(PATIENCE):
            client = await clients.enter_async_context(client_of(url, transport, mode))
            # Cached now, as the client checks results against it after the server is gone.
            await client.list_tools()
            call_id = (await client.call_tool("place_call", arguments)).structured_content["result"]["id"]
            following = asyncio.create_task(
                client.call_tool(
                    "wait_for_call", {"call_id": call_id, "max_seconds": 600}, progress_callback=note_progress
                )
            )
            await progressed.wait()
        result = await following
    assert result.is_error
    assert "This server is being stopped, so wait_for_call was broken off" in result.content[0].text
    assert sandbox.context.account.calls[call_id].is_live
    assert errors_in(caplog) == []


async def test_readyz_fails_before_the_socket_is_closed(starting, eventually) -> None:
    async with starting() as server, httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as http:
        assert [(await http.get("/readyz")).status_code for _ in range(2)] == [200, 200]
        server.process.terminate()

        async def is_stopping() -> bool:
            result = await http.get("/readyz")
            return (result.status_code, result.json().get("why")) == (503, "stopping")

        await eventually(is_stopping)
        assert (await http.get("/mcp")).status_code == 401
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
async def test_the_last_spans_are_sent_before_the_process_ends() -> None:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--sandbox", "--transport", "streamable-http", "--port", "0"),
        env=clean_environment(OTEL_TRACES_EXPORTER="console"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async with asyncio.timeout(PATIENCE):
            url = (await process.stderr.readline()).decode().split()[-1]
            async with Client(url) as client:
                await client.list_tools()
            process.terminate()
            output = await process.stderr.read()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert b'"name": "tools/list"' in output
    assert process.returncode == 143
