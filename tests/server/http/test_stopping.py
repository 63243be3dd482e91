"""A server that is told to stop lets what is under way finish, and tells the others."""

import asyncio
import logging
import os
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
from tests.support import ROOT

WAYS = pytest.mark.parametrize(
    ("transport", "mode"),
    [("streamable-http", "auto"), ("streamable-http", "legacy"), ("sse", "legacy")],
    ids=["modern", "legacy", "sse"],
)
TALKATIVE = "+14155550109"


def client_of(url: str, transport: str, mode: str) -> Client:
    """A client over either transport."""
    return Client(sse_client(f"{url}/sse") if transport == "sse" else f"{url}/mcp", mode=mode)


@WAYS
async def test_what_is_under_way_finishes(hosting, sandbox, eventually, caplog, transport: str, mode: str) -> None:
    """A purchase that was begun is answered, although nobody is let in any more."""
    settings = HttpSettings(transport=transport)
    async with AsyncExitStack() as left:
        async with hosting(settings) as url:
            client = await left.enter_async_context(client_of(url, transport, mode))
            # It would look results up in it, when the server is gone.
            await client.list_tools()
            sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=1))
            buying = asyncio.create_task(client.call_tool("buy_number", {"agent_id": "agt_frontdesk", "confirm": True}))
            await eventually(lambda: not sandbox.faults.rules)
        bought = await buying
    assert bought.structured_content["status"] == "done"
    assert faults_in(caplog) == []


def faults_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the server logged as an error; a client that finds it gone may say so."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.ERROR and not record.name.startswith("mcp.client")
    ]


@pytest.fixture
def sandbox() -> Generator[Sandbox]:
    """An AgentPhone whose calls last for minutes."""
    with running(speed=2) as box:
        yield box


@WAYS
async def test_what_takes_too_long_is_told_so(hosting, sandbox, monkeypatch, caplog, transport: str, mode: str) -> None:
    """A call that is followed for minutes goes on, and the model learns how to follow it again."""
    monkeypatch.setattr("agentphone_mcp.server.http.app._SECONDS_TO_FINISH", 0.3)
    placing = {"agent_id": "agt_frontdesk", "to_number": TALKATIVE, "confirm": True}
    heard = asyncio.Event()

    async def hear(*_: Any) -> None:
        heard.set()

    async with AsyncExitStack() as left:
        async with hosting(HttpSettings(transport=transport)) as url, asyncio.timeout(30):
            client = await left.enter_async_context(client_of(url, transport, mode))
            # It would look results up in it, when the server is gone.
            await client.list_tools()
            call_id = (await client.call_tool("place_call", placing)).structured_content["result"]["id"]
            following = asyncio.create_task(
                client.call_tool("wait_for_call", {"call_id": call_id, "max_seconds": 600}, progress_callback=hear)
            )
            await heard.wait()
        told = await following
    assert told.is_error
    assert "This server is being stopped, so wait_for_call was broken off" in told.content[0].text
    assert sandbox.context.account.calls[call_id].is_live
    assert faults_in(caplog) == []


async def test_whoever_sends_requests_here_is_told_before_the_door_is_closed(starting, eventually) -> None:
    """A load balancer that asks regularly gets an answer after the signal, as does what it sends until then."""
    async with starting() as server, httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=60) as http:
        assert [(await http.get("/readyz")).status_code for _ in range(2)] == [200, 200]
        server.process.terminate()

        async def is_told() -> bool:
            told = await http.get("/readyz")
            return (told.status_code, told.json().get("why")) == (503, "stopping")

        await eventually(is_told)
        assert (await http.get("/mcp")).status_code == 401
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
async def test_the_last_spans_are_sent_before_the_process_ends() -> None:
    """What a server did just before it was told to stop is what its operator wants to see."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTPHONE_", "OTEL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agentphone_mcp", "--sandbox", "--transport", "streamable-http", "--port", "0"),
        env=clean | {"PYTHONPATH": str(ROOT), "OTEL_TRACES_EXPORTER": "console"},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        async with asyncio.timeout(30):
            url = (await process.stderr.readline()).decode().split()[-1]
            async with Client(url) as client:
                await client.list_tools()
            process.terminate()
            said = await process.stderr.read()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert b'"name": "tools/list"' in said
    assert process.returncode == 143
