"""The entry in a host's file describes the same server in each host's format."""

from pathlib import Path

import pytest

from agentphone_mcp.commands.install.entries import (
    FromFile,
    HostEntry,
    PlainText,
    Setup,
    UnsupportedSetup,
    build_document,
    build_entry,
)
from agentphone_mcp.commands.install.hosts import HOSTS

URL = "https://phone.example.com/mcp"
COMMAND = {"command": "uvx", "args": ["agentphone-mcp"]}
GOOSE = {"enabled": True, "name": "AgentPhone", "timeout": 300}
PROMPT = {"type": "promptString", "password": True}


def by_reference(key: str) -> HostEntry:
    """Return a header that refers to the variable of the bearer token."""
    return {"headers": {"Authorization": f"Bearer {key}"}}


LOCAL = {
    "claude-desktop": {"mcpServers": {"agentphone": COMMAND}},
    "claude-code": {
        "mcpServers": {
            "agentphone": {"type": "stdio"} | COMMAND | {"env": {"AGENTPHONE_API_KEY": "${AGENTPHONE_API_KEY:-}"}}
        }
    },
    "cursor": {
        "mcpServers": {"agentphone": COMMAND | {"env": {"AGENTPHONE_API_KEY": "${env:AGENTPHONE_API_KEY}"}}},
    },
    "windsurf": {
        "mcpServers": {"agentphone": COMMAND | {"env": {"AGENTPHONE_API_KEY": "${env:AGENTPHONE_API_KEY}"}}},
    },
    "vscode": {
        "inputs": [PROMPT | {"id": "agentphone_api_key", "description": "AgentPhone API key"}],
        "servers": {
            "agentphone": {"type": "stdio"} | COMMAND | {"env": {"AGENTPHONE_API_KEY": "${input:agentphone_api_key}"}}
        },
    },
    "zed": {"context_servers": {"agentphone": COMMAND}},
    "codex": {"mcp_servers": {"agentphone": COMMAND | {"env_vars": ["AGENTPHONE_API_KEY"]}}},
    "gemini": {"mcpServers": {"agentphone": COMMAND | {"env": {"AGENTPHONE_API_KEY": "$AGENTPHONE_API_KEY"}}}},
    "goose": {
        "extensions": {
            "agentphone": GOOSE
            | {"type": "stdio", "cmd": "uvx", "args": ["agentphone-mcp"], "env_keys": ["AGENTPHONE_API_KEY"]}
        }
    },
}
REMOTE = {
    "claude-code": {"type": "http", "url": URL} | by_reference("${AGENTPHONE_MCP_TOKEN}"),
    "cursor": {"url": URL} | by_reference("${env:AGENTPHONE_MCP_TOKEN}"),
    "windsurf": {"serverUrl": URL} | by_reference("${env:AGENTPHONE_MCP_TOKEN}"),
    "vscode": {"type": "http", "url": URL} | by_reference("${input:agentphone_mcp_token}"),
    "zed": {"url": URL},
    "codex": {"url": URL, "bearer_token_env_var": "AGENTPHONE_MCP_TOKEN"},
    "gemini": {"httpUrl": URL} | by_reference("$AGENTPHONE_MCP_TOKEN"),
    "goose": GOOSE
    | {"type": "streamable_http", "uri": URL, "env_keys": ["AGENTPHONE_MCP_TOKEN"]}
    | by_reference("${AGENTPHONE_MCP_TOKEN}"),
}


@pytest.mark.parametrize("key", HOSTS)
def test_each_host_has_the_command_in_its_own_words(key: str) -> None:
    assert build_document(HOSTS[key], Setup()) == LOCAL[key]


@pytest.mark.parametrize("key", HOSTS)
def test_each_host_has_a_remote_server_in_its_own_words(key: str) -> None:
    if key in REMOTE:
        assert build_entry(HOSTS[key], Setup(remote=URL)) == REMOTE[key]
        return
    with pytest.raises(UnsupportedSetup, match="under Connectors as a custom connector"):
        build_entry(HOSTS[key], Setup(remote=URL))


@pytest.mark.parametrize("file", ["/home/me/.config/devin/mcp_config.json", "project/.devin/mcp_config.json"], ids=str)
def test_devin_calls_the_url_otherwise_than_windsurf(file: str) -> None:
    written = build_entry(HOSTS["windsurf"], Setup(remote=URL), Path(file))
    assert written["url"] == URL
    assert "serverUrl" not in written


@pytest.mark.parametrize("key", HOSTS)
@pytest.mark.parametrize("setup", [Setup(key="none"), Setup(sandbox=True)], ids=["keychain", "sandbox"])
def test_nothing_is_said_of_a_key_that_is_not_needed(key: str, setup: Setup) -> None:
    written = build_document(HOSTS[key], setup)
    assert "AGENTPHONE_API_KEY" not in str(written)
    assert "inputs" not in written


@pytest.mark.parametrize("key", HOSTS)
def test_options_follow_the_package(key: str) -> None:
    written = build_entry(HOSTS[key], Setup(read_only=True, toolsets=("calls", "agents"), sandbox=True))
    assert written["args"] == ["agentphone-mcp", "--read-only", "--toolsets", "calls,agents", "--sandbox"]


@pytest.mark.parametrize("key", HOSTS)
@pytest.mark.parametrize(
    ("way", "variable", "value"),
    [
        pytest.param(FromFile("/home/me/key"), "AGENTPHONE_API_KEY_FILE", "/home/me/key", id="file"),
        pytest.param(PlainText("sk_live_example"), "AGENTPHONE_API_KEY", "sk_live_example", id="plain"),
    ],
)
def test_a_key_file_or_a_plain_key_is_a_variable_of_the_server(
    key: str, way: FromFile | PlainText, variable: str, value: str
) -> None:
    written = build_entry(HOSTS[key], Setup(key=way))
    assert written["envs" if key == "goose" else "env"] == {variable: value}


def test_a_plain_key_is_not_shown_by_accident() -> None:
    assert "sk_live" not in repr(Setup(key=PlainText("sk_live_example")))
