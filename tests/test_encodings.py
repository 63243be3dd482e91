"""With an old code page for the system's encoding, the protocol is UTF-8 still, and no command breaks down."""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.data.models import Turn
from tests.support import ROOT

WORDS = "こんにちは、田中です。👋🏽 Grüße — ok? 😀"
TRANSCRIPT = ("get_transcript", {"call_id": "call_past01"})
EACH = pytest.mark.parametrize("encoding", ["cp1252", "cp932", "ascii"])


def settings(encoding: str) -> dict[str, str]:
    """A system with this encoding, where Python does nothing about it."""
    return {
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": encoding,
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "LC_ALL": "C",
    }


@pytest.fixture
def spoken(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a call in which such words were said."""
    call = sandbox.context.account.calls["call_past01"]
    call.turns.append(Turn("tr_words", "user", WORDS, call.turns[-1].at))
    return sandbox


def server(sandbox: Sandbox, encoding: str, state: Path) -> dict[str, str]:
    """The environment of a server on it."""
    own = {"AGENTPHONE_API_KEY": sandbox.key, "AGENTPHONE_BASE_URL": sandbox.url, "AGENTPHONE_STATE": str(state)}
    return settings(encoding) | own


@EACH
def test_words_pass_stdio_as_utf_8_both_ways(spoken: Sandbox, state: Path, encoding: str) -> None:
    """Byte for byte: what a caller said comes out, and what an assistant writes goes in."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": WORDS, "version": "1"}}
    renamed = {"name": "update_agent", "arguments": {"agent_id": "agt_frontdesk", "name": WORDS}}
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": TRANSCRIPT[0], "arguments": TRANSCRIPT[1]}},
        {"id": 3, "method": "tools/call", "params": renamed},
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "agentphone_mcp"],
        env=os.environ | server(spoken, encoding, state),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    giving_up = Timer(60, process.kill)
    giving_up.start()
    try:
        assert process.stdin
        assert process.stdout
        answers: dict[int, bytes] = {}
        for message in messages:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode() + b"\n")
            process.stdin.flush()
            if "id" in message:
                line = process.stdout.readline()
                answers[json.loads(line)["id"]] = line
        process.communicate(timeout=60)
    finally:
        giving_up.cancel()
        process.kill()
        process.wait()
    told = json.loads(answers[2])["result"]["structuredContent"]
    assert WORDS in told["turns"][-1]["text"]
    assert WORDS.encode() in answers[2]
    assert json.loads(answers[3])["result"]["structuredContent"]["result"]["name"] == WORDS
    assert spoken.context.account.agents["agt_frontdesk"].name == WORDS
    assert process.returncode == 0


async def test_a_host_reads_and_writes_such_words(spoken: Sandbox, state: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "agentphone_mcp"], env=server(spoken, "cp1252", state)
    )
    async with Client(command) as client:
        transcript = (await client.call_tool(*TRANSCRIPT)).structured_content
        assert WORDS in transcript["turns"][-1]["text"]
        sent = {"agent_id": "agt_frontdesk", "to_number": "+14155550142", "body": WORDS, "confirm": True}
        assert (await client.call_tool("send_message", sent)).structured_content["status"] == "done"
    assert spoken.context.account.messages[-1].body == WORDS


def run(encoding: str, *arguments: str, told: bytes = b"", **more: str) -> str:
    """What a command writes, in that encoding, when all is well."""
    clean = {name: value for name, value in os.environ.items() if name != "AGENTPHONE_API_KEY"}
    ended = subprocess.run(
        [sys.executable, "-m", "agentphone_mcp", *arguments],
        env=clean | settings(encoding) | more,
        input=told,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr
    return ended.stdout.decode(encoding)


HELP_OF_EACH = """
from agentphone_mcp.commands.main import main

for command in ("", "demo", "doctor", "install", "ledger", "login", "logout", "sandbox", "token", "token add"):
    try:
        main.main([*command.split(), "--help"])
    except SystemExit as exc:
        assert not exc.code, (command, exc.code)
"""


def test_every_commands_help_is_shown() -> None:
    """ASCII is the least of the encodings: what it can show, all can."""
    ended = subprocess.run(
        [sys.executable, "-c", HELP_OF_EACH],
        env=os.environ | settings("ascii"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.decode("ascii").count("Usage: ") == 10


@pytest.mark.slow
def test_the_demo_is_shown() -> None:
    """The demo runs to its end with an encoding that has not all its characters."""
    assert "That was it." in run("cp932", "demo")


@EACH
async def test_the_ledger_shows_what_it_can(spoken: Sandbox, connect, encoding: str) -> None:
    async with connect() as client:
        await client.call_tool("update_agent", {"agent_id": "agt_frontdesk", "name": WORDS})
        await client.call_tool(
            "place_call", {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "confirm": True}
        )
    assert "ok?" in run(encoding, "ledger", COLUMNS="200")


@EACH
def test_login_shows_what_it_can(sandbox: Sandbox, tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "田中👋"
    folder.mkdir()
    options = ("login", "--base-url", sandbox.url, "--key-file", str(folder / "key"))
    assert f"ending in {sandbox.key[-4:]} is in " in run(encoding, *options, told=sandbox.key.encode())
    assert (folder / "key").read_text() == f"{sandbox.key}\n"


@EACH
def test_tokens_are_listed(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "田中👋.toml"
    file.write_text(f"# {WORDS}\n", encoding="utf-8")
    run(encoding, "token", "add", "tanaka", "--scope", "read", "--file", str(file))
    assert run(encoding, "token", "list", "--file", str(file)).startswith("tanaka")
    assert WORDS in file.read_text(encoding="utf-8")
