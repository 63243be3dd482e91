"""What a model reads when the API says no: what was asked, what was said, what to do next."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox.http.faults import parse

LIVE_KEY = "sk_live_not_a_real_key_0042"
READ = ("get_agent", {"agent_id": "agt_1"}, "GET /v1/agents/agt_1")
WRITE = ("update_agent", {"agent_id": "agt_1", "name": "Desk"}, "PATCH /v1/agents/agt_1")
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
SAID_NO: dict[str, tuple[int, Any, tuple[str, ...]]] = {
    "bad-request": (400, {"detail": "No such voice."}, ("400", "No such voice", "Correct the argument")),
    "unauthorized": (401, {"detail": "Invalid key."}, ("401", "AGENTPHONE_API_KEY", "wrong or revoked", "user")),
    "payment": (402, BROKE, ("402 INSUFFICIENT_BALANCE", "You need $3.00", "top up")),
    "forbidden": (403, {"detail": "Restricted."}, ("403", "Restricted", "Do not try again")),
    "not-found": (404, {"detail": "Agent not found."}, ("404", "list_agents gives a valid agent_id")),
    "conflict": (409, {"detail": "Taken."}, ("409", "Taken", "Nothing was done")),
    "number-limit": (400, LIMIT, ("400 VALIDATION_ERROR_NUMBER_LIMIT", "release one", "AgentPhone raise the limit")),
    "carrier": (400, {"detail": "No route.", "code": "CARRIER_ERROR"}, ("No route", "carrier did not take it")),
    "carrier-before": (400, {"detail": "No route.", "code": "TWILIO_ERROR"}, ("No route", "carrier did not take it")),
    "field-list": (422, {"detail": FIELD_ERRORS}, ("422", "name: String should", "voice: No such voice", "Correct")),
    "new-shape": (422, NEW_ERROR, ("422 VALIDATION_ERROR", "Wrong", "name: too short")),
    "teapot": (418, {"detail": "Short and stout."}, ("418", "Short and stout")),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize(("status", "body", "words"), SAID_NO.values(), ids=SAID_NO.keys())
async def test_a_no_of_the_api_says_what_to_do(
    assistant, answering, tool, arguments, line, status, body, words
) -> None:
    """In one text: the request, the API's words, the next step; asked once."""
    recorder = answering(body, status)
    async with assistant(recorder) as ai:
        said = await ai.refused(tool, **arguments)
    assert said.startswith(line)
    for word in words:
        assert word in said
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
async def test_what_is_not_there_and_has_no_id_is_not_looked_for_in_lists(
    assistant, answering, tool, arguments, next_step
) -> None:
    """No list gives a webhook that is not set, or an endpoint that the account's API lacks."""
    async with assistant(answering({"detail": "Not Found"}, 404)) as ai:
        assert (await ai.refused(tool, **arguments)).endswith(next_step)


@BOTH
async def test_a_busy_api_says_when_to_come_back(assistant, answering, tool, arguments, line) -> None:
    """A long Retry-After is told instead of waited for."""
    recorder = answering(lambda _: httpx.Response(429, headers={"Retry-After": "90"}, json={"detail": "Slow down."}))
    async with assistant(recorder) as ai:
        said = await ai.refused(tool, **arguments)
    assert "429" in said
    assert "try again in 90 seconds" in said
    assert "Nothing was done" in said
    assert len(recorder.requests) == 1


async def test_a_busy_api_may_name_a_date(assistant, answering) -> None:
    """It is told in seconds."""
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    recorder = answering(lambda _: httpx.Response(429, headers={"Retry-After": later}, json={}))
    async with assistant(recorder) as ai:
        said = await ai.refused("list_agents")
    assert any(f"in {seconds} seconds" in said for seconds in range(290, 301))


async def test_a_busy_api_without_a_time_is_tried_again_and_then_told(assistant, answering) -> None:
    """Even a write: 429 means that it was not accepted."""
    recorder = answering({"detail": "Slow down."}, 429)
    async with assistant(recorder) as ai:
        said = await ai.refused(WRITE[0], **WRITE[1])
    assert "try again in a minute" in said
    assert len(recorder.requests) == 3


