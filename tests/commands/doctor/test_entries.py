"""An entry is read as its host does: the variables it passes on, fills in and leaves out."""

from typing import Any

import pytest

from agentphone_mcp.commands.doctor.host_entries import Address, InvalidEntry, Launch, read_entry
from agentphone_mcp.commands.doctor.launch import command_line

SHELL = {
    "PATH": "/shell/bin",
    "HOME": "/home/me",
    "AGENTPHONE_API_KEY": "sk_live_mine",
    "AGENTPHONE_MCP_TOKEN": "apm_blue",
    "AGENTPHONE_LIMITS": "calls=1/day",
    "AWS_SECRET_ACCESS_KEY": "of-another-service",
    "COLOUR": "blue",
}
KEY = "AGENTPHONE_API_KEY"
TOKEN = "AGENTPHONE_MCP_TOKEN"


def launch(host: str, platform: str = "linux", **entry: Any) -> Launch:
    """Read an entry with a command as the host would start it."""
    read = read_entry(host, {"command": "uvx", "args": ["agentphone-mcp"]} | entry, SHELL, platform)
    assert isinstance(read, Launch)
    return read


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        pytest.param("claude-code", {"env": {KEY: "${AGENTPHONE_API_KEY}"}}, id="claude-code"),
        pytest.param("claude-code", {"env": {KEY: "${NOBODY:-sk_live_mine}"}}, id="claude-code-default"),
        pytest.param("cursor", {"env": {KEY: "${env:AGENTPHONE_API_KEY}"}}, id="cursor"),
        pytest.param("windsurf", {"env": {KEY: "${env:AGENTPHONE_API_KEY}"}}, id="windsurf"),
        pytest.param("vscode", {"env": {KEY: "${env:AGENTPHONE_API_KEY}"}}, id="vscode"),
        pytest.param("zed", {}, id="zed-passes-everything-on"),
        pytest.param("codex", {"env_vars": [KEY]}, id="codex"),
        pytest.param("gemini", {"env": {KEY: "$AGENTPHONE_API_KEY"}}, id="gemini"),
        pytest.param("gemini", {"env": {KEY: "${AGENTPHONE_API_KEY}"}}, id="gemini-in-braces"),
        pytest.param("goose", {"env_keys": [KEY]}, id="goose"),
        pytest.param("goose", {"envs": {KEY: "sk_live_mine"}}, id="goose-in-plain-text"),
        pytest.param("claude-desktop", {"env": {KEY: "sk_live_mine"}}, id="claude-desktop"),
    ],
)
def test_the_key_gets_there(host: str, entry: dict[str, Any]) -> None:
    read = launch(host, **entry)
    assert (read.environ.get(KEY), read.unset) == ("sk_live_mine", ())


@pytest.mark.parametrize("host", ["claude-desktop", "codex", "gemini"])
def test_the_key_does_not_get_there_by_itself(host: str) -> None:
    assert KEY not in launch(host).environ


def test_gemini_passes_on_what_is_no_secret() -> None:
    assert launch("gemini").environ["AGENTPHONE_LIMITS"] == "calls=1/day"


def test_codex_passes_on_only_what_every_program_needs() -> None:
    assert launch("codex").environ == {"PATH": "/shell/bin", "HOME": "/home/me"}


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        pytest.param("claude-code", {"env": {"A": "${NOBODY}"}}, id="claude-code"),
        pytest.param("cursor", {"args": ["--sub-account", "${env:NOBODY}"]}, id="in-the-arguments"),
        pytest.param("codex", {"env_vars": ["NOBODY"]}, id="by-name"),
        pytest.param("gemini", {"env": {"A": "$NOBODY"}}, id="gemini"),
    ],
)
def test_what_is_not_set_is_named(host: str, entry: dict[str, Any]) -> None:
    read = launch(host, **entry)
    assert read.unset == ("NOBODY",)
    assert "A" not in read.environ


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        pytest.param("vscode", {"env": {"A": "${input:agentphone_api_key}"}}, id="vscode"),
        pytest.param("goose", {"env_keys": ["NOBODY"]}, id="goose"),
    ],
)
def test_what_the_host_keeps_is_not_missing(host: str, entry: dict[str, Any]) -> None:
    read = launch(host, **entry)
    assert (read.asks, read.unset) == (True, ())
    assert "A" not in read.environ


