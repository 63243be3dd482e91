"""A server that is killed in the middle of an action leaves an unresolved action, and the next one settles it without spending."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from agentphone_mcp.sandbox import Fault, Sandbox
from tests.support import ROOT

DYING = Path(__file__).with_name("dying.py")
BUY = {"area_code": "415", "confirm": True}
PATIENCE = 30
POSIX = pytest.mark.skipif(os.name != "posix", reason="there is no such signal; an action's own time decides there")
HANDSHAKE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
PURCHASE = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "buy_number", "arguments": BUY},
}

Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def environment(sandbox: Sandbox) -> dict[str, str]:
    """What a server on the sandbox is told."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "AGENTPHONE_API_KEY": sandbox.key,
        "AGENTPHONE_BASE_URL": sandbox.url,
    }


def ledger(environment: dict[str, str]) -> list[dict[str, Any]]:
    """What a person is shown."""
    command = [sys.executable, "-m", "agentphone_mcp", "ledger", "--json"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return json.loads(shown.stdout)


def writes(sandbox: Sandbox) -> list[str]:
    """What reached the API and was no look."""
    return [f"{request.method} {request.path}" for request in sandbox.requests if request.method != "GET"]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; a bounded time."""
    give_up_at = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool told."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


def killed(point: str, environment: dict[str, str]) -> None:
    """Let a server die at a point of its purchase."""
    ended = subprocess.run([sys.executable, str(DYING), point], env=environment, check=False, timeout=PATIENCE)
    assert ended.returncode == -signal.SIGKILL


@POSIX
@pytest.mark.parametrize("point", ["before-the-answer", "before-the-ledger"])
async def test_a_action_that_happened_is_found_by_the_next_server(
    connect: Connect, sandbox: Sandbox, environment: dict[str, str], point: str
) -> None:
    """It spends nothing to find out, and the same purchase is not made again."""
    killed(point, environment)
    (lost,) = ledger(environment)
    assert (lost["outcome"], lost["ids"]) == ("unknown", None)
    assert "ended before the answer came" in lost["reason"]
    assert writes(sandbox) == ["POST /v1/numbers"]
    bought = list(sandbox.context.account.numbers)[-1]
    async with connect() as client:
        await until(lambda: ledger(environment)[0]["outcome"] == "done")
        assert ledger(environment)[0]["ids"] == {"id": bought}
        again = await told(client, "buy_number", **BUY)
        assert (again["status"], again["replayed"], again["result"]["id"]) == ("done", True, bought)
        reworded = await client.call_tool("buy_number", {"confirm": True})
        assert reworded.is_error
        assert bought in reworded.content[0].text
    assert writes(sandbox) == ["POST /v1/numbers"]
    assert [entry["outcome"] for entry in ledger(environment)] == ["done", "refused"]


@POSIX
async def test_a_action_that_cannot_be_found_stays_in_doubt_until_somebody_decides(
    connect: Connect, sandbox: Sandbox, environment: dict[str, str]
) -> None:
    """That it is not there says little; the sentence names the look-up, and how to do it nevertheless."""
    killed("before-the-request", environment)
    assert [entry["outcome"] for entry in ledger(environment)] == ["unknown"]
    sandbox.requests.clear()
    async with connect() as client:
        await until(lambda: any(request.path == "/v1/numbers" for request in sandbox.requests))
        for arguments in (BUY, {"area_code": "212", "confirm": True}):
            blocked = await told(client, "buy_number", **arguments)
            assert (blocked["status"], blocked["replayed"]) == ("unknown", True)
            assert "look with list_numbers" in blocked["next_step"]
            assert "add repeat=true" in blocked["next_step"]
        assert [entry["outcome"] for entry in ledger(environment)] == ["unknown"]
        assert writes(sandbox) == []
        assert (await told(client, "buy_number", **BUY, repeat=True))["status"] == "done"
    assert writes(sandbox) == ["POST /v1/numbers"]
    assert [entry["outcome"] for entry in ledger(environment)] == ["unknown", "done"]


@POSIX
async def test_a_server_that_is_killed_while_it_waits_for_the_api_leaves_a_doubt(
    sandbox: Sandbox, environment: dict[str, str]
) -> None:
    """The command itself, over stdio, as a host starts and ends it."""
    sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=600, drop="before"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agentphone_mcp", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            process.stdin.write(json.dumps(HANDSHAKE).encode() + b"\n")
            await process.stdout.readline()
            process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
            process.stdin.write(json.dumps(PURCHASE).encode() + b"\n")
            await until(lambda: writes(sandbox) == ["POST /v1/numbers"])
    finally:
        process.kill()
        await process.communicate()
    (lost,) = ledger(environment)
    assert (lost["tool"], lost["outcome"], lost["approved_by"]) == ("buy_number", "unknown", "test 1")
    assert sandbox.key not in json.dumps(lost)
