"""Tests of retries and their waits, and of the headers of every request."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate

import httpx
import pytest

from agentphone_mcp.api.agents import AgentFields
from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import (
    KeyMissing,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    StatusError,
    Unreachable,
    UnreadableAnswer,
)
from agentphone_mcp.api.transport import TRIES, Transport
from tests.api.conftest import Api, Network
from tests.support import LIVE_KEY


def in_turn(*answers: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Answer with each response in turn, and repeat the last one."""
    coming: Iterator[httpx.Response | Exception] = iter(answers)
    last = answers[-1]

    def answer(_: httpx.Request) -> httpx.Response:
        payload = next(coming, last)
        if isinstance(payload, Exception):
            raise payload
        return httpx.Response(payload.status_code, headers=payload.headers, content=payload.content)

    return answer


def busy(status: int = 429, retry_after: str | None = "0") -> httpx.Response:
    """Make a response that asks for a retry, at once by default."""
    return httpx.Response(status, headers={} if retry_after is None else {"Retry-After": retry_after}, json={})


PAGE = httpx.Response(200, json={"data": []})


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(busy(429), id="rate-limited"),
        pytest.param(busy(500), id="server-error"),
        pytest.param(busy(502), id="bad-gateway"),
        pytest.param(busy(503), id="unavailable"),
        pytest.param(busy(504), id="gateway-time-out"),
        pytest.param(httpx.ConnectError("refused"), id="no-connection"),
        pytest.param(httpx.ConnectTimeout("slow"), id="slow-connection"),
        pytest.param(httpx.ReadError("reset"), id="reset"),
        pytest.param(httpx.RemoteProtocolError("cut off"), id="cut-off"),
    ],
)
async def test_a_read_is_tried_again_after_a_passing_trouble(
    answering: Network, api_over: Api, failure: httpx.Response | Exception
) -> None:
    network = answering(in_turn(failure, PAGE))
    async with api_over(network) as api:
        assert (await api.agents.list()).data == []
    assert network.lines == ["GET https://api.agentphone.to/v1/agents?limit=20&offset=0"] * 2


async def test_a_read_is_given_up_after_three_tries(answering: Network, api_over: Api) -> None:
    network = answering(in_turn(httpx.ReadError("reset"), busy(503)))
    async with api_over(network) as api:
        with pytest.raises(ServerError) as gone:
            await api.agents.list()
    assert len(network.requests) == TRIES == 3
    assert gone.value.status == 503


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        pytest.param(busy(501), ServerError, id="not-implemented"),
        pytest.param(busy(418), StatusError, id="teapot"),
        pytest.param(httpx.ReadTimeout("slow"), Unreachable, id="read-time-out"),
        pytest.param(httpx.PoolTimeout("full"), Unreachable, id="no-free-connection"),
        pytest.param(httpx.DecodingError("no gzip"), Unreachable, id="broken-compression"),
    ],
)
async def test_a_trouble_that_will_not_pass_is_told_at_once(
    answering: Network, api_over: Api, failure: httpx.Response | Exception, error: type[Exception]
) -> None:
    network = answering(in_turn(failure))
    async with api_over(network) as api:
        with pytest.raises(error):
            await api.agents.list()
    assert len(network.requests) == 1


