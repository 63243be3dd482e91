"""A real client over a real transport, and a process that leaves nothing behind."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters

from agentphone_mcp.features.tools.catalog import ALL_NAMES
from agentphone_mcp.policy.untrusted import without_marks
from tests.support import ROOT

SETTINGS = {"PYTHONPATH": str(ROOT), "AGENTPHONE_SANDBOX": "1", "AGENTPHONE_SANDBOX_SPEED": "50"}
COMMAND = [sys.executable, "-m", "agentphone_mcp"]
HANDSHAKE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
TRANSPORTS = pytest.mark.parametrize(
    ("transport", "path"), [("streamable-http", "/mcp"), ("sse", "/sse")], ids=["http", "sse"]
)


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool told."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


async def use_the_tools(client: Client) -> None:
    """Buy a number, call from it, and read what was said."""
    async with asyncio.timeout(45):
        assert len((await client.list_tools()).tools) == len(ALL_NAMES)
        assert (await told(client, "buy_number"))["status"] == "needs_confirmation"
        bought = await told(client, "buy_number", agent_id="agt_frontdesk", confirm=True)
        assert bought["result"]["phone_number"].startswith("+1")
        placed = await told(client, "place_call", agent_id="agt_frontdesk", to_number="+14155559999", confirm=True)
        heard: list[str] = []

        async def progress(_: float, __: float | None, message: str | None) -> None:
            heard.append(message or "")

        call_id = placed["result"]["id"]
        result = await client.call_tool("wait_for_call", {"call_id": call_id}, progress_callback=progress)
        followed = result.structured_content
        assert followed["ended"] is True
        assert len(heard) == len(followed["turns"]) > 3
        read = await told(client, "get_transcript", call_id=call_id)
        # The marks have another code in each answer.
        assert without_marks(read["turns"]) == without_marks(followed["turns"])


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
async def test_a_client_over_stdio_buys_calls_and_reads(mode: str) -> None:
    parameters = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=SETTINGS)
    async with Client(parameters, mode=mode) as client:
        await use_the_tools(client)


async def started(**settings: str) -> asyncio.subprocess.Process:
    """Our command in a process of its own, with pipes."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTPHONE_")}
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        env=clean | SETTINGS | settings,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def line(message: dict[str, Any]) -> bytes:
    """A message as stdio carries it."""
    return json.dumps(message).encode() + b"\n"


def tool_call(number: int, tool: str, **arguments: Any) -> bytes:
    """A call of a tool."""
    params = {"name": tool, "arguments": arguments}
    return line({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params})