async def test_a_read_behind_a_broken_proxy_is_tried_again_and_then_told(assistant, answering) -> None:
    """Its page is not repeated to the model."""
    recorder = answering(lambda _: httpx.Response(502, text="<html><h1>nginx secret page</h1></html>"))
    async with assistant(recorder) as ai:
        said = await ai.refused("get_agent", agent_id="agt_1")
    assert "502" in said
    assert "web page" in said
    assert "Nothing was changed" in said
    assert "nginx" not in said
    assert len(recorder.requests) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_write_answered_with_5xx_may_have_happened(assistant, answering, status) -> None:
    """So it is asked once, and the model looks before it repeats it."""
    recorder = answering({"detail": "oops"}, status)
    async with assistant(recorder) as ai:
        said = await ai.refused(WRITE[0], **WRITE[1])
    assert "may or may not have happened" in said
    assert "Look before you repeat it" in said
    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        pytest.param("end_call", {"call_id": "call_1"}, id="end-call"),
        pytest.param("detach_number", {"agent_id": "agt_1", "number_id": "num_1"}, id="detach-number"),
    ],
)
async def test_an_empty_204_is_a_yes(assistant, answering, tool, arguments) -> None:
    """There is nothing more to say."""
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
async def test_an_unreadable_answer_is_told_as_one(assistant, answering, body, words) -> None:
    """To a read nothing was changed; a write may have gone through."""
    async with assistant(answering(lambda _: httpx.Response(200, content=body))) as ai:
        read = await ai.refused("get_agent", agent_id="agt_1")
        written = await ai.refused("update_agent", agent_id="agt_1", name="Desk")
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
    """A time-out is not an end."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise lost("lost", request=request)

    async with assistant(answering(answer)) as ai:
        read = await ai.refused("get_agent", agent_id="agt_1")
        written = await ai.refused("update_agent", agent_id="agt_1", name="Desk")
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
    """Even if the API repeats it."""
    async with assistant(answering(body, 401)) as ai:
        result = await ai.client.call_tool(tool, arguments)
    assert result.is_error
    assert LIVE_KEY not in result.model_dump_json()
    assert "[key removed]" in result.content[0].text


async def test_the_key_never_shows_in_an_answer(assistant, answering) -> None:
    """Whatever field it comes back in."""
    async with assistant(answering({"id": "agt_1", "name": LIVE_KEY, "systemPrompt": f"say {LIVE_KEY}"})) as ai:
        result = await ai.client.call_tool("get_agent", {"agent_id": "agt_1"})
    assert not result.is_error
    assert LIVE_KEY not in result.model_dump_json()


async def test_the_key_never_shows_though_a_transcript_repeats_it(assistant, answering) -> None:
    """The stream of a live call is read by another road than the rest."""
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
    """The key goes to AgentPhone's own hosts only, and the model is told."""
    recorder = answering(lambda _: httpx.Response(302, headers={"Location": "https://evil.example/v1/agents"}))
    async with assistant(recorder) as ai:
        said = await ai.refused("list_agents")
    assert "redirected to evil.example" in said
    assert "not followed" in said
    assert len(recorder.requests) == 1


@BOTH
async def test_without_a_key_every_call_says_which_variable_to_set(connect, tool, arguments, line) -> None:
    """And that the sandbox needs none."""
    async with connect(api_key=None) as client:
        result = await client.call_tool(tool, arguments)
    said = result.content[0].text
    assert result.is_error
    for word in (
        "agentphone-mcp login",
        "AGENTPHONE_API_KEY",
        "AGENTPHONE_API_KEY_FILE",
        "--sandbox",
        "nothing was sent",
    ):
        assert word in said


async def test_an_error_ends_with_one_full_stop(assistant, answering) -> None:
    """The API's own sentences end with one already."""
    async with assistant(answering({"detail": "No such agent."}, 404)) as ai:
        said = await ai.refused("get_agent", agent_id="agt_1")
    assert ".." not in said
    assert said.endswith(".")


async def test_an_error_ends_with_the_id_that_support_asks_for(assistant, sandbox) -> None:
    """The one that the API itself knows the request by; of a part of an answer, too."""
    async with assistant() as ai:
        said = await ai.refused("get_agent", agent_id="agt_nobody")
        (asked,) = [request for request in sandbox.requests if request.path == "/v1/agents/agt_nobody"]
        sandbox.faults.rules.append(parse("GET /v1/usage status=400"))
        overview = await ai.ask("account_overview")
    assert said.endswith(f" (request id {asked.request_id})")
    (asked,) = [request for request in sandbox.requests if request.path == "/v1/usage"]
    assert overview["usage"]["error"].endswith(f" (request id {asked.request_id})")


async def test_an_unknown_outcome_names_the_request_too(assistant, sandbox, ledger) -> None:
    """To the model, and to whoever reads the ledger."""
    sandbox.faults.rules.append(parse("POST /v1/numbers status=503"))
    async with assistant() as ai:
        told = await ai.ask("buy_number", confirm=True)
    (asked,) = [request for request in sandbox.requests if request.method == "POST"]
    assert told["status"] == "unknown"
    assert f"request id {asked.request_id}" in told["next_step"]
    assert f"request id {asked.request_id}" in ledger()[-1].reason
