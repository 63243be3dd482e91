"""Check the command as a person or a host starts it."""

import errno
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentphone_mcp import __version__
from agentphone_mcp.commands.main import main
from tests.support import COMMAND, LIVE_KEY, PATIENCE, ROOT, clean_environment

FULL = "/dev/full"
VARIABLES = (
    "AGENTPHONE_API_KEY",
    "AGENTPHONE_API_KEY_FILE",
    "AGENTPHONE_TRANSPORT",
    "AGENTPHONE_HOST",
    "AGENTPHONE_PORT",
    "AGENTPHONE_HTTP_AUTH",
    "AGENTPHONE_HTTP_TOKENS_FILE",
    "AGENTPHONE_HTTP_JWT_ISSUER",
    "AGENTPHONE_HTTP_JWKS_URL",
    "AGENTPHONE_HTTP_RESOURCE_URL",
    "AGENTPHONE_HTTP_ALLOWED_HOSTS",
    "AGENTPHONE_HTTP_ALLOWED_ORIGINS",
    "AGENTPHONE_HTTP_MAX_SESSIONS",
    "AGENTPHONE_HTTP_MAX_CALLS",
    "AGENTPHONE_HTTP_IDLE_TIMEOUT",
    "AGENTPHONE_BASE_URL",
    "AGENTPHONE_KEYCHAIN",
    "AGENTPHONE_SUB_ACCOUNT",
    "AGENTPHONE_TOOLSETS",
    "AGENTPHONE_READ_ONLY",
    "AGENTPHONE_TIMEOUT",
    "AGENTPHONE_LOG_LEVEL",
    "AGENTPHONE_LOG_FORMAT",
    "AGENTPHONE_SEND_TRACEPARENT",
    "AGENTPHONE_SANDBOX",
    "AGENTPHONE_SANDBOX_SPEED",
)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in a process, with nothing on stdin and only the given settings in the environment."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=clean_environment(**environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )


def invoke(*arguments: str, **environment: str) -> Result:
    """Run the command in this process, with only the given settings in the environment."""
    unset = {name: None for name in os.environ if name.startswith("AGENTPHONE_")}
    return CliRunner().invoke(main, arguments, env=unset | environment)


