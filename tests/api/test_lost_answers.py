"""Tests of lost responses: a write may have happened unless it was never sent; a read has not."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, OutcomeUnknown, Unreachable, UnreadableAnswer
from agentphone_mcp.api.transport import Transport
from tests.api.conftest import Api, Network, Read
from tests.support import PATIENCE

DEEP = b"[" * 100_000

WRITES = {
    "place-a-call": lambda api: api.calls.place("agent_1", "+14155559999"),
    "send-a-text": lambda api: api.messages.send("+14155559999", "Hello", agent_id="agent_1"),
    "buy-a-number": lambda api: api.numbers.buy("US"),
    "change": lambda api: api.messages.set_metadata("conv_1", None),
    "delete": lambda api: api.numbers.release("pn_1"),
}


def writes() -> list[object]:
    """Return the writes as parameters with ids."""
    return [pytest.param(ask, id=name) for name, ask in WRITES.items()]


def answer(status: int, **how: Any) -> Callable[[httpx.Request], httpx.Response]:
    """Answer every request with this response."""
    return lambda _: httpx.Response(status, **how)


def losing(error: type[httpx.HTTPError]) -> Callable[[httpx.Request], httpx.Response]:
    """Raise this error for every request."""

    def lose(_: httpx.Request) -> httpx.Response:
        raise error("lost")

    return lose


LOST = {
    "read-time-out": losing(httpx.ReadTimeout),
    "write-time-out": losing(httpx.WriteTimeout),
    "reset": losing(httpx.ReadError),
    "reset-while-sending": losing(httpx.WriteError),
    "closed": losing(httpx.CloseError),
    "cut-off": losing(httpx.RemoteProtocolError),
    "500": answer(500, json={"detail": "Internal server error."}),
    "502-page": answer(502, html="<h1>Bad gateway</h1>"),
    "503": answer(503, json={}),
    "504": answer(504),
    "truncated-json": answer(200, content=b'{"id": "call_def4'),
    "web-page-with-200": answer(200, html="<h1>Welcome</h1>"),
    "broken-utf-8": answer(200, content=b'{"id": "\xff\xfe"}'),
    "deeper-than-can-be-read": answer(200, content=DEEP),
    "broken-compression": answer(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")),
    "redirect": answer(302, headers={"Location": "https://api.agentphone.to/v1/agents"}),
    "permanent-redirect": answer(308, headers={"Location": "https://api.agentphone.ai/v1/agents"}),
    "redirect-elsewhere": answer(307, headers={"Location": "https://evil.example/"}),
    "redirect-without-a-place": answer(302),
    "redirect-to-data": answer(302, headers={"Location": "data:text/html,hello"}),
    "redirect-to-nonsense": answer(302, headers={"Location": "https://api.agentphone.to:port/"}),
}


@pytest.mark.parametrize("ask", writes())
@pytest.mark.parametrize("lose", [pytest.param(how, id=name) for name, how in LOST.items()])
async def test_a_lost_answer_to_a_write_is_reported_as_unknown(
    answering: Network, api_over: Api, lose: Any, ask: Any
) -> None:
    network = answering(lose)
    async with api_over(network) as api:
        with pytest.raises(OutcomeUnknown):
            await ask(api)
    assert len(network.requests) == 1


async def test_an_unconfirmed_delivery_is_reported_as_unknown(read: Read) -> None:
    """The API's own DELIVERY_UNCONFIRMED is a 409 that may have sent the text."""
    payload = {"error": {"message": "The carrier did not confirm.", "code": "DELIVERY_UNCONFIRMED"}}
    with pytest.raises(OutcomeUnknown) as unknown:
        await read(payload, WRITES["send-a-text"], status=409)
    assert (unknown.value.status, unknown.value.code) == (409, "DELIVERY_UNCONFIRMED")
    assert unknown.value.detail == "The carrier did not confirm."


@pytest.mark.parametrize(
    "ask", [pytest.param(WRITES["place-a-call"], id="call"), pytest.param(WRITES["buy-a-number"], id="number")]
)
async def test_an_empty_answer_to_a_write_that_makes_something_is_unknown(read: Read, ask: Any) -> None:
    with pytest.raises(OutcomeUnknown) as unknown:
        await read(answer(201), ask)
    assert unknown.value.status == 201