def test_text_of_another_host_is_left_as_it_is() -> None:
    assert launch("zed", env={"A": "${env:COLOUR}"}).environ["A"] == "${env:COLOUR}"


@pytest.mark.parametrize(
    ("platform", "path"), [("darwin", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"), ("win32", "/shell/bin")]
)
def test_claude_desktop_looks_where_a_desktop_program_looks(platform: str, path: str) -> None:
    assert launch("claude-desktop", platform).search_path == path


@pytest.mark.parametrize(
    ("host", "entry"),
    [
        pytest.param("codex", {"url": "u", "bearer_token_env_var": TOKEN}, id="codex"),
        pytest.param(
            "cursor", {"url": "u", "headers": {"Authorization": "Bearer ${env:AGENTPHONE_MCP_TOKEN}"}}, id="cursor"
        ),
        pytest.param("windsurf", {"serverUrl": "u", "headers": {"Authorization": "Bearer apm_blue"}}, id="windsurf"),
        pytest.param(
            "gemini", {"httpUrl": "u", "headers": {"Authorization": "Bearer $AGENTPHONE_MCP_TOKEN"}}, id="gemini"
        ),
        pytest.param("goose", {"uri": "u", "headers": {"Authorization": "Bearer ${AGENTPHONE_MCP_TOKEN}"}}, id="goose"),
    ],
)
def test_a_server_elsewhere_gets_its_token(host: str, entry: dict[str, Any]) -> None:
    assert read_entry(host, entry, SHELL, "linux") == Address("u", {"Authorization": "Bearer apm_blue"}, ())


@pytest.mark.parametrize("entry", [{}, {"command": ""}, {"command": {"path": "uvx"}}, {"url": 7}])
def test_an_entry_without_a_command(entry: dict[str, Any]) -> None:
    with pytest.raises(InvalidEntry):
        read_entry("cursor", entry, SHELL, "linux")


@pytest.mark.parametrize("host", ["cursor", "codex", "claude-desktop"])
def test_a_path_of_the_entrys_own_is_passed_on(host: str) -> None:
    assert launch(host, env={"PATH": "/own/bin"}).environ["PATH"] == "/own/bin"


def test_claude_desktop_passes_its_own_path_on() -> None:
    assert launch("claude-desktop").environ["PATH"] == "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def test_a_token_that_the_host_asks_for_is_not_sent_as_nothing() -> None:
    entry = {"url": "u", "headers": {"Authorization": "Bearer ${input:agentphone_mcp_token}", "X-A": "b"}}
    assert read_entry("vscode", entry, SHELL, "linux") == Address("u", {"X-A": "b"}, (), asks=True)


def test_a_header_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(InvalidEntry, match="header Authorization has a character"):
        read_entry("cursor", {"url": "u", "headers": {"Authorization": "Bearer ab–cd"}}, SHELL, "linux")


@pytest.mark.parametrize(
    ("platform", "command"),
    [
        pytest.param("linux", "'/my programs/uvx' ", id="posix"),
        pytest.param("win32", '"/my programs/uvx" ', id="windows"),
    ],
)
def test_a_command_is_shown_as_it_is_typed_and_without_its_secrets(platform: str, command: str) -> None:
    options = ["--api-key", "a1", "--token=a2", "--keychain", "off"]
    arguments = [*options, "Bearer a3456789", "db://me:a4@h/d", "a5a5 a5a5b"]
    env = {"A_TOKEN": "a5a5", "B_TOKEN": "a5a5b", "AUTH": "1"}
    result = command_line(launch("cursor", command="/my programs/uvx", args=arguments, env=env), platform)
    assert result.startswith(command)
    assert "--keychain off" in result
    assert result.count("[removed]") == 5
    assert "db://h/d" in result
    assert not any(secret in result for secret in ("a1", "a2", "a3", "a4", "a5"))