HTTP = ["--transport=streamable-http", "--port=0"]
INTERRUPTED = """
import sys
from importlib.metadata import EntryPoint

class CtrlC:
    def find_spec(self, name, *_):
        if name == "agentphone_mcp.config.config":
            raise KeyboardInterrupt

sys.meta_path.insert(0, CtrlC())
EntryPoint("agentphone-mcp", sys.argv[1], "console_scripts").load()()
"""
"""Ctrl+C while the command is being imported."""
WRONG: dict[str, tuple[list[str], dict[str, str], str]] = {
    "everybody-may-connect": ([*HTTP, "--host=0.0.0.0"], {}, "AGENTPHONE_HTTP_AUTH: everybody"),
    "no-names-for-others": (
        [*HTTP, "--host=0.0.0.0"],
        {"AGENTPHONE_HTTP_AUTH": "relay"},
        "AGENTPHONE_HTTP_ALLOWED_HOSTS",
    ),
    "no-tokens": (HTTP, {"AGENTPHONE_HTTP_AUTH": "token"}, "AGENTPHONE_HTTP_TOKENS_FILE is not set"),
    "missing-tokens": (
        HTTP,
        {"AGENTPHONE_HTTP_AUTH": "token", "AGENTPHONE_HTTP_TOKENS_FILE": "/nowhere", "AGENTPHONE_API_KEY": LIVE_KEY},
        "/nowhere",
    ),
    "relay-with-a-key": (
        [*HTTP, "--http-auth=relay"],
        {"AGENTPHONE_API_KEY": LIVE_KEY},
        "leave AGENTPHONE_API_KEY out",
    ),
    "relay-on-the-sandbox": ([*HTTP, "--http-auth=relay", "--sandbox"], {}, "nothing to relay"),
    "unsafe-issuer": (
        [*HTTP, "--http-auth=jwt", "--http-resource-url=https://phone.example/mcp"],
        {"AGENTPHONE_HTTP_JWT_ISSUER": "http://issuer.example", "AGENTPHONE_API_KEY": LIVE_KEY},
        "AGENTPHONE_HTTP_AUTH=jwt: AGENTPHONE_HTTP_JWT_ISSUER must be https",
    ),
    "tokens-of-nobody": (
        [*HTTP, "--http-auth=token", "--http-tokens-file=~nobody-is-called-so/tokens.toml"],
        {"AGENTPHONE_API_KEY": LIVE_KEY},
        "AGENTPHONE_HTTP_TOKENS_FILE: '~nobody-is-called-so/tokens.toml' cannot be used",
    ),
    "credentials-over-stdio": (["--http-auth=token"], {}, "--http-auth needs --transport"),
    "short-state-key": ([], {"AGENTPHONE_HTTP_STATE_KEY": "short"}, "AGENTPHONE_HTTP_STATE_KEY"),
    "unknown-toolset": (["--toolsets", "calls,fax"], {}, "fax"),
    "unknown-toolset-in-environment": ([], {"AGENTPHONE_TOOLSETS": "fax"}, "AGENTPHONE_TOOLSETS"),
    "foreign-base-url": (["--base-url", "https://api.evil.example"], {}, "api.agentphone.to"),
    "plain-http": ([], {"AGENTPHONE_BASE_URL": "http://api.agentphone.to"}, "AGENTPHONE_BASE_URL"),
    "credentials-in-url": (["--base-url", "https://a:b@api.agentphone.to"], {}, "base URL"),
    "no-url": (["--base-url", "::"], {}, "base URL"),
    "live-key-on-loopback": (["--base-url", "http://127.0.0.1:9"], {"AGENTPHONE_API_KEY": LIVE_KEY}, "sk_live_"),
    "key-twice": ([], {"AGENTPHONE_API_KEY": LIVE_KEY, "AGENTPHONE_API_KEY_FILE": "/tmp/key"}, "both set"),
    "missing-key-file": ([], {"AGENTPHONE_API_KEY_FILE": "/nowhere/key"}, "/nowhere/key"),
    "directory-for-a-key": ([], {"AGENTPHONE_API_KEY_FILE": "/tmp"}, "cannot be read"),
    "key-with-spaces": ([], {"AGENTPHONE_API_KEY": "sk_live_ not a key"}, "AGENTPHONE_API_KEY"),
    "bad-timeout": ([], {"AGENTPHONE_TIMEOUT": "soon"}, "AGENTPHONE_TIMEOUT"),
    "endless-timeout": (["--timeout", "301"], {}, "--timeout"),
    "unknown-transport": (["--transport", "pigeon"], {}, "pigeon"),
    "unknown-transport-in-environment": ([], {"AGENTPHONE_TRANSPORT": "pigeon"}, "AGENTPHONE_TRANSPORT"),
    "bad-port": (["--port", "65536"], {}, "--port"),
    "bad-switch": ([], {"AGENTPHONE_READ_ONLY": "perhaps"}, "AGENTPHONE_READ_ONLY"),
    "bad-log-level": (["--log-level", "loud"], {}, "--log-level"),
    "bad-log-format": ([], {"AGENTPHONE_LOG_FORMAT": "xml"}, "AGENTPHONE_LOG_FORMAT"),
    "no-number": ([], {"AGENTPHONE_TIMEOUT": "nan"}, "'nan' is no number"),
    "no-seconds": (["--transport", "sse", "--http-idle-timeout", "nan"], {}, "--http-idle-timeout"),
    "sandbox-elsewhere": (["--sandbox", "--base-url", "https://api.agentphone.ai"], {}, "leave --base-url out"),
    "option-of-another-command": (["--port", "9", "sandbox"], {}, "sandbox does not take it"),
    "placeholder-key": ([], {"AGENTPHONE_API_KEY": "sk_live_..."}, "placeholder"),
    "spaced-sub-account": ([], {"AGENTPHONE_SUB_ACCOUNT": "a b"}, "no spaces"),
    "bad-sub-account": ([], {"AGENTPHONE_SUB_ACCOUNT": "a\nb"}, "AGENTPHONE_SUB_ACCOUNT"),
    "standing-still": (["--sandbox", "--sandbox-speed", "0"], {}, "--sandbox-speed"),
    "unknown-option": (["--colour"], {}, "--colour"),
    "unknown-command": (["dial"], {}, "dial"),
    "key-as-an-option": (["--api-key", LIVE_KEY], {}, "--api-key"),
    "key-as-an-argument": ([LIVE_KEY], {}, "No such command"),
}


