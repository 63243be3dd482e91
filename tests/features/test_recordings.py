"""Recordings take a bounded part of the memory: by their size, and by how many are read at once."""

import asyncio
import gc
import json
import tracemalloc
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from mcp.shared.exceptions import MCPError

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.bodies import LARGEST_AUDIO
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.features import recordings
from agentphone_mcp.features.recordings import RecordingSlots
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.serve import web_server
from tests.server.http.auth.tokens.tokens_file import entry, write
from tests.server.http.middleware.requests import ALICE, BOB, bearer_headers
from tests.server.http.serving import running
from tests.support import LIVE_KEY

RECORDING = "agentphone://calls/call_1/recording"
MIB = 1024 * 1024


@asynccontextmanager
async def recording_of(size: int, *, says_so: bool) -> AsyncGenerator[str]:
    """Serve a recording of so many bytes, with or without its length in the head."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            length = f"Content-Length: {size}\r\n" if says_so else ""
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\n{length}Connection: close\r\n\r\n".encode())
            for _ in range(size // MIB):
                writer.write(bytes(MIB))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.attack("16", "a recording is larger than what is held")
@pytest.mark.parametrize("says_so", [True, False], ids=["says-its-length", "does-not"])
async def test_six_reads_of_a_large_recording_take_little(connect, says_so: bool) -> None:
    messages: list[str] = []

    async def read(client: Any) -> None:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(RECORDING)
        messages.append(str(refused.value))

    async with (
        recording_of(60 * MIB, says_so=says_so) as url,
        connect(base_url=url, api_key=ApiKey("sk_sandbox_1")) as client,
    ):
        tracemalloc.start()
        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(read, client)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert len(messages) == 6
    assert all("larger than 16 MiB" in message and "get_recording has its URL" in message for message in messages)
    assert most < 3 * LARGEST_AUDIO


@pytest.mark.attack("16", "many recordings are held at once")
async def test_a_caller_reads_one_recording_after_the_other(connect_to, answering) -> None:
    under_way = most = 0

    def answer(_: httpx.Request) -> httpx.Response:
        async def audio() -> AsyncGenerator[bytes]:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            yield b"RIFF"
            await anyio.lowlevel.checkpoint()
            under_way -= 1

        return httpx.Response(200, content=audio(), headers={"Content-Type": "audio/wav"})

    async with connect_to(answering(answer)) as client, anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(client.read_resource, RECORDING)
    assert most == 1


async def test_a_read_that_fails_or_is_given_up_leaves_room_for_the_next(connect_to, answering) -> None:
    asked = anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("call_2/recording"):
            asked.set()
            await anyio.sleep_forever()
        if request.url.path.endswith("call_3/recording"):
            return httpx.Response(404, json={"detail": "no"})
        return httpx.Response(200, content=b"RIFF")

    async with connect_to(answering(answer)) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.read_resource, RECORDING.replace("call_1", "call_2"))
            await asked.wait()
            tasks.cancel_scope.cancel()
        with pytest.raises(MCPError):
            await client.read_resource(RECORDING.replace("call_1", "call_3"))
        with anyio.fail_after(60):
            await client.read_resource(RECORDING)


@pytest.mark.attack("16", "answers that nobody reads are held")
async def test_a_recording_counts_until_its_client_has_read_it(answering, state: Path, tmp_path: Path) -> None:
    """Alice does not read her answer: her next one waits, and Bob's does not."""
    file = tmp_path / "tokens.toml"
    write(file, entry("alice", ALICE, "read") + entry("bob", BOB, "read"))
    recorder = answering(lambda _: httpx.Response(200, content=bytes(LARGEST_AUDIO)))
    config = Config(ApiKey(LIVE_KEY), ledger_location=str(state), is_shared=True)
    accounts = AccountPool(config, inner=recorder.transport)
    settings = HttpSettings(auth="token", tokens_file=str(file))
    body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": RECORDING, "_meta": META}}
    async with (
        running(web_server(config, settings, accounts)) as url,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):

        def reading(token: str) -> Any:
            headers = bearer_headers(token) | MODERN
            return http.stream("POST", f"{url}/mcp", json=body, headers=headers)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                async with reading(ALICE) as first:
                    assert first.status_code == 200
                    again = anyio.Event()

                    async def read_again() -> None:
                        async with reading(ALICE) as second:
                            assert json.loads(await second.aread())["result"]["contents"]
                        again.set()

                    tasks.start_soon(read_again)
                    async with reading(BOB) as bobs:
                        await bobs.aread()
                    assert (len(recorder.requests), again.is_set()) == (2, False)
                await again.wait()
    assert len(recorder.requests) == 3


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "resources/read", "Mcp-Name": RECORDING}


async def test_whoever_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "_SECONDS", 0.05)
    slots = RecordingSlots()
    releases = [await slots.take("alice"), await slots.take("bob")]
    for caller in ("alice", "carol"):
        with pytest.raises(Refused, match="Try again in a minute"):
            await slots.take(caller)
    for release in releases:
        release()
    await slots.take("carol")
    await slots.take("alice")


@pytest.mark.attack("16", "answers that nobody needs any more are held")
async def test_what_is_left_of_a_recording_is_gone_before_the_next_is_read() -> None:
    """Answers end in circles, of which Python keeps many: twenty reads took half a gigabyte, one after the other."""

    class Answer:
        pass

    slots, answer = RecordingSlots(), Answer()
    left = weakref.ref(answer)
    answer.itself = answer
    release = await slots.take("alice")
    gc.disable()
    try:
        del answer
        release()
        assert left() is not None
        await slots.take("alice")
        assert left() is None
    finally:
        gc.enable()