async def test_stdout_carries_the_protocol_alone_and_the_process_ends_with_stdin() -> None:
    """Even at the wordiest log level; every line is a message, and every request is answered."""
    process = await started(AGENTPHONE_LOG_LEVEL="DEBUG")
    try:
        async with asyncio.timeout(40):
            process.stdin.write(line(HANDSHAKE))
            lines = [await process.stdout.readline()]
            process.stdin.write(line({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            process.stdin.write(tool_call(2, "account_overview"))
            process.stdin.write(tool_call(3, "get_agent", agent_id="../x"))
            process.stdin.write(b"this is no message\n")
            process.stdin.write(
                tool_call(4, "place_call", agent_id="agt_frontdesk", to_number="+14155550102", confirm=True)
            )
            lines += [await process.stdout.readline() for _ in range(3)]
            rest, log = await process.communicate(b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    messages = [json.loads(text) for text in lines + rest.splitlines()]
    assert all(message["jsonrpc"] == "2.0" for message in messages)
    assert {1, 2, 3, 4} <= {message.get("id") for message in messages}
    assert process.returncode == 0, log.decode()
    assert b"sk_sandbox_" not in log


async def test_a_call_under_way_does_not_keep_the_process_alive() -> None:
    """stdin closes while somebody is being waited for, and the process ends."""
    process = await started(AGENTPHONE_SANDBOX_SPEED="1")
    try:
        async with asyncio.timeout(30):
            process.stdin.write(line(HANDSHAKE))
            await process.stdout.readline()
            process.stdin.write(line({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            process.stdin.write(
                tool_call(2, "place_call", agent_id="agt_frontdesk", to_number="+14155550102", confirm=True)
            )
            placed = json.loads(await process.stdout.readline())["result"]["structuredContent"]
            process.stdin.write(tool_call(3, "wait_for_call", call_id=placed["result"]["id"], max_seconds=600))
            process.stdin.write(tool_call(4, "list_agents"))
            assert json.loads(await process.stdout.readline())["id"] == 4
            await process.communicate(b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
async def test_ctrl_c_ends_the_process_while_stdin_stays_open(name: str) -> None:
    process = await started()
    try:
        async with asyncio.timeout(30):
            process.stdin.write(line(HANDSHAKE))
            await process.stdout.readline()
            process.send_signal(getattr(signal, name))
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert process.returncode == -getattr(signal, name)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@asynccontextmanager
async def serving(transport: str, log: list[bytes] | None = None, **settings: str) -> AsyncGenerator[int]:
    """Our command serving over HTTP; the port it listens on, and afterwards the lines of its log."""
    port = free_port()
    process = await started(AGENTPHONE_TRANSPORT=transport, AGENTPHONE_PORT=str(port), **settings)
    try:
        async with asyncio.timeout(30):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                    continue
                writer.close()
                await writer.wait_closed()
                break
        yield port
        process.terminate()
        async with asyncio.timeout(60):
            output, said = await process.communicate()
        if log is not None:
            log += said.splitlines()
        assert output == b"", "nothing goes to stdout over HTTP"
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_client_over_http_buys_calls_and_reads() -> None:
    async with serving("streamable-http") as port, Client(f"http://127.0.0.1:{port}/mcp") as client:
        await use_the_tools(client)


async def test_an_old_client_over_sse_buys_calls_and_reads() -> None:
    async with serving("sse") as port, Client(sse_client(f"http://127.0.0.1:{port}/sse"), mode="legacy") as client:
        await use_the_tools(client)


@TRANSPORTS
async def test_a_strangers_host_or_origin_is_refused(transport: str, path: str) -> None:
    """A web page that rebinds a name to 127.0.0.1 gets no tools."""
    method, body = ("GET", None) if transport == "sse" else ("POST", HANDSHAKE)
    accept = {"Accept": "application/json, text/event-stream"}
    async with serving(transport) as port:
        for headers, refused in (
            ({"Host": "evil.example"}, 421),
            ({"Host": f"evil.example:{port}"}, 421),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
        ):
            # Each on a connection of its own: the SDK cuts it after a refusal over SSE.
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                answer = await http.request(
                    method, f"http://127.0.0.1:{port}{path}", json=body, headers=accept | headers
                )
            assert answer.status_code == refused, headers
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("transport", "told"),
    [
        pytest.param("streamable-http", "Serving on {}/mcp", id="http"),
        pytest.param("sse", "Serving on {}/mcp, and for old clients on {}/sse", id="sse"),
    ],
)
async def test_every_address_is_told_on_which_it_serves(transport: str, told: str) -> None:
    log: list[bytes] = []
    async with serving(transport, log) as port:
        address = f"http://127.0.0.1:{port}"
    assert told.format(address, address) in [text.decode().rstrip() for text in log]


async def test_the_web_servers_log_goes_through_our_formatter() -> None:
    log: list[bytes] = []
    async with serving("sse", log) as port, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        await http.get(f"http://127.0.0.1:{port}/sse", headers={"Host": "evil.example"})
    assert [text for text in log if re.match(rb"(DEBUG|INFO|WARNING|ERROR):", text)] == []


@TRANSPORTS
async def test_only_this_machine_can_connect(transport: str, path: str) -> None:
    """It listens on loopback, and on no other address of the machine."""
    others: set[str] = set()
    with suppress(socket.gaierror):  # A machine need not know its own name.
        others = {row[4][0] for row in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    async with serving(transport) as port:
        for address in (other for other in others if not other.startswith("127.")):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.wait_for(asyncio.open_connection(address, port), 5)