async def test_a_rate_limited_write_is_tried_again(answering: Network, api_over: Api) -> None:
    """429 means that the write was not accepted, so nothing can happen twice."""
    network = answering(in_turn(busy(), busy(), httpx.Response(201, json={"id": "agent_1"})))
    async with api_over(network) as api:
        assert (await api.agents.create(AgentFields(name="One"))).id == "agent_1"
    assert [request.content for request in network.requests] == [b'{"name":"One"}'] * 3


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(busy(500), id="server-error"),
        pytest.param(busy(502), id="bad-gateway"),
        pytest.param(busy(503), id="unavailable"),
        pytest.param(busy(504), id="gateway-time-out"),
        pytest.param(httpx.ReadError("reset"), id="reset"),
        pytest.param(httpx.ReadTimeout("slow"), id="time-out"),
        pytest.param(httpx.ConnectError("refused"), id="no-connection"),
    ],
)
async def test_a_write_is_never_sent_twice_otherwise(
    answering: Network, api_over: Api, failure: httpx.Response | Exception
) -> None:
    """There is no idempotency key: a second call could ring twice."""
    network = answering(in_turn(failure))
    async with api_over(network) as api:
        with pytest.raises((OutcomeUnknown, Unreachable)):
            await api.calls.place("agent_1", "+14155559999")
    assert len(network.requests) == 1


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        pytest.param(lambda: "3600", 3600, 3600, id="seconds"),
        pytest.param(lambda: formatdate(time.time() + 3600, usegmt=True), 3590, 3601, id="date"),
        pytest.param(lambda: "9" * 400, 1e9, float("inf"), id="beyond-any-number"),
    ],
)
async def test_a_long_wait_is_told_and_not_waited_for(
    answering: Network, api_over: Api, value: Callable[[], str], least: float, most: float
) -> None:
    network = answering(in_turn(busy(retry_after=value())))
    async with api_over(network) as api:
        with pytest.raises(RateLimited) as limited:
            await api.agents.list()
    assert len(network.requests) == 1
    assert limited.value.retry_after is not None
    assert least <= limited.value.retry_after <= most


async def test_a_short_wait_is_waited_for(answering: Network, api_over: Api) -> None:
    network = answering(in_turn(busy(retry_after="1"), PAGE))
    started = time.monotonic()
    async with api_over(network) as api:
        await api.agents.list()
    assert 1 <= time.monotonic() - started < 3


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(formatdate(time.time() - 60, usegmt=True), id="a-date-that-has-passed"),
        pytest.param("soon", id="no-number"),
        pytest.param("-5", id="negative"),
        pytest.param("²", id="superscript"),
        pytest.param("", id="empty"),
        pytest.param(None, id="absent"),
    ],
)
async def test_an_odd_retry_after_is_answered_with_our_own_patience(
    answering: Network, api_over: Api, value: str | None
) -> None:
    headers = [] if value is None else [(b"Retry-After", value.encode())]
    network = answering(in_turn(httpx.Response(429, headers=headers), PAGE))
    async with api_over(network) as api:
        await api.agents.list()
    assert len(network.requests) == 2


async def test_without_a_key_nothing_is_sent(answering: Network) -> None:
    network = answering({"data": []})
    async with ApiClient(Transport(DEFAULT_BASE_URL, None, inner=network.transport)) as api:
        with pytest.raises(KeyMissing) as missing:
            await api.agents.list()
        with pytest.raises(KeyMissing):
            await api.calls.place("agent_1", "+14155559999")
        with pytest.raises(KeyMissing):
            async with api.calls.follow("call_1"):
                pass
    assert not network.requests
    assert "GET /v1/agents" in str(missing.value)


async def test_a_child_account_is_named_on_every_request(answering: Network) -> None:
    network = answering({"id": "x", "data": []})
    async with ApiClient(
        Transport(DEFAULT_BASE_URL, ApiKey(LIVE_KEY), sub_account="sub_1", inner=network.transport)
    ) as api:
        await api.agents.list()
        await api.agents.create(AgentFields(name="One"))
        with suppress(UnreadableAnswer):  # it is no audio, and was asked for all the same
            await api.calls.recording("call_1")
    async with ApiClient(Transport(DEFAULT_BASE_URL, ApiKey(LIVE_KEY), inner=network.transport)) as api:
        await api.agents.list()
    assert [request.headers.get("X-Sub-Account-Id") for request in network.requests] == ["sub_1"] * 3 + [None]


async def test_every_request_carries_the_key_and_asks_for_json(answering: Network, api_over: Api) -> None:
    network = answering({"id": "x", "data": []})
    async with api_over(network) as api:
        await api.agents.list()
        await api.agents.create(AgentFields(name="One"))
    read, write = network.requests
    assert read.headers["Authorization"] == write.headers["Authorization"] == f"Bearer {LIVE_KEY}"
    assert read.headers["Accept"] == "application/json"
    assert "Content-Type" not in read.headers
    assert write.headers["Content-Type"] == "application/json"
