"""Bodies of responses are bounded as they arrive and as they are unpacked, over real connections."""

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from agentphone_mcp.api import bodies
from agentphone_mcp.api.agents import AgentFields
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import (
    ApiError,
    OutcomeUnknown,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unreachable,
    UnreadableAnswer,
)
from agentphone_mcp.api.transport import Transport

KEY = ApiKey("sk_sandbox_1")
MIB = 1024 * 1024
_ZEROS = bytes(MIB)


def packed(mebibytes: int, wbits: int) -> bytes:
    """Pack a JSON text of so many spaces: a thousandth of it is left."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    parts = [packer.compress(b'{"data": [],')]
    parts += [packer.compress(b" " * MIB) for _ in range(mebibytes)]
    return b"".join([*parts, packer.compress(b'"total": 0}'), packer.flush()])


PACKED = "200 OK\r\nContent-Encoding: gzip"
EMPTY, EMPTY_BLOCK = gzip.compress(b""), b"\x00\x00\x00\xff\xff"
GZIP, ZLIB, BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def answer(head: str, body: bytes = b"", *, endless: bytes = b"") -> Callable[..., Any]:
    """Serve one answer on each connection; `endless` is repeated until the client leaves."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\n".encode() + body)
        while endless:
            writer.write(endless)
            await writer.drain()
        await writer.drain()

    return serve


