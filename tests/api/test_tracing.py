"""Tests of the span of each request, and of the headers that carry a trace."""

from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry import baggage
from opentelemetry.context import attach, detach, get_value
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, get_tracer

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, VENDOR_HOSTS, Allowlist
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.auth import AuthTransport
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.sandbox import Sandbox
from tests.support import LIVE_KEY

NUMBER = "+14155559999"
CALL = {"id": "call_1", "status": "completed", "toNumber": NUMBER}
STREAM = {"Content-Type": "text/event-stream"}
Spans = Callable[[], list[ReadableSpan]]


def busy(times: int) -> Callable[[httpx.Request], httpx.Response]:
    """Answer with 429 this many times, and then with a call."""
    answers = iter([httpx.Response(429, headers={"Retry-After": "0"})] * times)
    return lambda _: next(answers, httpx.Response(200, json=CALL))


async def test_a_request_is_a_span_by_the_conventions_of_http(spans: Spans, api_over, answering) -> None:
    """The span is named by the template of the path and holds no id, number or query."""
    async with api_over(answering({"data": [CALL]})) as api:
        await api.calls.list(search=NUMBER)
        await api.calls.list(number_id="num_1")
    listed, of_a_number = spans()
    assert (listed.name, listed.kind, listed.parent) == ("GET /v1/calls", SpanKind.CLIENT, None)
    assert dict(listed.attributes) == {
        "http.request.method": "GET",
        "url.template": "/v1/calls",
        "server.address": "api.agentphone.to",
        "server.port": 443,
        "http.response.status_code": 200,
    }
    assert of_a_number.name == "GET /v1/numbers/{number_id}/calls"
    assert "num_1" not in of_a_number.to_json()
    assert NUMBER not in listed.to_json()


async def test_each_try_is_a_span_that_counts_those_before_it(spans: Spans, api_over, answering) -> None:
    async with api_over(answering(busy(2))) as api:
        await api.calls.get("call_1")
    tried = [(span.attributes.get("http.request.resend_count"), span.attributes.get("error.type")) for span in spans()]
    assert tried == [(None, "429"), (1, "429"), (2, None)]
    assert [span.status.status_code for span in spans()] == [StatusCode.ERROR] * 2 + [StatusCode.UNSET]


async def test_a_lost_answer_is_a_span_that_says_how_it_was_lost(spans: Spans, api_over, answering) -> None:
    """Only the error's type is recorded: its message could quote anything."""

    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout(f"secret {LIVE_KEY}", request=request)

    async with api_over(answering(lose)) as api:
        with pytest.raises(ApiError):
            await api.calls.end("call_1")
    (span,) = spans()
    assert span.attributes["error.type"] == "httpx.ReadTimeout"
    assert (span.status.description, span.events) == (None, ())
    assert LIVE_KEY not in span.to_json()


async def test_a_redirect_elsewhere_is_a_span_that_failed(spans: Spans, api_over, answering) -> None:
    elsewhere = httpx.Response(302, headers={"Location": "https://evil.example/v1/agents"})
    async with api_over(answering(lambda _: elsewhere)) as api:
        with pytest.raises(ApiError):
            await api.agents.list()
    (span,) = spans()
    assert span.attributes["error.type"] == "agentphone_mcp.api.errors.DestinationRefused"
    assert span.attributes["http.response.status_code"] == 302
    assert "evil" not in span.to_json()


async def test_a_request_that_is_given_up_is_a_span_that_failed(spans: Spans) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        scope.cancel()
        await anyio.sleep_forever()
        raise AssertionError("unreachable: it was cancelled")

    async with ApiClient(Transport(DEFAULT_BASE_URL, ApiKey(LIVE_KEY), inner=httpx.MockTransport(never))) as api:
        with anyio.CancelScope() as scope:
            await api.agents.list()
    (span,) = spans()
    assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"