IN_A_PROCESS = ("missing-tokens", "unsafe-issuer", "tokens-of-nobody", "key-as-an-argument")
"""Wrong settings that are met after logging is set up, which is the process's own; and one for the whole way."""


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_told_in_one_line(case: str) -> None:
    arguments, environment, sentence = WRONG[case]
    if case in IN_A_PROCESS:
        ended = run(*arguments, **environment)
        status = ended.returncode
    else:
        ended = invoke(*arguments, **environment)
        status = ended.exit_code
    assert (status, ended.stdout) == (2, ""), ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert sentence in ended.stderr
    assert LIVE_KEY not in ended.stderr


def test_the_help_shows_every_variable() -> None:
    ended = invoke("--help")
    assert (ended.exit_code, ended.stderr) == (0, "")
    toolsets = "account, agents, numbers, calls, messages, webhooks, contacts"
    for word in (*VARIABLES, "demo", "login", "logout", "sandbox", toolsets):
        assert word in " ".join(ended.stdout.split())
    assert "--api-key" not in ended.stdout


@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["doctor"], ["install"], ["ledger"], ["login"], ["sandbox"], ["sandbox", "call"], ["token", "add"]],
    ids=" ".join,
)
def test_a_short_h_is_help(command: list[str]) -> None:
    ended = invoke(*command, "-h")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: ")


def test_the_version_is_the_packages() -> None:
    ended = invoke("--version")
    assert (ended.exit_code, ended.stdout) == (0, f"agentphone-mcp, version {__version__}\n")


def test_without_a_host_it_ends_in_silence() -> None:
    ended = run()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_ctrl_c_at_the_very_start_ends_it_in_silence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, project["scripts"]["agentphone-mcp"]],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_a_flag_wins_over_the_environment() -> None:
    assert run("--transport", "stdio", AGENTPHONE_TRANSPORT="stdio", AGENTPHONE_TOOLSETS="").returncode == 0
    assert run("--toolsets", "calls", AGENTPHONE_TOOLSETS="fax").returncode == 0


def test_a_key_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{LIVE_KEY}\n")
    assert run(AGENTPHONE_API_KEY_FILE=str(file)).returncode == 0
    file.write_text("\n")
    ended = run(AGENTPHONE_API_KEY_FILE=str(file))
    assert (ended.returncode, "is empty" in ended.stderr) == (2, True)


def test_the_sandbox_needs_no_key_and_ignores_one() -> None:
    ended = run("--sandbox", AGENTPHONE_API_KEY=LIVE_KEY)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert LIVE_KEY not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [["sandbox", "--port"], ["--sandbox", "--transport", "sse", "--port"]],
    ids=["sandbox-alone", "serving"],
)
def test_a_taken_port_is_told_in_a_line(arguments: list[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run(*arguments, str(port))
    assert ended.returncode not in (0, -9)
    assert ended.stdout == ""
    assert str(port) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_the_sandbox_alone_says_where_it_is_and_stops_when_told() -> None:
    process = subprocess.Popen(
        [*COMMAND, "sandbox", "--port", "0", "--key", "sk_sandbox_mine"],
        env=clean_environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(6)]
        process.terminate()
        rest, wrong = process.communicate(timeout=2 * PATIENCE)
    finally:
        process.kill()
    assert any(line.startswith("AGENTPHONE_BASE_URL=http://127.0.0.1:") for line in said)
    assert "AGENTPHONE_API_KEY=sk_sandbox_mine" in said
    assert (process.returncode, wrong) == (0, ""), rest


@pytest.mark.parametrize("command", ["demo", "doctor", "install", "ledger", "login", "logout", "sandbox", "token"])
def test_a_wrong_setting_of_serving_stops_no_other_command(command: str) -> None:
    ended = invoke(command, "-h", AGENTPHONE_PORT="abc", AGENTPHONE_LOG_LEVEL="loud")
    assert (ended.exit_code, ended.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists(FULL), reason="no disk here is always full")
@pytest.mark.parametrize("command", [["--version"], ["-h"], ["ledger"], ["demo"], ["--sandbox"]], ids=" ".join)
def test_what_cannot_be_written_is_said_in_one_sentence(command: list[str]) -> None:
    with open(FULL, "w", encoding="utf-8") as full:
        ended = subprocess.run(
            [*COMMAND, *command],
            env=clean_environment(),
            input='{"jsonrpc": "2.0", "id": 1, "method": "server/unknown"}\n',
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ")
    assert ended.stderr.endswith(f"{os.strerror(errno.ENOSPC)}\n")
    assert ended.stderr.count("\n") == 1
