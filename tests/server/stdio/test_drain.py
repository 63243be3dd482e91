"""A host that asks and leaves has its answers: all of them, and in no more time than they take."""

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

from agentphone_mcp.config.config import Config
from agentphone_mcp.server.server import create_server
from agentphone_mcp.server.stdio.drain import DrainingStream
from agentphone_mcp.server.stdio.surface import load, note_difference
from agentphone_mcp.variables import TOOLSETS
from tests.support import COMMAND, HELLO, PATIENCE, READY, clean_environment

# Answered without a key and without a network: there is no such tool.
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "no_such_tool", "arguments": {}}}
TOOLS = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
CANCELLED = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "3"}}
PLAIN = pytest.mark.parametrize("is_plain", [False, True], ids=["ahead", "plain"])


class SlowHost:
    """Says all it has and leaves, and takes its time to read what it is told."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = messages
        self.heard: list[int] = []

    async def __aiter__(self) -> AsyncGenerator[str]:
        for message in self._messages:
            yield json.dumps(message) + "\n"

    async def write(self, text: str) -> None:
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        self.heard.append(json.loads(text)["id"])

    async def flush(self) -> None:
        """Nothing is kept back."""


@PLAIN
def test_what_was_piped_in_is_answered(tmp_path: Path, is_plain: bool) -> None:
    if is_plain:
        note_difference(tmp_path / "agentphone-mcp", "tools/list")
        assert load(TOOLSETS, "spend", cache=tmp_path / "agentphone-mcp") is None
    ran = subprocess.run(
        COMMAND,
        env=clean_environment(AGENTPHONE_KEYCHAIN="off", XDG_CACHE_HOME=str(tmp_path)),
        input="".join(json.dumps(message) + "\n" for message in (HELLO, READY, CALL, TOOLS)),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    messages = [json.loads(line) for line in ran.stdout.splitlines()]
    assert sorted(message["id"] for message in messages) == [0, 1, 2]
    assert all("result" in message for message in messages)
    assert ran.returncode == 0, ran.stderr


async def test_no_answer_is_broken_off_while_it_waits_for_those_before_it() -> None:
    asked = [{**CALL, "id": number} for number in range(1, 31)]
    host = SlowHost(HELLO, READY, *asked)
    async with asyncio.timeout(PATIENCE):
        await create_server(Config()).run_over(host)
    assert sorted(host.heard) == list(range(31))


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param([JSONRPCRequest(**{**CALL, "id": 3}), JSONRPCNotification(**CANCELLED)], id="cancelled"),
        pytest.param([JSONRPCRequest(jsonrpc="2.0", id=3, method="subscriptions/listen")], id="endless"),
    ],
)
async def test_what_has_no_answer_is_not_waited_for(asked: list[JSONRPCRequest | JSONRPCNotification]) -> None:
    """A second would pass, which a host that ends a server notices."""
    say, said = anyio.create_memory_object_stream[SessionMessage](len(asked))
    tell, told = anyio.create_memory_object_stream[SessionMessage]()
    with say, told:
        for message in asked:
            say.send_nowait(SessionMessage(message))
        say.close()
        lines = DrainingStream(said, tell, anyio.lowlevel.checkpoint)
        async with lines, lines.answers:
            with anyio.fail_after(0.9):
                assert [message.message async for message in lines] == asked