async def test_a_followed_stream_is_one_span_until_it_is_left(spans: Spans, api_over, answering) -> None:
    payload = 'event: connected\ndata: {}\n\nevent: turn\ndata: {"role": "user", "content": "Hi"}\n\n'

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return httpx.Response(200, text=payload, headers=STREAM)
        return httpx.Response(200, json=CALL)

    async with api_over(answering(answer)) as api:
        with anyio.CancelScope() as scope:
            async with api.calls.follow("call_1") as events:
                await anext(events)
                await api.calls.get("call_1")
                assert [span.name for span in spans()] == ["GET /v1/calls/{call_id}"]
                scope.cancel()
                await anyio.sleep_forever()
    asked, followed = spans()
    assert followed.name == "GET /v1/calls/{call_id}/transcript/stream"
    assert followed.attributes["http.response.status_code"] == 200
    assert (asked.parent, followed.status.status_code) == (None, StatusCode.UNSET)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(httpx.Response(404, json={}), "404", id="refused"),
        pytest.param(
            httpx.Response(200, text="event: turn\ndata: {\n\n", headers=STREAM),
            "agentphone_mcp.api.errors.UnreadableAnswer",
            id="broken",
        ),
    ],
)
async def test_a_stream_that_fails_says_so(spans: Spans, api_over, answering, answer, kind) -> None:
    async with api_over(answering(lambda _: answer)) as api:
        with pytest.raises(ApiError):
            async with api.calls.follow("call_1") as events:
                [event async for event in events]
    (span,) = spans()
    assert span.attributes["error.type"] == kind


async def test_a_request_that_is_never_sent_makes_no_span(spans: Spans, api_over, answering) -> None:
    async with api_over(answering(CALL)) as api:
        with pytest.raises(ApiError):
            await api.calls.get("../x")
        with pytest.raises(ApiError):
            await api.contacts.create(phone_number=NUMBER, name="\ud800")
    assert spans() == []


async def test_the_span_names_the_request_as_the_api_does(spans: Spans, api_over, answering) -> None:
    async with api_over(answering(lambda _: httpx.Response(200, json=CALL, headers={"X-Request-Id": "req_1"}))) as api:
        await api.calls.get("call_1")
    (span,) = spans()
    assert span.attributes["agentphone.request_id"] == "req_1"


async def carried(base: str, **options: Any) -> tuple[httpx.Headers, str]:
    """Send a request with made-up trace headers inside a trace with baggage; returns its headers and the trace id."""
    sent: list[httpx.Request] = []

    def network(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    key = ApiKey("sk_sandbox_1")
    keyed = AuthTransport(httpx.MockTransport(network), key, Allowlist.for_base(base, key), **options)
    token = attach(baggage.set_baggage("customer", "secret"))
    try:
        with get_tracer("test").start_as_current_span("a tool") as span:
            async with httpx.AsyncClient(transport=keyed, trust_env=False, timeout=60) as client:
                made_up = {"Traceparent": "00-1", "tracestate": "a=1", "BAGGAGE": "a=1"}
                await client.get(f"{base}/v1/calls", headers=made_up)
    finally:
        detach(token)
    return sent[0].headers, format_trace_id(span.get_span_context().trace_id)


@pytest.mark.usefixtures("spans")
@pytest.mark.parametrize("base", [f"https://{host}" for host in VENDOR_HOSTS])
async def test_the_vendor_is_told_of_no_trace(base: str) -> None:
    headers, _ = await carried(base)
    assert not {"traceparent", "tracestate", "baggage"} & headers.keys()


@pytest.mark.usefixtures("spans")
@pytest.mark.parametrize(
    ("base", "options"),
    [
        pytest.param("http://127.0.0.1:9", {}, id="loopback"),
        pytest.param(DEFAULT_BASE_URL, {"send_traceparent": True}, id="switched-on"),
    ],
)
async def test_a_trace_goes_on_where_it_may(base: str, options: dict[str, Any]) -> None:
    headers, trace = await carried(base, **options)
    assert headers["traceparent"].split("-")[1] == trace
    assert not {"tracestate", "baggage"} & headers.keys()


async def test_no_instrumentation_below_the_rule_adds_headers() -> None:
    """OpenTelemetry's instrumentation of httpx works below `AuthTransport` and is suppressed there."""
    seen: list[object] = []

    def network(_: httpx.Request) -> httpx.Response:
        seen.append(get_value("suppress_instrumentation"))
        return httpx.Response(200, json=CALL)

    async with ApiClient(Transport(DEFAULT_BASE_URL, ApiKey(LIVE_KEY), inner=httpx.MockTransport(network))) as api:
        await api.calls.get("call_1")
    assert seen == [True]
    assert get_value("suppress_instrumentation") is None


async def test_the_sandbox_sees_the_trace_of_its_client(spans: Spans, sandbox: Sandbox) -> None:
    async with ApiClient(Transport(sandbox.url, ApiKey(sandbox.key))) as api:
        await api.agents.list()
    (span,) = spans()
    assert span.attributes["server.port"] == int(sandbox.url.rpartition(":")[2])
    assert span.attributes["agentphone.request_id"] == sandbox.requests[-1].request_id
