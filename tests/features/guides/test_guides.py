"""Every code block of every guide is run; the first line of a block says what it is, and so what is done with it."""

import json
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from agentphone_mcp.commands.main import main
from agentphone_mcp.features.guides import GUIDES
from agentphone_mcp.features.tools.catalog import CATALOG
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.voice_webhook import understand
from agentphone_mcp.sandbox.webhooks.sender import signed
from tests.support import ROOT

TOOLS = {tool.name for declared in CATALOG.values() for tool in declared}
ADA = "+14155550142"
SECRET = "whsec_of_the_guides"
ASKS = ("Where is my order?", "Thank you, goodbye.")

# What the first line of a block says, and which test runs it.
KINDS = {
    rf"json ({'|'.join(sorted(TOOLS))})": "arguments of a tool",
    r"json agent\.message \w+": "event",
    r"json row of \w+": "row",
    r"json host": "host",
    r"(json|ndjson) answer": "answer",
    r"ndjson alternatives": "alternatives",
    r"ndjson silence": "silence",
    r"bash": "commands",
    r"python \w+\.py|js \w+\.mjs": "server of {guide}",
}


@dataclass(frozen=True)
class Block:
    """One code block: its language, what the guide says it is, and its text."""

    guide: str
    language: str
    label: str
    text: str

    @property
    def kind(self) -> str:
        """Which test runs it."""
        first_line = f"{self.language} {self.label}".strip()
        for pattern, kind in KINDS.items():
            if re.fullmatch(pattern, first_line):
                return kind.format(guide=self.guide)
        raise ValueError(f"nobody runs `{first_line}` in {self.guide}")

    @property
    def answers(self) -> list[str]:
        """Its lines, where each is an answer of its own."""
        return self.text.splitlines()

    def __str__(self) -> str:
        return re.sub(r"\W+", "-", f"{self.guide} {self.label or self.language}")


def blocks_of(guide: str, text: str) -> list[Block]:
    """All code blocks of a guide, in order."""
    found: list[Block] = []
    lines = iter(text.splitlines())
    for opening in lines:
        if opening.lstrip().startswith(("```", "~~~")):
            language, _, label = opening.removeprefix("```").partition(" ")
            body = iter(lines.__next__, "```")
            found.append(Block(guide, language, label, "\n".join(body) + "\n"))
    return found


BLOCKS = [block for guide in GUIDES for block in blocks_of(guide.name, guide.read())]
TESTED: set[str] = set()


def each(kind: str) -> pytest.MarkDecorator:
    """Run the test with every block of this kind."""
    TESTED.add(kind)
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == kind], ids=str)


def test_no_block_stays_unrun() -> None:
    """One of an unknown kind fails, and so does a test without a block."""
    assert {block.kind for block in BLOCKS} == TESTED
    with pytest.raises(ValueError, match="nobody runs"):
        assert Block("a-guide", "rust", "", "").kind


@each("arguments of a tool")
async def test_a_tool_takes_the_arguments_that_are_shown(block: Block, connect: Any, sandbox: Sandbox) -> None:
    """On a fresh sandbox; an action is previewed, or done where the guide confirms it."""
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
    """The keys of an event, and what kind of thing each holds; what a user stores in it has no shape."""
    if isinstance(value, dict):
        return {name: "free" if name == "conversationState" else shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else type(value).__name__


@each("event")
def test_an_event_looks_as_the_sandbox_sends_it(block: Block, line: Any, hook: Any) -> None:
    """No key more, none less, on any level."""
    line.set_webhook(hook.url)
    line.text("What time is my appointment?")
    line.call(*ASKS, caller=ADA)
    body, headers = hook.next(*block.label.split())
    sent, shown = json.loads(body), json.loads(block.text)
    assert shape(shown) == shape(sent)
    assert {"X-Webhook-Signature", "X-Webhook-Timestamp", "X-Webhook-ID"} <= headers.keys()
    assert (shown["event"], shown["channel"]) == (sent["event"], sent["channel"])


def heard(line: Any, hook: Any, said: str, content_type: str) -> list[str]:
    """What a caller hears of a webhook that answers so."""
    hook.body, hook.content_type = said.encode(), content_type
    line.set_webhook(hook.url)
    return [content for role, content in line.call(*ASKS) if role == "agent"]


def check_answer(line: Any, hook: Any, said: str, content_type: str) -> None:
    """All of it is spoken or pressed, and the sandbox finds nothing wrong with it."""
    line.api.patch("/v1/agents/agt_orderline", json={"transferNumber": "+14155550177"})
    parts = [json.loads(part) for part in said.splitlines()]
    assert not any(understand(part, "+14155550177").unfollowed for part in parts)
    wanted = [part.get("text") or f"[pressed {part['digits']}]" for part in parts]
    assert heard(line, hook, said, content_type)[: len(wanted)] == wanted
    rows = line.turns_delivered()
    assert {(row["status"], row["errorMessage"]) for row in rows} == {("success", None)}
    ends = any(part.get("hangup") or part.get("action") for part in parts)
    assert len(rows) == (1 if ends else len(ASKS))


@each("answer")
def test_an_answer_is_heard(block: Block, line: Any, hook: Any) -> None:
    """In the sandbox, in a call."""
    kind = "application/json" if block.language == "json" else "application/x-ndjson"
    check_answer(line, hook, block.text, kind)


@each("alternatives")
def test_each_of_several_answers_is_heard(block: Block, line: Any, hook: Any) -> None:
    """One after the other, each in a call of its own."""
    for said in block.answers:
        line.api.post("/__sandbox/reset")
        line.post("/v1/agents/agt_orderline/numbers", {"numberId": "num_frontdesk"})
        check_answer(line, hook, said, "application/json")


@each("silence")
def test_what_is_said_to_be_silence_is_silence(block: Block, line: Any, hook: Any) -> None:
    """And its delivery says so."""
    for said in block.answers:
        assert heard(line, hook, said, "application/json") == []
        last = line.turns_delivered()[-1]
        assert (last["status"], last["httpStatus"]) == ("failed", 200)
        assert "The caller heard silence." in last["errorMessage"]


@each("row")
async def test_a_row_is_one_that_the_tool_gives(block: Block, connect: Any, line: Any, hook: Any) -> None:
    """For the answer that the guide blames for it; marks of strangers' words are left out."""
    heard(line, hook, '["Hello"]', "application/json")
    async with connect() as client:
        arguments = {"agent_id": "agt_orderline"}
        rows = (await client.call_tool(block.label.removeprefix("row of "), arguments)).structured_content["data"]
    found = next(row for row in rows if row["event"] == "agent.message")
    found["error"] = re.sub("</?untrusted>", "", found["error"])
    assert json.loads(block.text) | {name: found[name] for name in ("id", "at")} == found


@each("host")
async def test_a_hosts_entry_starts_the_server(block: Block, tmp_path: Path) -> None:
    """With every setting that it has; a wrong one would be refused."""
    (entry,) = json.loads(block.text)["mcpServers"].values()
    assert [entry["command"], *entry["args"]] == ["uvx", "agentphone-mcp"]
    (tmp_path / ".agentphone-key").write_text("sk_live_not_a_real_key_0042")
    here = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = ["-m", "agentphone_mcp", "--state", str(tmp_path / "state")]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=entry["env"] | here)
    async with Client(parameters) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS


