"""Check `agentphone-mcp sandbox` and its subcommands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentphone_mcp.commands.main import main
from agentphone_mcp.sandbox import Sandbox, running
from tests.support import ROOT

KEY = "sk_sandbox_of_the_command"
OPTIONS = ("PORT", "SPEED", "KEY", "WIRE", "STATE", "FAULTS", "ALLOW_REMOTE_WEBHOOKS")
ADA, DESK = "+14155550142", "+14155550100"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in this process, without AGENTPHONE_ variables of the environment."""
    for name in [name for name in os.environ if name.startswith("AGENTPHONE_")]:
        monkeypatch.delenv(name)

    def typed(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, ["sandbox", *arguments], env=environment)

    return typed


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start a sandbox in its own process, and return its URL."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTPHONE_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "agentphone_mcp", "sandbox", "--port", "0", *arguments],
            env=clean | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        return process, next(line.partition("=")[2].strip() for line in lines if "AGENTPHONE_BASE_URL=" in line)

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=60)


def test_every_option_can_be_a_variable(typed: Callable[..., Result]) -> None:
    output = typed("--help").output
    assert all(f"AGENTPHONE_SANDBOX_{name}" in output for name in OPTIONS)
    assert all(word in output for word in ("call", "text", "--fault", "--allow-remote-webhooks"))


def test_flags_set_it_up(start: Callable[..., tuple[subprocess.Popen[str], str]], tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    faults = ("--fault", "GET /v1/usage status=503", "--fault", "GET /v1/contacts malformed")
    process, url = start("--key", KEY, "--wire", "new", "--state", str(file), *faults)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False, timeout=60) as client:
        assert [client.get("/v1/usage").status_code for _ in range(2)] == [503, 200]
        assert client.get("/v1/agents").json().keys() == {"data", "total"}
        assert [fault["path"] for fault in client.get("/__sandbox/faults").json()["data"]] == ["/v1/contacts"]
        assert client.post("/v1/agents", json={"name": "Kept"}).status_code == 201
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert "Kept" in file.read_text()


