"""Run every code block of every guide."""

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from agentphone_mcp.commands.main import main
from agentphone_mcp.policy.untrusted import without_marks
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.voice_webhook import parse_answer
from agentphone_mcp.sandbox.webhooks.sender import signature_headers
from tests.features.guides.blocks import BLOCKS, TESTED, TOOLS, Block, each
from tests.support import LIVE_KEY, ROOT

ADA = "+14155550142"
SECRET = "whsec_of_the_guides"
ASKS = ("Where is my order?", "Thank you, goodbye.")


def test_no_block_stays_unrun() -> None:
    assert {block.kind for block in BLOCKS} == TESTED
    with pytest.raises(ValueError, match="nobody runs"):
        assert Block("a-guide", "rust", "", "").kind


@each("arguments of a tool")
async def test_a_tool_takes_the_arguments_that_are_shown(block: Block, connect: Any, sandbox: Sandbox) -> None:
    wanted = json.loads(block.text)
    async with connect() as client:
        if block.label == "test_webhook":
            await client.call_tool("set_webhook", {"url": f"{sandbox.url}/webhook", "agent_id": wanted["agent_id"]})
        result = await client.call_tool(block.label, wanted)
    assert not result.is_error, result.content[0].text
    if block.label in ("buy_number", "place_call", "send_message"):
        status = "done" if wanted.get("confirm") else "needs_confirmation"
        assert result.structured_content["status"] == status


def shape(value: Any) -> Any:
    """Return the keys of an event with the types of their values; what a user stores in it has no shape."""
    if isinstance(value, dict):
        return {name: "free" if name == "conversationState" else shape(field) for name, field in value.items()}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else type(value).__name__


@each("event")
def test_an_event_looks_as_the_sandbox_sends_it(block: Block, phone: Any, hook: Any) -> None:
    phone.set_webhook(hook.url)
    phone.text("What time is my appointment?")
    phone.call(*ASKS, caller=ADA)
    body, headers = hook.next(*block.label.split())
    sent, shown = json.loads(body), json.loads(block.text)
    assert shape(shown) == shape(sent)
    assert {"X-Webhook-Signature", "X-Webhook-Timestamp", "X-Webhook-ID"} <= headers.keys()
    assert (shown["event"], shown["channel"]) == (sent["event"], sent["channel"])


def heard(phone: Any, hook: Any, answer: str, content_type: str) -> list[str]:
    """Call, and return what the caller hears from a webhook with this answer."""
    hook.body, hook.content_type = answer.encode(), content_type
    phone.set_webhook(hook.url)
    return [content for role, content in phone.call(*ASKS) if role == "agent"]


def check_answer(phone: Any, hook: Any, answer: str, content_type: str) -> None:
    """Check that all of an answer is spoken or pressed, and that the sandbox finds no fault with it."""
    phone.api.patch("/v1/agents/agt_orderline", json={"transferNumber": "+14155550177"})
    parts = [json.loads(part) for part in answer.splitlines()]
    assert not any(parse_answer(part, "+14155550177").ignored for part in parts)
    wanted = [part.get("text") or f"[pressed {part['digits']}]" for part in parts]
    assert heard(phone, hook, answer, content_type)[: len(wanted)] == wanted
    rows = phone.turns_delivered()
    assert {(row["status"], row["errorMessage"]) for row in rows} == {("success", None)}
    ends = any(part.get("hangup") or part.get("action") for part in parts)
    assert len(rows) == (1 if ends else len(ASKS))


@each("answer")
def test_an_answer_is_heard(block: Block, phone: Any, hook: Any) -> None:
    content_type = "application/json" if block.language == "json" else "application/x-ndjson"
    check_answer(phone, hook, block.text, content_type)


@each("alternatives")
def test_each_of_several_answers_is_heard(block: Block, phone: Any, hook: Any) -> None:
    for answer in block.answers:
        phone.api.post("/__sandbox/reset")
        phone.post("/v1/agents/agt_orderline/numbers", {"numberId": "num_frontdesk"})
        check_answer(phone, hook, answer, "application/json")


@each("silence")
def test_what_is_said_to_be_silence_is_silence(block: Block, phone: Any, hook: Any) -> None:
    for answer in block.answers:
        assert heard(phone, hook, answer, "application/json") == []
        last = phone.turns_delivered()[-1]
        assert (last["status"], last["httpStatus"]) == ("failed", 200)
        assert "The caller heard silence." in last["errorMessage"]


@each("row")
async def test_a_row_is_one_that_the_tool_gives(block: Block, connect: Any, phone: Any, hook: Any) -> None:
    heard(phone, hook, '["Hello"]', "application/json")
    async with connect() as client:
        arguments = {"agent_id": "agt_orderline"}
        rows = (await client.call_tool(block.label.removeprefix("row of "), arguments)).structured_content["data"]
    failed = next(row for row in rows if row["event"] == "agent.message")
    failed["error"] = without_marks(failed["error"])
    assert json.loads(block.text) | {name: failed[name] for name in ("id", "at")} == failed


