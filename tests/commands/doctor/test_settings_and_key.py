"""`doctor` reports which setting, variable or key is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.commands.doctor.key import check_key
from agentphone_mcp.commands.install.programs import HOMEBREW
from agentphone_mcp.config.keychain import NoKeychain
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE
from tests.commands.doctor.conftest import KEY as TEST_KEY

VENDOR = Allowlist.for_base("https://api.agentphone.to", None)
KEY = "sk_live_not_a_real_key_0042"


def test_no_key(doctor: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTPHONE_API_KEY")
    report = doctor("--no-hosts")
    found = report.fails_in("key")
    assert "there is none" in found["said"]
    assert "agentphone-mcp login" in found["remedy"]
    assert report.of("network")["status"] == "ok"
    assert report.of("account")["status"] == "skipped"
    assert api.asked == []


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param(f'"{KEY}"', "in quotes", id="quoted"),
        pytest.param(f"“{KEY}”", "in quotes", id="typographic"),
        pytest.param(f"Bearer {KEY}", "the word Bearer", id="bearer"),
        pytest.param("sk_live_not_a\nreal_key_0042", "a line break within", id="wrapped"),
        pytest.param("${input:agentphone_api_key}", "placeholder", id="placeholder"),
        pytest.param("sk_1", "8 to 512", id="short"),
    ],
)
def test_a_key_that_is_none(doctor: Any, api: Any, text: str, cause: str) -> None:
    report = doctor("--no-hosts", AGENTPHONE_API_KEY=text)
    found = report.fails_in("key")
    assert cause in found["said"]
    assert KEY_VARIABLE in found["remedy"]
    assert "not_a" not in report.text


def test_a_quoted_key_in_a_file(doctor: Any, api: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTPHONE_API_KEY")
    (home / "key").write_text(f"'{KEY}'\n")
    found = doctor("--no-hosts", AGENTPHONE_API_KEY_FILE=str(home / "key")).fails_in("key")
    assert "in quotes" in found["said"]
    assert "that file" in found["remedy"]


@pytest.mark.parametrize(
    ("content", "cause"), [pytest.param(None, "cannot be read", id="missing"), pytest.param("", "is empty", id="empty")]
)
def test_a_key_file_without_a_key(
    doctor: Any, api: Any, home: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, cause: str
) -> None:
    monkeypatch.delenv("AGENTPHONE_API_KEY")
    file = home / "key"
    if content is not None:
        file.write_text(content)
    found = doctor("--no-hosts", AGENTPHONE_API_KEY_FILE=str(file)).fails_in("key")
    assert cause in found["said"]
    assert "Write the key into that file" in found["remedy"]


def test_two_keys(doctor: Any, api: Any, home: Path) -> None:
    found = doctor("--no-hosts", AGENTPHONE_API_KEY_FILE=str(home / "key")).fails_in("key")
    assert "both set" in found["said"]
    assert "Unset" in found["remedy"]


def test_a_live_key_for_a_sandbox(doctor: Any, api: Any) -> None:
    report = doctor("--no-hosts", AGENTPHONE_API_KEY=KEY)
    found = report.fails_in("key")
    assert "ends in 0042" in found["said"]
    assert "Unset AGENTPHONE_BASE_URL" in found["remedy"]
    assert KEY not in report.text
    assert api.asked == []


def test_a_sandbox_key_for_the_vendor() -> None:
    _, found = check_key({KEY_VARIABLE: "sk_sandbox_0123456789abcdef"}, VENDOR)
    assert found.status == "warning"
    assert found.remedy
    assert "sk_live_" in found.remedy


def test_a_key_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    for variable, value in ((KEY_VARIABLE, KEY), (KEY_FILE_VARIABLE, str(tmp_path / "key"))):
        _, found = check_key({variable: value}, VENDOR)
        assert (found.status, found.said) == ("ok", f"from {variable}, ends in 0042")


def test_a_wrong_host(doctor: Any, api: Any) -> None:
    report = doctor("--no-hosts", AGENTPHONE_BASE_URL="https://api.example.com")
    found = report.fails_in("base URL")
    assert "api.agentphone.to" in found["said"]
    assert "Unset AGENTPHONE_BASE_URL" in found["remedy"]
    assert report.of("network")["said"] == "the base URL is refused"


def test_every_wrong_setting_is_named(doctor: Any, api: Any) -> None:
    wrong = {
        "AGENTPHONE_TIMEOUT": "soon",
        "AGENTPHONE_QUIET_HOURS": "night",
        "AGENTPHONE_LIMITS": "calls",
        "AGENTPHONE_TOOLSETS": "fax",
        "AGENTPHONE_SANDBOX": "perhaps",
    }
    report = doctor("--no-hosts", **wrong)
    assert report.exit_code == 1
    message = [finding for finding in report.findings if finding["status"] == "failure"]
    assert {finding["said"].partition(":")[0] for finding in message} == wrong.keys()
    assert all(finding["remedy"] for finding in message)


@pytest.mark.parametrize("blank", ["", " ", "${user_config.timeout}"], ids=["empty", "blank", "unfilled-field"])
def test_a_variable_without_a_value(doctor: Any, api: Any, blank: str) -> None:
    report = doctor("--no-hosts", AGENTPHONE_TIMEOUT=blank, AGENTPHONE_READ_ONLY=blank, AGENTPHONE_SUB_ACCOUNT=blank)
    assert report.of("settings")["status"] == "ok", report.text


HTTP = {"AGENTPHONE_TRANSPORT": "streamable-http"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"AGENTPHONE_HTTP_AUTH": "token"}, "AGENTPHONE_HTTP_TOKENS_FILE is not set", id="no-tokens"),
        pytest.param({"AGENTPHONE_HOST": "0.0.0.0"}, "AGENTPHONE_HTTP_AUTH: everybody", id="everybody"),
        pytest.param({"AGENTPHONE_HTTP_AUTH": "relay"}, "leave AGENTPHONE_API_KEY out", id="relay-with-a-key"),
    ],
)
def test_a_server_that_would_not_serve_over_http(doctor: Any, api: Any, wrong: dict[str, str], message: str) -> None:
    report = doctor("--no-hosts", **HTTP, **wrong)
    found = report.fails_in("settings")
    assert message in found["said"]
    assert doctor("--no-hosts", **wrong).of("settings")["status"] == "ok"


def test_a_sandbox_has_nothing_to_relay(doctor: Any, home: Path) -> None:
    found = doctor("--no-hosts", "--sandbox", **HTTP, AGENTPHONE_HTTP_AUTH="relay").fails_in("settings")
    assert "nothing to relay" in found["said"]


def test_a_relaying_server_needs_no_key(doctor: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTPHONE_API_KEY")
    report = doctor("--no-hosts", **HTTP, AGENTPHONE_HTTP_AUTH="relay")
    assert report.checks("failure") == []
    assert report.of("key")["status"] == "skipped"


def test_a_misspelt_variable(doctor: Any, api: Any) -> None:
    found = doctor("--no-hosts", AGENTPHONE_QUIET_HOUR="21:00-08:00").warns_in("settings")
    assert "AGENTPHONE_QUIET_HOUR is no setting" in found["said"]
    assert found["remedy"] == "Did you mean AGENTPHONE_QUIET_HOURS?"


def test_the_token_of_a_server_elsewhere_is_no_slip(doctor: Any, api: Any) -> None:
    assert doctor("--no-hosts", AGENTPHONE_MCP_TOKEN="apmcp_example").of("settings")["status"] == "ok"


@pytest.mark.skipif(any((folder / "uvx").exists() for folder in HOMEBREW), reason="this machine has one for everybody")
def test_uvx_is_missing(doctor: Any, api: Any, uvx: Path) -> None:
    uvx.unlink()
    found = doctor("--no-hosts").of("uvx")
    assert (found["status"], "not found" in found["said"]) == ("warning", True)
    assert "Get uv" in found["remedy"]


def test_uvx_is_off_the_path(doctor: Any, api: Any, home: Path, uvx: Path) -> None:
    (home / ".local").mkdir()
    uvx.parent.rename(home / ".local/bin")
    found = doctor("--no-hosts").warns_in("uvx")
    assert str(home / ".local") in found["said"]
    assert "not on the PATH" in found["said"]


def test_uvx_is_broken(doctor: Any, api: Any, uvx: Path) -> None:
    uvx.write_text("@exit 3\n" if uvx.suffix else "#!/bin/sh\nexit 3\n")
    found = doctor("--no-hosts").warns_in("uvx")
    assert "ended with 3" in found["said"]


def kept(_: str) -> ApiKey:
    """Stand for a keychain that holds the key."""
    return ApiKey(KEY)


def locked(_: str) -> ApiKey:
    """Stand for a locked keychain."""
    raise NoKeychain("it is locked")


def test_a_key_of_the_keychain() -> None:
    for environ, source in (({}, "the system's keychain"), ({KEY_VARIABLE: KEY}, KEY_VARIABLE)):
        found, message = check_key(environ, VENDOR, keychain=kept)
        assert found
        assert (found.source, message.said) == (source, f"from {source}, ends in 0042")


def test_a_locked_keychain() -> None:
    found, message = check_key({}, VENDOR, keychain=locked)
    assert (found, message.status) == (None, "failure")
    assert message.said.endswith("the system's keychain cannot be asked: it is locked")


def test_a_key_of_a_host(doctor: Any, api: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENTPHONE_API_KEY")
    (home / ".cursor").mkdir()
    entry = {"command": "uvx", "disabled": True, "env": {"AGENTPHONE_API_KEY": TEST_KEY}}
    (home / ".cursor/mcp.json").write_text(json.dumps({"mcpServers": {"agentphone": entry}}))
    report = doctor()
    assert report.of("key")["said"] == "from the entry of Cursor, ends in 0042"
    assert report.of("account")["status"] == "ok"


def test_a_key_that_a_host_asks_for() -> None:
    found, message = check_key({}, VENDOR, hosts={"VS Code": None})
    assert (found, message.status) == (None, "warning")
    assert "VS Code keeps one by itself" in message.said
