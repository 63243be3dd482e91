"""A server that is killed during an action leaves it unresolved, and the next server settles it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.sandbox import Fault, Sandbox
from tests.conftest import Connect
from tests.support import COMMAND, PATIENCE, ROOT

pytestmark = pytest.mark.slow  # a server's process for each step of an action

DYING = Path(__file__).with_name("dying.py")
BUY = {"area_code": "415", "confirm": True}
POSIX = pytest.mark.skipif(os.name != "posix", reason="there is no such signal; an action's own time decides there")
HANDSHAKE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
PURCHASE = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "buy_number", "arguments": BUY}}
Writes = Callable[[], list[str]]


@pytest.fixture
def environment(sandbox: Sandbox) -> dict[str, str]:
    """Make the environment of a server on the sandbox."""
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "AGENTPHONE_API_KEY": sandbox.key,
        "AGENTPHONE_BASE_URL": sandbox.url,
    }


def entries(environment: dict[str, str]) -> list[Entry]:
    """List what the ledger holds."""
    with closing(Ledger(environment["AGENTPHONE_STATE"])) as ledger:
        return ledger.entries()


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool, and return its structured content."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


def kill_at(point: str, environment: dict[str, str]) -> None:
    """Let a server die at a point of its purchase."""
    ended = subprocess.run([sys.executable, str(DYING), point], env=environment, check=False, timeout=4 * PATIENCE)
    assert ended.returncode == -signal.SIGKILL


@POSIX
@pytest.mark.parametrize("point", ["before-the-answer", "before-the-ledger"])
async def test_an_action_that_happened_is_found_by_the_next_server(
    eventually: Any, connect: Connect, sandbox: Sandbox, environment: dict[str, str], writes: Writes, point: str
) -> None:
    kill_at(point, environment)
    (lost,) = entries(environment)
    assert (lost.outcome, lost.ids) == ("unknown", None)
    assert "ended before the answer came" in (lost.reason or "")
    assert writes() == ["POST /v1/numbers"]
    bought = list(sandbox.context.account.numbers)[-1]
    async with connect() as client:
        await eventually(lambda: entries(environment)[0].outcome == "done")
        assert entries(environment)[0].ids == {"id": bought}
        again = await call(client, "buy_number", **BUY)
        assert (again["status"], again["replayed"], again["result"]["id"]) == ("done", True, bought)
        reworded = await client.call_tool("buy_number", {"confirm": True})
        assert reworded.is_error
        assert bought in reworded.content[0].text
    assert writes() == ["POST /v1/numbers"]
    assert [entry.outcome for entry in entries(environment)] == ["done", "refused"]


@POSIX
async def test_an_action_that_cannot_be_found_stays_unknown_until_a_person_decides(
    eventually: Any, connect: Connect, sandbox: Sandbox, environment: dict[str, str], writes: Writes
) -> None:
    """That the look-up does not find it proves nothing; the sentence names the look-up and how to repeat the action."""
    kill_at("before-the-request", environment)
    assert [entry.outcome for entry in entries(environment)] == ["unknown"]
    sandbox.requests.clear()
    async with connect() as client:
        await eventually(lambda: any(request.path == "/v1/numbers" for request in sandbox.requests))
        for arguments in (BUY, {"area_code": "212", "confirm": True}):
            blocked = await call(client, "buy_number", **arguments)
            assert (blocked["status"], blocked["replayed"]) == ("unknown", True)
            assert "look with list_numbers" in blocked["next_step"]
            assert "add repeat=true" in blocked["next_step"]
        assert [entry.outcome for entry in entries(environment)] == ["unknown"]
        assert writes() == []
        assert (await call(client, "buy_number", **BUY, repeat=True))["status"] == "done"
    assert writes() == ["POST /v1/numbers"]
    assert [entry.outcome for entry in entries(environment)] == ["unknown", "done"]


@POSIX
async def test_a_server_that_is_killed_while_it_waits_for_the_api_leaves_an_unknown_outcome(
    eventually: Any, sandbox: Sandbox, environment: dict[str, str], writes: Writes
) -> None:
    sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=600, drop="before"))
    process = await asyncio.create_subprocess_exec(
        *COMMAND, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(4 * PATIENCE):
            process.stdin.write(json.dumps(HANDSHAKE).encode() + b"\n")
            await process.stdout.readline()
            process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
            process.stdin.write(json.dumps(PURCHASE).encode() + b"\n")
            await eventually(lambda: writes() == ["POST /v1/numbers"])
    finally:
        process.kill()
        await process.communicate()
    (lost,) = entries(environment)
    assert (lost.tool, lost.outcome, lost.approved_by) == ("buy_number", "unknown", "test 1")
    assert sandbox.key not in repr(lost)