@each("host")
async def test_a_hosts_entry_starts_the_server(block: Block, tmp_path: Path) -> None:
    (entry,) = json.loads(block.text)["mcpServers"].values()
    assert [entry["command"], *entry["args"]] == ["uvx", "agentphone-mcp"]
    (tmp_path / ".agentphone-key").write_text(LIVE_KEY)
    here = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = ["-m", "agentphone_mcp", "--state", str(tmp_path / "state")]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=entry["env"] | here)
    async with Client(parameters) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS


@each("commands")
def test_a_command_exists_and_runs(block: Block, sandbox: Sandbox, state: Path, monkeypatch: Any) -> None:
    for name in [name for name in os.environ if name.startswith("AGENTPHONE_")]:
        monkeypatch.delenv(name)
    here = {"AGENTPHONE_BASE_URL": sandbox.url, "AGENTPHONE_API_KEY": sandbox.key, "AGENTPHONE_STATE": str(state)}
    for typed in block.text.splitlines():
        program, *words = shlex.split(typed)
        assert program == "agentphone-mcp"
        if words[0] == "sandbox" and words[1] not in ("call", "text"):
            sub = main.get_command(click.Context(main), words[0])
            assert sub
            sub.make_context("sandbox", words[1:])
            continue
        ran = CliRunner().invoke(main, words, env=here)
        assert ran.exit_code == 0, ran.output


def annoy(url: str) -> None:
    """Send an empty body, invalid JSON, and half a request."""
    for content in (b"", b"{"):
        with suppress(httpx.HTTPError):
            httpx.post(url, content=content, trust_env=False)
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as connection:
        connection.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{}")


@each("server of voice-webhooks")
def test_the_voice_server_holds_a_call(block: Block, phone: Any, served: Callable[..., Any]) -> None:
    _, url = served(block.label, block.text)
    annoy(url)
    phone.set_webhook(url)
    words = [content for role, content in phone.call(*ASKS) if role == "agent"]
    assert words[0] == "Let me check."
    assert "Your order is on its way." in words
    assert words[-1].endswith("Goodbye!")
    assert not any("<" in word or "did not work" in word for word in words)
    assert {row["status"] for row in phone.turns_delivered()} == {"success"}
    assert phone.post("/v1/agents/agt_orderline/webhook/test")["success"]


@each("server of webhook-signatures")
def test_the_signed_server_takes_what_is_genuine_once(
    block: Block, phone: Any, hook: Any, served: Callable[..., Any]
) -> None:
    phone.set_webhook(hook.url)
    phone.text("Is this real?")
    body, headers = hook.next("agent.message", "sms")
    genuine = {name: value for name, value in headers.items() if name.startswith("X-Webhook-")}
    server, url = served(block.label, block.text)
    annoy(url)

    def status(body: bytes, headers: dict[str, str]) -> int:
        return httpx.post(url, content=body, headers=headers, trust_env=False).status_code

    now = int(time.time())
    forged = [
        (body.replace(b"real", b"true"), genuine),
        (body + b" ", genuine),
        (body, genuine | {"X-Webhook-Timestamp": str(int(genuine["X-Webhook-Timestamp"]) + 1)}),
        (body, genuine | {"X-Webhook-Timestamp": "soon"}),
        (body, genuine | {"X-Webhook-Signature": "sha256="}),
        (body, genuine | signature_headers(body, "whsec_of_another", now)),
        (body, genuine | signature_headers(body, SECRET, now - 6 * 60)),
        (body, genuine | signature_headers(body, SECRET, now + 6 * 60)),
        (body, {}),
    ]
    assert [status(*request) for request in forged] == [401] * len(forged)
    again = genuine | signature_headers(body, SECRET, now - 60)
    assert [status(body, genuine), status(body, genuine), status(body, again)] == [200] * 3
    phone.set_webhook(url)
    assert ("agent", "You said: Where is my order?") in phone.call(*ASKS)
    server.wait_for("handled agent.call_ended")
    assert server.lines.count("handled agent.message") == 1 + len(ASKS)


@each("server of sms-and-10dlc")
def test_the_text_server_replies_until_it_is_told_to_stop(
    block: Block, phone: Any, sandbox: Sandbox, served: Callable[..., Any]
) -> None:
    """STOP works in any spelling, START undoes it, and the conversation keeps its other metadata."""
    server, url = served(block.label, block.text, AGENTPHONE_BASE_URL=sandbox.url, AGENTPHONE_API_KEY=sandbox.key)
    phone.set_webhook(url)

    def conversation() -> dict[str, Any]:
        return phone.api.get("/v1/conversations/conv_past01").json()

    for text, outcome in (
        ("Are you open?", "was answered"),
        (" “Stop”. ", "wants no texts"),
        ("quit!", "wants no texts"),
    ):
        phone.text(text)
        server.wait_for(outcome)
    assert conversation()["metadata"] == {"topic": "appointment", "may_text": False}
    phone.text("Hello?")
    phone.text("start")
    server.wait_for("may be texted")
    phone.text("And now?")
    server.wait_for("was answered")
    sent = [text["body"] for text in conversation()["messages"] if text["direction"] == "outbound"]
    assert sent.count("Thanks, we will look into it.") == 2
