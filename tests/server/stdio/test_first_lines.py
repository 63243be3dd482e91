"""Our command as a host starts it, while the SDK is not there yet: nothing is lost, and nothing is said twice."""

import asyncio
import json
import signal
import sys
from typing import Any

import pytest

from agentphone_mcp import __version__
from tests.support import HELLO, PATIENCE, READY

LIST = {"jsonrpc": "2.0", "id": "list", "method": "tools/list"}
PING = {"jsonrpc": "2.0", "id": 9, "method": "ping"}
ENVELOPE = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}
DISCOVER = {"jsonrpc": "2.0", "id": 0, "method": "server/discover", "params": ENVELOPE}
# Answered without a key and without a network: there is no such tool.
CALL = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "no_such_tool", "arguments": {}}}
OLD, NEW = [HELLO, READY, LIST], [DISCOVER, {**LIST, "params": ENVELOPE}]
ERAS = pytest.mark.parametrize(
    ("first", "call"), [(OLD, CALL), (NEW, {**CALL, "params": CALL["params"] | ENVELOPE})], ids=["handshake", "modern"]
)


async def ends_well(host: Any) -> list[Any]:
    rest, log = await host.end()
    assert host.process.returncode == 0, log
    assert "otherwise" not in log
    return rest


def ids(messages: list[Any]) -> list[Any]:
    return [message.get("id") for message in messages]


@ERAS
async def test_the_first_questions_are_answered_before_the_sdk_is_there(started: Any, first: Any, call: Any) -> None:
    async with started() as host:
        await host.say(*first, call)
        hello, tools = await host.hear(2)
        assert (hello["id"], tools["id"]) == (0, "list")
        assert __version__ in json.dumps(hello)
        assert len(tools["result"]["tools"]) > 30
        await host.let_the_sdk_in()
        [called] = await host.hear(1)
        assert (called["id"], called["result"]["isError"]) == (3, True)
        rest, log = await host.end()
        assert rest == []
        assert host.process.returncode == 0, log
    assert "printed" in log
    assert "by a child \n" in log
    assert "otherwise" not in log


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["lf", "crlf"])
async def test_a_message_in_pieces_is_one_message(started: Any, ending: bytes) -> None:
    async with started() as host:
        for message in (HELLO, LIST):
            for byte in json.dumps(message, ensure_ascii=False).encode() + ending + ending:
                await host.say(bytes([byte]))
        assert ids(await host.hear(2)) == [0, "list"]
        await host.let_the_sdk_in()
        await host.say(CALL)
        assert ids(await host.hear(1)) == [3]
        assert (await host.end())[0] == []


LINES = [json.dumps(line).encode() + b"\n" for line in (*OLD, CALL)]
ENDS = {
    "before-anything": (b"", []),
    "after-a-blank-line": (b"\n", []),
    "within-the-first-line": (LINES[0][:40], []),
    "before-the-first-lines-end": (LINES[0][:-1], [0]),
    "after-the-handshake": (LINES[0], [0]),
    "after-the-notification": (b"".join(LINES[:2]), [0]),
    "after-the-list": (b"".join(LINES[:3]), [0, "list"]),
    "within-the-call": (b"".join(LINES)[:-30], [0, "list"]),
}


@pytest.mark.parametrize(("said", "answered"), ENDS.values(), ids=ENDS.keys())
async def test_a_host_that_leaves_early_has_its_answers(started: Any, said: bytes, answered: list[Any]) -> None:
    async with started() as host:
        await host.say(said)
        host.process.stdin.write_eof()
        assert ids(await host.hear(len(answered))) == answered
        await host.let_the_sdk_in()
        assert await ends_well(host) == []


async def test_a_call_before_the_end_is_answered_once(started: Any) -> None:
    """Scripts say all they have and leave; the SDK alone would break it off at the end of its input."""
    async with started() as host:
        await host.say(*OLD, CALL)
        host.process.stdin.write_eof()
        await host.let_the_sdk_in()
        assert ids(await ends_well(host)) == [0, "list", 3]


async def test_what_is_no_message_harms_nothing(started: Any) -> None:
    garbage = [b"{\n", b"\xff\xfe\n", b"[" + LINES[2].strip() + b"]\n", b'{"jsonrpc":"2.0","id":7,"result":{}}\n']
    async with started() as host:
        await host.say(HELLO, *garbage, LIST, PING)
        assert ids(await host.hear(1)) == [0]
        await host.let_the_sdk_in()
        assert sorted(map(str, ids(await host.hear(2)))) == ["9", "list"]
        assert (await host.end())[0] == []


async def test_a_huge_line_waits_and_is_answered(started: Any) -> None:
    huge = {**CALL, "params": CALL["params"] | {"arguments": {"text": "é" * (1 << 20)}}}
    async with started() as host:
        await host.say(HELLO, huge, {**CALL, "id": 4})
        assert ids(await host.hear(1)) == [0]
        await host.let_the_sdk_in()
        assert sorted(ids(await host.hear(2))) == [3, 4]
        assert (await host.end())[0] == []


async def test_what_waits_is_answered_though_the_list_was_cancelled(started: Any) -> None:
    def cancelled(request_id: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}}

    async with started() as host:
        await host.say(*OLD, cancelled("list"), {**PING, "id": 8}, cancelled(0))
        assert ids(await host.hear(2)) == [0, "list"]
        await host.let_the_sdk_in()
        assert ids(await host.hear(1)) == [8]
        assert await ends_well(host) == []


async def test_only_the_chosen_tools_are_listed_early(started: Any) -> None:
    async with started(AGENTPHONE_TOOLSETS="numbers", AGENTPHONE_READ_ONLY="1") as host:
        await host.say(*OLD)
        tools = (await host.hear(2))[1]["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["list_numbers", "find_available_numbers"]
        await host.let_the_sdk_in()
        assert (await host.end())[0] == []


async def test_a_wrong_setting_is_said_before_anything_is_answered(started: Any) -> None:
    async with started(AGENTPHONE_LIMITS="calls=many") as host:
        await host.say(*OLD)
        rest, log = await host.end()
    assert (rest, host.process.returncode) == ([], 2)
    assert log.startswith("Error: AGENTPHONE_LIMITS")
    assert log.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
async def test_ctrl_c_ends_the_process_before_the_sdk_is_there(started: Any) -> None:
    async with started() as host:
        await host.say(HELLO)
        assert ids(await host.hear(1)) == [0]
        host.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            await host.process.wait()
        assert host.process.returncode == -signal.SIGINT