async def test_an_answer_without_its_id_is_unknown(read: Read) -> None:
    with pytest.raises(OutcomeUnknown):
        await read({"status": "in-progress"}, WRITES["place-a-call"], status=201)


@pytest.mark.parametrize(
    "never_sent",
    [
        pytest.param(httpx.ConnectError, id="refused"),
        pytest.param(httpx.ConnectTimeout, id="time-out"),
        pytest.param(httpx.PoolTimeout, id="no-free-connection"),
        pytest.param(httpx.ProxyError, id="proxy"),
    ],
)
async def test_a_write_that_never_left_is_unreachable(read: Read, never_sent: type[httpx.HTTPError]) -> None:
    with pytest.raises(Unreachable):
        await read(losing(never_sent), WRITES["place-a-call"])


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda api: api.calls.end("call_1"), id="end"),
        pytest.param(lambda api: api.contacts.delete("con_1"), id="delete"),
        pytest.param(lambda api: api.numbers.release("pn_1"), id="release"),
        pytest.param(lambda api: api.agents.delete("agent_1"), id="delete-agent"),
    ],
)
async def test_an_answer_without_a_body_is_a_success(read: Read, ask: Any) -> None:
    assert (await read(answer(204), ask)).success is True


@pytest.mark.parametrize(
    "malformed",
    [
        pytest.param(answer(200, content=b'{"data": [{"id": "ag'), id="truncated"),
        pytest.param(answer(200, html="<h1>Welcome</h1>"), id="web-page"),
        pytest.param(answer(200, json="all is well"), id="text"),
        pytest.param(answer(200, json={"data": "none"}), id="rows-that-are-no-list"),
        pytest.param(answer(200, json={"data": [{"name": "without an id"}]}), id="rows-without-ids"),
        pytest.param(answer(200, content=b"null"), id="null"),
        pytest.param(answer(200, content=DEEP), id="deeper-than-can-be-read"),
        pytest.param(answer(200), id="empty"),
        pytest.param(answer(200, json={"message": "Come back later"}), id="no-rows-at-all"),
    ],
)
async def test_a_read_that_cannot_be_read_is_no_empty_list(read: Read, malformed: Any) -> None:
    with pytest.raises(UnreadableAnswer) as unreadable:
        await read(malformed, lambda api: api.agents.list())
    assert unreadable.value.status == 200


async def test_a_time_that_is_no_date_of_ours_is_still_read(read: Read) -> None:
    """A zero time in an eastern zone lies before the first year of UTC."""
    payload = {"id": "agent_1", "createdAt": "0001-01-01T00:00:00+14:00"}
    assert (await read(payload, lambda api: api.agents.get("agent_1"))).id == "agent_1"


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda api: api.messages.send("+14155559999", "\ud800"), id="half-a-character"),
        pytest.param(lambda api: api.messages.set_metadata("conv_1", {"x": float("nan")}), id="not-a-number"),
        pytest.param(lambda api: api.contacts.list(search="\ud800"), id="half-a-character-in-the-query"),
        pytest.param(lambda api: api.contacts.list(search="a" * 70_000), id="query-too-long"),
    ],
)
async def test_what_cannot_be_written_is_an_api_error(answering: Network, api_over: Api, ask: Any) -> None:
    network = answering({})
    async with api_over(network) as api:
        with pytest.raises(ApiError):
            await ask(api)
    assert not network.requests


async def _cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"id": "call_1"}')
    await writer.drain()


async def _hung_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def _silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = json.dumps({"id": "call_1", "status": "x" * 1000}).encode()
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    for byte in body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(_cut_off, id="cut-off"),
        pytest.param(_hung_up, id="hung-up"),
        pytest.param(_silent, id="silent"),
        pytest.param(_dripping, id="dripping"),
    ],
)
async def test_a_server_that_does_not_finish_its_answer_leaves_a_write_unknown(
    loopback: Callable[..., Any], server: Any
) -> None:
    async with loopback(server) as url, ApiClient(Transport(url, ApiKey("sk_sandbox_1"), timeout=0.3)) as api:
        with anyio.fail_after(PATIENCE):
            with pytest.raises(OutcomeUnknown):
                await api.calls.place("agent_1", "+14155559999")