def with_length(body: bytes, *headers: str, status: str = "200 OK") -> Callable[..., Any]:
    """Serve an answer with its right length."""
    return answer("\r\n".join([status, f"Content-Length: {len(body)}", *headers]), body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def refusal(loopback: Callable[..., Any], serve: Callable[..., Any], ask: Any = None) -> ApiError:
    """Read a list from a server, and return the error."""
    async with loopback(serve) as url, ApiClient(Transport(url, KEY)) as api:
        with pytest.raises(ApiError) as refused:
            await (ask(api) if ask else api.agents.list())
    return refused.value


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Return 0.4 MB of gzip that hold 400 MB."""
    return packed(400, GZIP)


@pytest.mark.attack("16", "a small packed body becomes a large one")
async def test_a_gzip_bomb_is_not_unpacked(loopback, bomb: bytes) -> None:
    assert len(bomb) < MIB
    serve = with_length(bomb, "Content-Type: application/json", "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        error = await refusal(loopback, serve)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, TooLarge)
    assert "larger than 8 MiB" in error.detail
    assert most < 5 * bodies.LARGEST_JSON


@pytest.mark.attack("16", "a small packed body becomes a large one")
@pytest.mark.parametrize(
    ("coding", "wbits"),
    [
        pytest.param("deflate", ZLIB, id="deflate"),
        pytest.param("deflate", BARE, id="bare-deflate"),
        pytest.param("x-gzip", GZIP, id="old-name"),
        pytest.param("identity, gzip", GZIP, id="beside-identity"),
    ],
)
async def test_other_bombs_are_not_unpacked_either(loopback, coding: str, wbits: int) -> None:
    error = await refusal(loopback, with_length(packed(20, wbits), f"Content-Encoding: {coding}"))
    assert isinstance(error, TooLarge)


@pytest.mark.attack("16", "a body is packed so that httpx unpacks it as a whole")
@pytest.mark.parametrize(
    "coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "compress", "gzip\r\nContent-Encoding: br"]
)
async def test_what_was_not_asked_for_is_not_unpacked_at_all(loopback, coding: str) -> None:
    error = await refusal(loopback, with_length(gzip.compress(gzip.compress(b"{}")), f"Content-Encoding: {coding}"))
    assert isinstance(error, UnreadableAnswer)
    assert not isinstance(error, TooLarge)
    assert error.detail == "it is packed in a way that was not asked for"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity", "GZIP"])
async def test_an_honest_body_is_read(loopback, coding: str) -> None:
    body = json.dumps({"data": [{"id": f"agent_{number}", "name": "A" * 1000} for number in range(200)]}).encode()
    sent = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding.lower(), bytes)(body)
    serve = with_length(sent, f"Content-Encoding: {coding}")
    async with loopback(serve) as url, ApiClient(Transport(url, KEY)) as api:
        assert len((await api.agents.list()).data) == 200


@pytest.mark.attack("16", "a body never ends")
@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(answer("200 OK\r\nTransfer-Encoding: chunked", endless=chunk(_ZEROS)), id="chunked"),
        pytest.param(answer("200 OK", endless=_ZEROS), id="until-it-closes"),
        pytest.param(answer(PACKED, EMPTY[:10], endless=EMPTY_BLOCK * 20_000), id="unpacks-to-nothing"),
        pytest.param(answer(PACKED, EMPTY, endless=_ZEROS), id="goes-on-after-its-end"),
        pytest.param(answer(f"200 OK\r\nContent-Length: {10**18}"), id="says-so-itself"),
    ],
)
async def test_an_endless_body_is_broken_off(loopback, serve: Callable[..., Any]) -> None:
    async with asyncio.timeout(60):
        error = await refusal(loopback, serve)
    assert isinstance(error, TooLarge)


async def test_a_body_shorter_than_it_says_is_a_lost_connection(loopback) -> None:
    error = await refusal(loopback, answer("200 OK\r\nContent-Length: 1000", b"{}"))
    assert isinstance(error, Unreachable)


async def test_more_than_the_length_says_is_not_read(loopback) -> None:
    serve = answer("200 OK\r\nContent-Length: 11", b'{"data":[]}' + b"x" * 1000)
    async with loopback(serve) as url, ApiClient(Transport(url, KEY)) as api:
        assert (await api.agents.list()).data == []


@pytest.mark.attack("16", "an error has a body without end")
@pytest.mark.parametrize("coding", ["identity", "br"])
@pytest.mark.parametrize(
    ("status", "error"),
    [("401 Unauthorized", Unauthorized), ("429 Busy\r\nRetry-After: 60", RateLimited)],
    ids=["wrong-key", "busy"],
)
async def test_an_errors_status_counts_however_long_it_is(loopback, status: str, error: type, coding: str) -> None:
    told = await refusal(loopback, answer(f"{status}\r\nContent-Encoding: {coding}", endless=_ZEROS))
    assert isinstance(told, error)
    assert told.detail == "what it says is too long to be read"
    assert getattr(told, "retry_after", 60) == 60


@pytest.mark.attack("16", "the answer to a write has a body without end")
async def test_a_write_with_an_endless_answer_may_have_happened(loopback) -> None:
    for head in ("201 Created", "502 Bad Gateway"):
        error = await refusal(
            loopback, answer(head, endless=_ZEROS), lambda api: api.agents.create(AgentFields(name="One"))
        )
        assert isinstance(error, OutcomeUnknown)
        assert error.status == int(head[:3])


@pytest.mark.attack("16", "many small rows become large in memory")
@pytest.mark.parametrize(
    ("body", "ask"),
    [
        ({"data": [{"id": "x"}] * 10_001}, lambda api: api.agents.list()),
        ([{"id": "x"}] * 10_001, lambda api: api.webhooks.deliveries()),
        ({"transcript": [{"role": "agent", "content": "x"}] * 10_001}, lambda api: api.calls.transcript("call_1")),
        ({"id": "call_1", "transcripts": [{"transcript": "x"}] * 10_001}, lambda api: api.calls.get("call_1")),
    ],
    ids=["page", "bare-list", "transcript", "call"],
)
async def test_more_rows_than_an_account_has_are_not_read(loopback, body: Any, ask: Any) -> None:
    error = await refusal(loopback, with_length(json.dumps(body).encode()), ask)
    assert isinstance(error, UnreadableAnswer)


@pytest.mark.attack("16", "a recording is larger than what is held")
async def test_a_recording_is_read_up_to_a_bound(loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    def audio(size: int) -> Callable[..., Any]:
        return with_length(b"RIFF" + bytes(size - 4), "Content-Type: audio/wav")

    def ask(api: ApiClient) -> Any:
        return api.calls.recording("call_1")

    async with loopback(audio(bodies.LARGEST_AUDIO)) as url, ApiClient(Transport(url, KEY)) as api:
        assert len((await ask(api)).audio) == bodies.LARGEST_AUDIO
    for serve in (
        audio(bodies.LARGEST_AUDIO + 1),
        answer("200 OK\r\nContent-Type: audio/wav\r\nTransfer-Encoding: chunked", endless=chunk(_ZEROS)),
    ):
        error = await refusal(loopback, serve, ask)
        assert isinstance(error, TooLarge)
        assert "larger than 16 MiB" in error.detail


STREAM = "200 OK\r\nContent-Type: text/event-stream"


@pytest.mark.attack("16", "a stream has an event, or all of them, without end")
@pytest.mark.parametrize(
    ("serve", "words"),
    [
        pytest.param(answer(STREAM, b"data: ", endless=b"x" * 65_536), "an event of over 256 KiB", id="line"),
        pytest.param(answer(STREAM, endless=b"data: x\n" * 8_000), "an event of over 256 KiB", id="lines"),
        pytest.param(answer(STREAM, endless=b'data: "%b"\r\n\r\n' % (b"x" * 9_000)), "larger than 8 MiB", id="events"),
        pytest.param(
            answer(f"{STREAM}\r\nContent-Encoding: gzip", packed(20, GZIP)), "an event of over 256 KiB", id="packed"
        ),
    ],
)
async def test_a_stream_is_bounded(loopback, serve: Callable[..., Any], words: str) -> None:
    async def ask(api: ApiClient) -> None:
        async with api.calls.follow("call_1") as events:
            async for _ in events:
                pass

    async with asyncio.timeout(60):
        error = await refusal(loopback, serve, ask)
    assert isinstance(error, TooLarge)
    assert words in error.detail
