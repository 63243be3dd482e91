"""Test the messages of API errors: the request, what the API message, and what to do next."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox.http.faults import parse
from tests.support import LIVE_KEY

READ = ("get_agent", {"agent_id": "agt_1"}, "GET /v1/agents/agt_1")
WRITE = ("update_conversation", {"conversation_id": "conv_1", "metadata": {}}, "PATCH /v1/conversations/conv_1")
BOTH = pytest.mark.parametrize(("tool", "arguments", "line"), [READ, WRITE], ids=["read", "write"])

FIELD_ERRORS = [
    {"loc": ["body", "name"], "msg": "String should have at least 1 character", "type": "string_too_short"},
    {"loc": ["body", "voice"], "msg": "No such voice", "type": "value_error"},
]
NEW_ERROR = {
    "error": {
        "code": "VALIDATION_ERROR",
        "message": "Wrong",
        "type": "invalid",
        "details": [{"field": "name", "message": "too short", "type": "x"}],
    }
}
BROKE = {"error": {"code": "INSUFFICIENT_BALANCE", "message": "You need $3.00"}}
LIMIT = {"error": {"code": "VALIDATION_ERROR_NUMBER_LIMIT", "message": "Number limit of 10 reached."}}
REFUSALS: dict[str, tuple[int, Any, tuple[str, ...]]] = {
    "bad-request": (400, {"detail": "No such voice."}, ("400", "No such voice", "Correct the argument")),
    "unauthorized": (401, {"detail": "Invalid key."}, ("401", "AGENTPHONE_API_KEY", "wrong or revoked", "user")),
    "payment": (402, BROKE, ("402 INSUFFICIENT_BALANCE", "You need $3.00", "top up")),
    "forbidden": (403, {"detail": "Restricted."}, ("403", "Restricted", "Do not try again")),
    "not-found": (404, {"detail": "Agent not found."}, ("404", "gives a valid")),
    "conflict": (409, {"detail": "Taken."}, ("409", "Taken", "Nothing was done")),
    "number-limit": (400, LIMIT, ("400 VALIDATION_ERROR_NUMBER_LIMIT", "release one", "AgentPhone raise the limit")),
    "carrier": (400, {"detail": "No route.", "code": "CARRIER_ERROR"}, ("No route", "carrier did not take it")),
    "carrier-before": (400, {"detail": "No route.", "code": "TWILIO_ERROR"}, ("No route", "carrier did not take it")),
    "field-list": (422, {"detail": FIELD_ERRORS}, ("422", "name: String should", "voice: No such voice", "Correct")),
    "new-shape": (422, NEW_ERROR, ("422 VALIDATION_ERROR", "Wrong", "name: too short")),
    "teapot": (418, {"detail": "Short and stout."}, ("418", "Short and stout")),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize(("status", "body", "words"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_refusal_of_the_api_says_what_to_do(
    assistant, answering, tool, arguments, line, status, body, words
) -> None:
    recorder = answering(body, status)
    async with assistant(recorder) as ai:
        message = await ai.refused(tool, **arguments)
    assert message.startswith(line)
    for word in words:
        assert word in message
    assert ".." not in message
    assert message.endswith(".")
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "next_step"),
    [
        pytest.param("test_webhook", {}, "set_webhook makes the project's webhook.", id="no-webhook"),
        pytest.param(
            "test_webhook", {"agent_id": "agt_1"}, "set_webhook with it makes a webhook.", id="none-of-its-own"
        ),
        pytest.param("get_usage", {"period": "by_agent"}, "do without it, and tell your user.", id="older-api"),
    ],
)
async def test_a_404_without_an_id_does_not_point_to_a_list(assistant, answering, tool, arguments, next_step) -> None:
    async with assistant(answering({"detail": "Not Found"}, 404)) as ai:
        assert (await ai.refused(tool, **arguments)).endswith(next_step)


@BOTH
async def test_a_rate_limit_says_when_to_try_again(assistant, answering, tool, arguments, line) -> None:
    recorder = answering(lambda _: httpx.Response(429, headers={"Retry-After": "90"}, json={"detail": "Slow down."}))
    async with assistant(recorder) as ai:
        message = await ai.refused(tool, **arguments)
    assert "429" in message
    assert "try again in 90 seconds" in message
    assert "Nothing was done" in message
    assert len(recorder.requests) == 1


async def test_a_rate_limit_may_give_a_date(assistant, answering) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    recorder = answering(lambda _: httpx.Response(429, headers={"Retry-After": later}, json={}))
    async with assistant(recorder) as ai:
        message = await ai.refused("list_agents")
    assert any(f"in {seconds} seconds" in message for seconds in range(290, 301))


async def test_a_rate_limit_without_a_time_is_retried_and_then_reported(assistant, answering) -> None:
    """Writes are retried too, because a 429 means that nothing was done."""
    recorder = answering({"detail": "Slow down."}, 429)
    async with assistant(recorder) as ai:
        message = await ai.refused(WRITE[0], **WRITE[1])
    assert "try again in a minute" in message
    assert len(recorder.requests) == 3


async def test_a_read_behind_a_broken_proxy_is_retried_and_then_reported(assistant, answering) -> None:
    recorder = answering(lambda _: httpx.Response(502, text="<html><h1>nginx secret page</h1></html>"))
    async with assistant(recorder) as ai:
        message = await ai.refused("get_agent", agent_id="agt_1")
    assert "502" in message
    assert "web page" in message
    assert "Nothing was changed" in message
    assert "nginx" not in message
    assert len(recorder.requests) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_write_answered_with_5xx_may_have_happened(assistant, answering, status) -> None:
    recorder = answering({"detail": "oops"}, status)
    async with assistant(recorder) as ai:
        message = await ai.refused(WRITE[0], **WRITE[1])
    assert "may or may not have happened" in message
    assert "Look before you repeat it" in message
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        pytest.param("end_call", {"call_id": "call_1"}, id="end-call"),
    ],
)
async def test_an_empty_204_is_a_success(assistant, answering, tool, arguments) -> None:
    async with assistant(answering(lambda _: httpx.Response(204))) as ai:
        assert await ai.ask(tool, **arguments) == {"success": True}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b'{"id": "agt_1", "na', "not what the API documents", id="truncated"),
        pytest.param(b"", "the answer is empty", id="empty"),
        pytest.param(b"<html>hello</html>", "not what the API documents", id="html"),
        pytest.param(b'{"name": "no id"}', "not what the API documents", id="no-id"),
        pytest.param(b"\xff\xfe", "not what the API documents", id="no-text"),
        pytest.param(b"[" * 100_000, "not what the API documents", id="bottomless"),
    ],
)
async def test_an_unreadable_answer_is_reported_as_one(assistant, answering, body, words) -> None:
    async with assistant(answering(lambda _: httpx.Response(200, content=body))) as ai:
        read = await ai.refused("get_agent", agent_id="agt_1")
        written = await ai.refused(WRITE[0], **WRITE[1])
    assert words in read
    assert "Nothing was changed" in read
    assert words in written
    assert "may or may not have happened" in written


@pytest.mark.parametrize(
    ("lost", "read_says", "write_says"),
    [
        pytest.param(httpx.ReadTimeout, "timed out", "may or may not have happened", id="time-out"),
        pytest.param(httpx.ReadError, "connection was lost", "may or may not have happened", id="reset"),
        pytest.param(httpx.ConnectError, "could not be made", "could not be made", id="no-connection"),
    ],
)
async def test_a_lost_connection_says_whether_a_write_was_sent(
    assistant, answering, lost, read_says, write_says
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise lost("lost", request=request)

    async with assistant(answering(answer)) as ai:
        read = await ai.refused("get_agent", agent_id="agt_1")
        written = await ai.refused(WRITE[0], **WRITE[1])
    assert read_says in read
    assert "Nothing was changed" in read
    assert write_says in written
    assert ("Nothing was changed" in written) is (lost is httpx.ConnectError)


@pytest.mark.parametrize(
    "body",
    [
        {"detail": f"the key {LIVE_KEY} is revoked"},
        {"error": {"message": f"Bearer {LIVE_KEY}", "code": "X"}},
        {"detail": [{"loc": ["header", "Authorization"], "msg": f"bad: {LIVE_KEY}"}]},
        {"error": {"message": "no", "code": LIVE_KEY}},
    ],
    ids=["detail", "message", "list", "code"],
)
@BOTH
async def test_the_key_never_shows_in_an_error(assistant, answering, tool, arguments, line, body) -> None:
    async with assistant(answering(body, 401)) as ai:
        result = await ai.client.call_tool(tool, arguments)
    assert result.is_error
    assert LIVE_KEY not in result.model_dump_json()
    assert "[key removed]" in result.content[0].text


async def test_the_key_never_shows_in_an_answer(assistant, answering) -> None:
    async with assistant(answering({"id": "agt_1", "name": LIVE_KEY, "systemPrompt": f"say {LIVE_KEY}"})) as ai:
        result = await ai.client.call_tool("get_agent", {"agent_id": "agt_1"})
    assert not result.is_error
    assert LIVE_KEY not in result.model_dump_json()


async def test_the_key_never_shows_though_a_transcript_repeats_it(assistant, answering) -> None:
    turn = f'event: turn\ndata: {{"role": "user", "content": "is it {LIVE_KEY}?"}}\n\n'
    stream = f'event: connected\ndata: {{"status": "in-progress"}}\n\n{turn}event: ended\ndata: {{}}\n\n'

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return httpx.Response(200, text=stream, headers={"Content-Type": "text/event-stream"})
        return httpx.Response(200, json={"id": "call_1", "status": "completed"})

    async with assistant(answering(answer)) as ai:
        result = await ai.client.call_tool("wait_for_call", {"call_id": "call_1"})
    assert not result.is_error
    assert LIVE_KEY not in result.model_dump_json()


async def test_a_redirect_elsewhere_is_not_followed(assistant, answering) -> None:
    recorder = answering(lambda _: httpx.Response(302, headers={"Location": "https://evil.example/v1/agents"}))
    async with assistant(recorder) as ai:
        message = await ai.refused("list_agents")
    assert "redirected to evil.example" in message
    assert "not followed" in message
    assert len(recorder.requests) == 1


@BOTH
async def test_without_a_key_every_call_says_which_variable_to_set(connect, tool, arguments, line) -> None:
    async with connect(api_key=None) as client:
        result = await client.call_tool(tool, arguments)
    message = result.content[0].text
    assert result.is_error
    for word in (
        "agentphone-mcp login",
        "AGENTPHONE_API_KEY",
        "AGENTPHONE_API_KEY_FILE",
        "--sandbox",
        "nothing was sent",
    ):
        assert word in message


async def test_an_error_ends_with_the_id_that_support_asks_for(assistant, sandbox) -> None:
    async with assistant() as ai:
        message = await ai.refused("get_agent", agent_id="agt_nobody")
        (asked,) = [request for request in sandbox.requests if request.path == "/v1/agents/agt_nobody"]
        sandbox.faults.rules.append(parse("GET /v1/usage status=400"))
        overview = await ai.ask("account_overview")
    assert message.endswith(f" (request id {asked.request_id})")
    (asked,) = [request for request in sandbox.requests if request.path == "/v1/usage"]
    assert overview["usage"]["error"].endswith(f" (request id {asked.request_id})")


async def test_an_unknown_outcome_names_the_request_too(assistant, sandbox, ledger) -> None:
    sandbox.faults.rules.append(parse("POST /v1/numbers status=503"))
    async with assistant() as ai:
        result = await ai.ask("buy_number", confirm=True)
    (asked,) = [request for request in sandbox.requests if request.method == "POST"]
    assert result["status"] == "unknown"
    assert f"request id {asked.request_id}" in result["next_step"]
    assert f"request id {asked.request_id}" in ledger()[-1].reason
