"""Settings that users added to our entry are kept when it is written again."""

import json

import pytest

from agentphone_mcp.commands.install.editing import find, install, uninstall
from agentphone_mcp.commands.install.entries import PlainText, Setup, build_entry
from agentphone_mcp.commands.install.hosts import HOSTS
from tests.commands.install.test_editing import EVERY, WRITTEN, put


@EVERY
def test_what_people_added_to_our_entry_stays_in_it(key: str) -> None:
    host = HOSTS[key]
    variables = "envs" if key == "goose" else "env"
    mine = {"AGENTPHONE_APPROVAL": "human"}
    old = build_entry(host, Setup(read_only=True, toolsets=("calls",), key=PlainText("sk_live_old")))
    old |= {
        variables: old[variables] | mine,
        "args": [*old["args"], "--limits", "calls=1/day"],
        "mine": {"a": {"b": 1}},
    }
    anew = build_entry(host, Setup(key="none"))
    added = {variables: mine, "args": ["agentphone-mcp", "--limits", "calls=1/day"], "mine": {"a": {"b": 1}}}
    written = put(key, install(host, WRITTEN[key], old, []), Setup(key="none"))
    assert find(host, written) == anew | added
    assert put(key, written, Setup(key="none")) == written
    assert uninstall(host, written, None) == WRITTEN[key]
    assert "--limits" in put(key, written, Setup(sandbox=True))


@pytest.mark.parametrize("command", ["/opt/bin/agentphone-mcp", "C:\\bin\\agentphone-mcp.exe"], ids=["unix", "windows"])
def test_options_that_people_added_stay_without_uvx_too(command: str) -> None:
    old = {"command": command, "args": ["--toolsets", "calls", "--limits", "calls=1/day"]}
    written = put("cursor", install(HOSTS["cursor"], "", old, []))
    assert find(HOSTS["cursor"], written)["args"] == ["agentphone-mcp", "--limits", "calls=1/day"]


@pytest.mark.parametrize(("key", "name"), [("codex", "env_vars"), ("goose", "env_keys")])
def test_variables_that_people_listed_stay_listed(key: str, name: str) -> None:
    host = HOSTS[key]
    text = install(host, "", build_entry(host, Setup()) | {name: ["AGENTPHONE_API_KEY", "AGENTPHONE_LIMITS"]}, [])
    assert find(host, put(key, text))[name] == ["AGENTPHONE_API_KEY", "AGENTPHONE_LIMITS"]
    assert find(host, put(key, text, Setup(key="none")))[name] == ["AGENTPHONE_LIMITS"]


@pytest.mark.parametrize("url", ["https://other.example.com/mcp", None], ids=["another", "local"])
def test_nothing_of_a_server_elsewhere_is_sent_to_another(url: str | None) -> None:
    cursor = HOSTS["cursor"]
    old = {"url": "https://old.example.com/mcp", "headers": {"CF-Access-Client-Secret": "old"}, "mine": 1}
    setup = Setup(remote=url, key="none")
    assert find(cursor, put("cursor", install(cursor, "", old, []), setup)) == build_entry(cursor, setup)


@pytest.mark.parametrize("old", [None, 1, {"command": "x", "args": "y", "env": [1]}], ids=["null", "number", "odd"])
def test_an_entry_that_is_none_is_replaced(old: object) -> None:
    text = json.dumps({"mcpServers": {"agentphone": old}})
    assert find(HOSTS["cursor"], put("cursor", text)) == build_entry(HOSTS["cursor"], Setup())
