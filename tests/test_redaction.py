"""A webhook's secret and a web call's token are shown when they were just made, and never again."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from mcp.shared.exceptions import MCPError

from agentphone_mcp.policy.untrusted import without_marks
from tests.support import LIVE_KEY

HOOK, TOKEN = "whsec_a/b+c=0123456789", "eyJhbGciOi.J9=="
ESCAPED_KEY = quote(LIVE_KEY).replace("_", "%5F")
LEAK = f"bad: {HOOK} {quote(TOKEN, safe='')} {json.dumps({'nested': json.dumps(HOOK)})} {ESCAPED_KEY}"
REDACTED = 'bad: [secret removed] [secret removed] {"nested": "\\"[secret removed]\\""} [key removed]'
TURNS = [{"role": role, "content": LEAK} for role in ("agent", "user")]
ANSWERS: dict[tuple[str, str], Any] = {
    ("POST", "/v1/webhooks"): {"id": "wh_1", "url": "https://x.example/hook", "secret": HOOK},
    ("POST", "/v1/calls/web"): {"callId": "call_1", "accessToken": TOKEN},
    ("GET", "/v1/webhooks/deliveries"): {"data": [{"id": "d_1", "errorMessage": LEAK}]},
    ("GET", "/v1/agents/agt_1"): {"id": "agt_1", "name": "Desk", "systemPrompt": LEAK, "voiceMode": "hosted"},
    ("GET", "/v1/calls/call_1"): {"id": "call_1", "status": "completed"},
    ("GET", "/v1/calls/call_1/transcript"): {"transcript": TURNS},
}


def api(request: httpx.Request) -> httpx.Response:
    """An API that gives secrets away whenever it can."""
    if request.method == "GET" and request.url.path == "/v1/webhooks":
        return httpx.Response(200, json=None)
    found = ANSWERS.get((request.method, request.url.path))
    return httpx.Response(200, json=found) if found else httpx.Response(400, json={"detail": LEAK})


@pytest.fixture
def leaky(connect_to, answering):
    """Connects a client to our server on such an API."""
    return lambda: connect_to(answering(api))


async def learned(client: Any) -> None:
    """Have both secrets made; their own answers show them, in text and structured content."""
    hook = await client.call_tool("set_webhook", {"url": "https://x.example/hook"})
    call = await client.call_tool("create_web_call", {"agent_id": "agt_1", "confirm": True})
    assert hook.structured_content["result"]["secret"] == HOOK
    assert call.structured_content["result"]["access_token"] == TOKEN
    assert json.loads(hook.content[0].text) == hook.structured_content
    assert json.loads(call.content[0].text) == call.structured_content


@pytest.mark.parametrize(
    ("tool", "arguments", "where"),
    [
        pytest.param("list_webhook_deliveries", {}, ("data", 0, "error"), id="a-servers-error"),
        pytest.param("get_agent", {"agent_id": "agt_1"}, ("system_prompt",), id="a-prompt"),
        pytest.param("get_transcript", {"call_id": "call_1"}, ("turns", 0, "text"), id="an-agents-words"),
        pytest.param("get_transcript", {"call_id": "call_1"}, ("turns", 1, "text"), id="a-callers-words"),
    ],
)
async def test_a_secret_that_comes_back_in_a_result_is_redacted(leaky, tool, arguments, where) -> None:
    """Plain, URL-encoded and as JSON within JSON; in text and structured content alike."""
    async with leaky() as client:
        await learned(client)
        result = await client.call_tool(tool, arguments)
    found = result.structured_content
    for step in where:
        found = found[step]
    assert without_marks(found) == REDACTED
    assert json.loads(result.content[0].text) == result.structured_content


async def test_a_secret_that_comes_back_in_an_error_is_redacted(leaky) -> None:
    async with leaky() as client:
        await learned(client)
        refused = await client.call_tool("get_agent", {"agent_id": "agt_2"})
        overview = await client.call_tool("account_overview", {})
        with pytest.raises(MCPError) as unread:
            await client.read_resource("agentphone://calls/call_2/recording")
    assert refused.is_error
    assert REDACTED in refused.content[0].text
    assert REDACTED in overview.structured_content["agents"]["error"]
    assert REDACTED in str(unread.value)


async def test_a_secret_that_is_spoken_is_redacted_from_the_progress(leaky) -> None:
    """Each turn is reported before the result is told."""
    lines: list[str] = []
    both = asyncio.Event()

    async def progress(count: float, _: float | None, line: str | None) -> None:
        lines.append(line or "")
        if count == len(TURNS):
            both.set()

    async with leaky() as client:
        await learned(client)
        await client.call_tool("wait_for_call", {"call_id": "call_1", "max_seconds": 1}, progress_callback=progress)
        async with asyncio.timeout(60):
            await both.wait()
    assert [without_marks(line) for line in lines] == [f"agent: {REDACTED}", f"caller: {REDACTED}"]


async def test_what_a_model_repeats_of_a_secret_is_redacted_from_the_answer(leaky) -> None:
    """Bad arguments are named in the answer; a secret among them would go into the log as well."""
    async with leaky() as client:
        await learned(client)
        unknown = await client.call_tool(f"no_{HOOK}", {})
        wrong = await client.call_tool("get_agent", {"agent_id": "agt_1", HOOK: 1})
    assert "'no_[secret removed]' does not exist" in unknown.content[0].text
    assert HOOK not in wrong.content[0].text
