"""Real hosts read what `install` wrote and reach the server; skipped where they are not installed.

npm install -g @anthropic-ai/claude-code @google/gemini-cli @openai/codex
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.support import ROOT

PATIENCE_OF_HOSTS = 180
SHIM = """#!/bin/sh
# What `uvx agentphone-mcp …` would start, without a network.
shift
PYTHONPATH="{root}" exec "{python}" -m agentphone_mcp "$@"
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the program that stands in for uvx is a shell script"),
]


@pytest.fixture
def in_home(home: Path, uvx: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a host in its own home and project, without this machine's settings."""
    uvx.write_text(SHIM.format(root=ROOT, python=sys.executable), encoding="utf-8")
    project = tmp_path / "project"
    project.mkdir()
    environ = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        # Gemini starts nothing in a folder that its user has not said to trust.
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }

    def start(*command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=project,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    return start


def program(name: str) -> str:
    """Return the path of a host's program, or skip the test."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.mark.parametrize(("key", "name"), [("claude-code", "claude"), ("gemini", "gemini")], ids=["claude", "gemini"])
def test_a_host_says_that_it_is_connected(
    run: Callable[..., Result], in_home: Callable[..., subprocess.Popen[str]], key: str, name: str
) -> None:
    host = program(name)
    assert run(key, "--sandbox").exit_code == 0
    message, wrong = in_home(host, "mcp", "list").communicate(timeout=PATIENCE_OF_HOSTS)
    result = [line for line in (message + wrong).splitlines() if "agentphone" in line]
    assert any("Connected" in line for line in result), message + wrong


def test_codex_lists_the_tools(run: Callable[..., Result], in_home: Callable[..., subprocess.Popen[str]]) -> None:
    host = program("codex")
    assert run("codex", "--sandbox").exit_code == 0
    with in_home(host, "app-server") as codex:
        try:
            ask(codex, 0, "initialize", {"clientInfo": {"name": "test", "version": "1"}})
            say(codex, {"method": "initialized"})
            servers = ask(codex, 1, "mcpServerStatus/list", {})["data"]
        finally:
            codex.kill()
    [server] = [server for server in servers if server["name"] == "agentphone"]
    assert server["serverInfo"]["name"] == "agentphone"
    assert {"account_overview", "place_call"} <= set(server["tools"])


def ask(host: subprocess.Popen[str], number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Send a request to a host, and return its result, skipping other messages."""
    say(host, {"id": number, "method": method, "params": params})
    assert host.stdout
    messages = map(json.loads, host.stdout)
    return next(message for message in messages if message.get("id") == number)["result"]


def say(host: subprocess.Popen[str], message: dict[str, Any]) -> None:
    """Send a message to a host."""
    assert host.stdin
    host.stdin.write(json.dumps(message) + "\n")
    host.stdin.flush()