@each("commands")
def test_a_command_is_one_of_ours(block: Block, sandbox: Sandbox, state: Path, monkeypatch: Any) -> None:
    """Those that end by themselves are run, the others are read to their last option."""
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
    """Send what no caller of a webhook sends: nothing at all, nonsense, and half a request."""
    for content in (b"", b"{"):
        with suppress(httpx.HTTPError):
            httpx.post(url, content=content, trust_env=False)
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as connection:
        connection.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{}")


@each("server of voice-webhooks")
def test_the_voice_server_holds_a_call(block: Block, line: Any, served: Callable[..., Any]) -> None:
    """It says at once that it is looking, answers in sentences without markup, and hangs up; other events are taken."""
    _, url = served(block.label, block.text)
    annoy(url)
    line.set_webhook(url)
    turns = line.call(*ASKS)
    words = [content for role, content in turns if role == "agent"]
    assert words[0] == "Let me check."
    assert "Your order is on its way." in words
    assert words[-1].endswith("Goodbye!")
    assert not any("<" in word or "did not work" in word for word in words)
    assert {row["status"] for row in line.turns_delivered()} == {"success"}
    assert line.post("/v1/agents/agt_orderline/webhook/test")["success"]


@each("server of webhook-signatures")
def test_the_signed_server_takes_what_is_genuine_once(
    block: Block, line: Any, hook: Any, served: Callable[..., Any]
) -> None:
    """What the sandbox signs is handled; what was tampered with, is old or comes from another is refused."""
    line.set_webhook(hook.url)
    line.text("Is this real?")
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
        (body, genuine | signed(body, "whsec_of_another", now)),
        (body, genuine | signed(body, SECRET, now - 6 * 60)),
        (body, genuine | signed(body, SECRET, now + 6 * 60)),
        (body, {}),
    ]
    assert [status(*one) for one in forged] == [401] * len(forged)
    again = genuine | signed(body, SECRET, now - 60)
    assert [status(body, genuine), status(body, genuine), status(body, again)] == [200] * 3
    line.set_webhook(url)
    assert ("agent", "You said: Where is my order?") in line.call(*ASKS)
    server.until("handled agent.call_ended")
    assert server.lines.count("handled agent.message") == 1 + len(ASKS)


@each("server of sms-and-10dlc")
def test_the_text_server_replies_until_it_is_told_to_stop(
    block: Block, line: Any, sandbox: Sandbox, served: Callable[..., Any]
) -> None:
    """STOP in any spelling; START undoes it, and what the conversation remembered before is kept."""
    server, url = served(block.label, block.text, AGENTPHONE_BASE_URL=sandbox.url, AGENTPHONE_API_KEY=sandbox.key)
    line.set_webhook(url)

    def conversation() -> dict[str, Any]:
        return line.api.get("/v1/conversations/conv_past01").json()

    for text, told in (("Are you open?", "was answered"), (" “Stop”. ", "wants no texts"), ("quit!", "wants no texts")):
        line.text(text)
        server.until(told)
    assert conversation()["metadata"] == {"topic": "appointment", "may_text": False}
    line.text("Hello?")
    line.text("start")
    server.until("may be texted")
    line.text("And now?")
    server.until("was answered")
    sent = [text["body"] for text in conversation()["messages"] if text["direction"] == "outbound"]
    assert sent.count("Thanks, we will look into it.") == 2