def test_variables_set_it_up(start: Callable[..., tuple[subprocess.Popen[str], str]]) -> None:
    variables = {
        "AGENTPHONE_SANDBOX_KEY": KEY,
        "AGENTPHONE_SANDBOX_WIRE": "new",
        "AGENTPHONE_SANDBOX_FAULTS": "GET /v1/usage status=503; * /v1/calls delay=0.01 always",
    }
    _, url = start("--wire", "seeds", **variables)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False, timeout=60) as client:
        assert len(client.get("/__sandbox/faults").json()["data"]) == 2
        assert client.get("/v1/contacts").status_code == 404


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--fault", "GET /v1/agents explode"], "'explode' is no effect", id="fault"),
        pytest.param(["--wire", "telegraph"], "telegraph", id="wire"),
        pytest.param(["--speed", "0"], "--speed", id="speed"),
        pytest.param(["--speed", "nan"], "'nan' is no number", id="speed-that-is-none"),
        pytest.param(["--state", "/nowhere/at/all.json"], "/nowhere/at/all.json cannot be written", id="state"),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence(
    typed: Callable[..., Result], arguments: list[str], message: str
) -> None:
    ended = typed("--port", "0", *arguments)
    assert ended.exit_code in (1, 2)
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_a_broken_state_file_is_told_and_kept(typed: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text("not a state")
    ended = typed("--port", "0", "--state", str(file))
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (1, 1)
    assert "it was left as it is" in ended.stderr
    assert file.read_text() == "not a state"


@pytest.fixture
def served() -> Iterator[Sandbox]:
    """Give a sandbox behind a real HTTP server."""
    with running() as sandbox:
        yield sandbox


@pytest.fixture
def heard(served: Sandbox) -> list[Any]:
    """Collect the bodies that the sandbox gets; it accepts all but empty texts."""
    asked: list[Any] = []

    async def agree(request: Request) -> Response:
        asked.append(wanted := await request.json())
        if wanted.get("body") == "":
            return JSONResponse({"detail": [{"loc": ["body", "body"], "msg": "Too short", "type": "x"}]}, 422)
        return JSONResponse({"id": "made_1", "status": "ringing"}, 201)

    for path in ("/__sandbox/calls", "/__sandbox/messages"):
        served.app.router.routes.insert(0, Route(path, agree, methods=["POST"]))
    return asked


def test_somebody_can_be_made_to_call(typed: Callable[..., Result], served: Sandbox, heard: list[Any]) -> None:
    environment = {"AGENTPHONE_BASE_URL": served.url, "AGENTPHONE_API_KEY": served.key}
    lines = ("--says", "Hello?", "--says", "Goodbye!")
    ended = typed("call", "--from", ADA, "--to", DESK, *lines, **environment)
    assert (ended.exit_code, json.loads(ended.stdout)) == (0, {"id": "made_1", "status": "ringing"})
    typed("call", "--from", ADA, "--to", DESK, "--url", served.url, AGENTPHONE_API_KEY=served.key)
    assert heard == [{"from": ADA, "to": DESK, "says": ["Hello?", "Goodbye!"]}, {"from": ADA, "to": DESK}]


def test_somebody_can_be_made_to_text(typed: Callable[..., Result], served: Sandbox, heard: list[Any]) -> None:
    there, key = ("--url", served.url), {"AGENTPHONE_API_KEY": served.key}
    assert typed("text", "--from", ADA, "--to", DESK, "--body", "Hi 👋", *there, **key).exit_code == 0
    refused = typed("text", "--from", ADA, "--to", DESK, "--body", "", *there, **key)
    assert (refused.exit_code, refused.stderr) == (1, "Error: The sandbox answered 422: body: Too short\n")
    stranger = typed("text", "--from", ADA, "--to", DESK, "--body", "Hi", *there, AGENTPHONE_API_KEY="sk_sandbox_no")
    assert "401: Invalid or missing API key." in stranger.stderr
    assert [text["body"] for text in heard] == ["Hi 👋", ""]


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        pytest.param("https://api.agentphone.to", "sk_live_x", "is not on this machine", id="the-vendor"),
        pytest.param("http://127.0.0.1:9", "sk_live_x", "That is a live key", id="live-key"),
        pytest.param("http://127.0.0.1:9", KEY, "No sandbox answered", id="nobody-there"),
        pytest.param("http://[", KEY, "is not on this machine", id="no-url"),
    ],
)
def test_only_a_sandbox_is_asked(typed: Callable[..., Result], url: str, key: str, message: str) -> None:
    environment = {"AGENTPHONE_BASE_URL": url, "AGENTPHONE_API_KEY": key}
    ended = typed("call", "--from", ADA, "--to", DESK, **environment)
    assert ended.exit_code in (1, 2)
    assert message in ended.stderr
    assert "sk_live_x" not in ended.stderr


@pytest.mark.parametrize("command", [["call"], ["text", "--body", "Hi"]], ids=["call", "text"])
@pytest.mark.parametrize("environment", [{}, {"AGENTPHONE_API_KEY": ""}], ids=["unset", "empty"])
def test_without_the_key_it_is_said_where_it_is(
    typed: Callable[..., Result], command: list[str], environment: dict[str, str]
) -> None:
    ended = typed(*command, "--from", ADA, "--to", DESK, **environment)
    assert (ended.exit_code, len(ended.stderr.splitlines())) == (2, 1)
    assert "set AGENTPHONE_API_KEY to the one it printed" in ended.stderr
    assert "--key" not in typed(command[0], "--help").stdout


def test_whoever_only_serves_does_not_load_it() -> None:
    source = "import sys, agentphone_mcp.commands.main; print([name for name in sys.modules if 'sandbox' in name])"
    ended = subprocess.run(
        [sys.executable, "-c", source], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    assert ended.stdout.strip() == b"[]"


def test_webhooks_may_be_let_out() -> None:
    assert not Sandbox().allow_remote_webhooks
    assert Sandbox(allow_remote_webhooks=True).allow_remote_webhooks
