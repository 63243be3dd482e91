"""`doctor` starts the server of each host, and reports what is wrong with its file, entry or command."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentphone_mcp.commands.doctor.hosts import HostSearch, check_hosts
from agentphone_mcp.commands.install.locations import Machine
from tests.commands.doctor.conftest import KEY, SERVER

Write = Callable[..., Path]
POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no such pipes")
FOREVER = "import time; time.sleep(600)"
SECRET = "sk_live_not_a_real_key_0042"


@pytest.fixture
def cursor(home: Path) -> Write:
    """Write the file of Cursor, with or without an entry of ours."""

    def cursor(entry: dict[str, Any] | None = None) -> Path:
        file = home / ".cursor/mcp.json"
        file.parent.mkdir(exist_ok=True)
        others = {"other": {"command": "other"}}
        file.write_text(json.dumps({"mcpServers": others | ({"agentphone": entry} if entry else {})}))
        return file

    return cursor


def python(code: str, **entry: Any) -> dict[str, Any]:
    """Return an entry that runs Python code."""
    return {"command": sys.executable, "args": ["-c", code]} | entry


def test_no_host_is_installed(doctor: Any, api: Any) -> None:
    assert doctor().of("hosts")["status"] == "skipped"


def test_all_is_well(doctor: Any, api: Any, cursor: Write) -> None:
    cursor(SERVER)
    report = doctor("--start-within", "200")
    assert (report.exit_code, report.checks("failure"), report.checks("warning")) == (0, [], [])
    found = report.of("Cursor")
    assert found["facts"]["tools"] > 30
    assert found["facts"]["ms"] > 0


def test_no_host_has_an_entry(doctor: Any, api: Any, cursor: Write) -> None:
    cursor()
    found = doctor().fails_in("hosts")
    assert "none of those installed has an entry of agentphone: Cursor" in found["said"]
    assert "agentphone-mcp install" in found["remedy"]


def test_one_of_two_hosts_has_an_entry(doctor: Any, api: Any, cursor: Write, home: Path) -> None:
    cursor(SERVER)
    (home / ".gemini").mkdir()
    report = doctor("--start-within", "200")
    assert (report.exit_code, report.of("Gemini CLI")["status"]) == (0, "skipped")
    assert "agentphone-mcp install gemini" in report.of("Gemini CLI")["remedy"]


def test_the_host_that_is_meant_has_no_entry(doctor: Any, api: Any, cursor: Write) -> None:
    file = cursor()
    found = doctor("--host", "cursor").fails_in("Cursor")
    assert f"has no entry of agentphone in {file}" in found["said"]
    assert "agentphone-mcp install cursor" in found["remedy"]


def test_an_entry_of_the_project(doctor: Any, api: Any, cursor: Write) -> None:
    cursor()
    file = Path.cwd() / ".cursor/mcp.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"mcpServers": {"agentphone": python("raise SystemExit('of the project')")}}))
    assert "it said: of the project" in doctor("--project").fails_in("Cursor")["said"]


@pytest.mark.parametrize(
    ("file", "title", "text", "line"),
    [
        pytest.param(".cursor/mcp.json", "Cursor", '{"mcpServers": {\n  "a": 1,\n  b: 2\n}}', 3, id="json"),
        pytest.param(".codex/config.toml", "Codex CLI", 'model = "x"\n\n[mcp_servers\n', 3, id="toml"),
        pytest.param(".gemini/settings.json", "Gemini CLI", '{\n"theme": "a" "b"}', 2, id="json-with-comments"),
    ],
)
def test_the_file_is_broken(doctor: Any, api: Any, home: Path, file: str, title: str, text: str, line: int) -> None:
    (home / file).parent.mkdir()
    (home / file).write_text(text)
    found = doctor().fails_in(title)
    assert f"{Path(file).name}: line {line}" in found["said"]
    assert "Mend that place" in found["remedy"]
    assert (home / file).read_text() == text


@POSIX
@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda file: os.mkfifo(file, 0o600), "it is a device or a pipe", id="pipe"),
        pytest.param(lambda file: file.mkdir(), "is a directory", id="folder"),
        pytest.param(lambda file: file.write_bytes(b"{\n'\xff'"), "line 2: it is not in UTF-8", id="not-utf-8"),
    ],
)
def test_the_file_is_no_text(doctor: Any, api: Any, home: Path, make: Callable[[Path], Any], why: str) -> None:
    file = home / ".cursor/mcp.json"
    file.parent.mkdir()
    make(file)
    found = doctor().fails_in("Cursor")
    assert found["said"].startswith(f"{file} cannot be read: ")
    assert why in found["said"]
    assert "text file in UTF-8" in found["remedy"]


def test_the_command_is_missing(doctor: Any, api: Any, cursor: Write) -> None:
    cursor({"command": "no-such-uvx", "args": ["agentphone-mcp"]})
    found = doctor().fails_in("Cursor")
    assert "its command no-such-uvx is not there (spawn ENOENT)" in found["said"]
    assert "agentphone-mcp install cursor" in found["remedy"]


@pytest.mark.skipif(sys.platform == "win32", reason="desktop programs of Windows have the PATH of their user")
def test_the_command_is_only_on_the_path_of_a_shell(doctor: Any, api: Any, home: Path, uvx: Path) -> None:
    base = "Library/Application Support" if sys.platform == "darwin" else ".config"
    file = home / base / "Claude/claude_desktop_config.json"
    file.parent.mkdir(parents=True)
    (uvx.parent / "of-my-shell").symlink_to(sys.executable)
    file.write_text(json.dumps({"mcpServers": {"agentphone": {"command": "of-my-shell"}}}))
    found = doctor().fails_in("Claude Desktop")
    assert f"is at {uvx.parent / 'of-my-shell'}, where Claude Desktop does not look" in found["said"]
    assert "whole path" in found["remedy"]


def test_the_command_ends_with_a_hint(doctor: Any, api: Any, cursor: Write) -> None:
    cursor(python("import sys; sys.exit('error: no such package\\nhint: another certificate')"))
    assert "it said: error: no such package" in doctor().fails_in("Cursor")["said"]


def test_the_command_crashes(doctor: Any, api: Any, cursor: Write) -> None:
    code = f"import sys; sys.exit('no good: {SECRET} ' + __import__('os').environ['MY_TOKEN'])"
    cursor(python(code, env={"MY_TOKEN": "of-nobodys-business"}))
    report = doctor()
    found = report.fails_in("Cursor")
    assert "ends before it answers; it said: no good: [key removed] [removed]" in found["said"]
    assert "in a terminal" in found["remedy"]
    assert SECRET not in report.text
    assert "of-nobodys-business" not in report.text


def test_the_command_hangs(doctor: Any, api: Any, cursor: Write, home: Path, eventually: Any) -> None:
    left = home / "left"
    child = f"import time, pathlib; p = pathlib.Path({str(left)!r})\nwhile True: p.write_text(''); time.sleep(0.05)"
    cursor(python(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); {FOREVER}"))
    found = doctor("--start-within", "5").fails_in("Cursor")
    assert "does not answer within 5 seconds" in found["said"]
    assert found["remedy"]

    async def is_quiet() -> bool:
        left.unlink(missing_ok=True)
        await anyio.sleep(0.5)
        return not left.exists()

    anyio.run(eventually, is_quiet)


def test_the_command_writes_something_else(doctor: Any, api: Any, cursor: Write) -> None:
    cursor(python("print('hello')"))
    assert "ends before it answers" in doctor().fails_in("Cursor")["said"]


def test_a_variable_is_not_set(doctor: Any, api: Any, cursor: Write) -> None:
    cursor(SERVER | {"env": SERVER["env"] | {"AGENTPHONE_API_KEY": "${env:MY_PHONE_KEY}"}})
    found = doctor("--start-within", "200").warns_in("Cursor")
    assert "refers to MY_PHONE_KEY, which is not set here" in found["said"]
    assert "Set MY_PHONE_KEY" in found["remedy"]
    assert doctor("--start-within", "200", MY_PHONE_KEY=KEY).of("Cursor")["status"] == "ok"


async def test_a_key_in_the_keychain_need_not_be_set(home: Path, cursor: Write) -> None:
    search = HostSearch(Machine("linux", home, dict(os.environ)), home, within=200)
    for name, status in (("AGENTPHONE_API_KEY", "ok"), ("MY_PHONE_KEY", "warning")):
        cursor(SERVER | {"env": SERVER["env"] | {"AGENTPHONE_API_KEY": f"${{env:{name}}}"}})
        (found,) = await check_hosts(search, is_key_in_keychain=True)
        assert found.status == status


def test_an_entry_that_is_switched_off(doctor: Any, api: Any, cursor: Write) -> None:
    cursor(SERVER | {"disabled": True})
    assert "switched off" in doctor().warns_in("Cursor")["said"]


def test_an_entry_that_starts_nothing(doctor: Any, api: Any, cursor: Write) -> None:
    cursor({"comand": "uvx"})
    assert "names no command and no URL" in doctor().fails_in("Cursor")["said"]


@pytest.mark.parametrize(
    ("status", "cause", "remedy"),
    [
        pytest.param(401, "the token is missing or wrong", "operator", id="no-token"),
        pytest.param(404, "is no MCP server", "/mcp", id="wrong-path"),
    ],
)
def test_a_server_elsewhere_says_no(doctor: Any, api: Any, cursor: Write, status: int, cause: str, remedy: str) -> None:
    api.answers["/mcp"] = (status, {"error": "no"})
    cursor({"url": f"{api.url}/mcp", "headers": {"Authorization": "Bearer of-nobodys-business"}})
    report = doctor()
    found = report.fails_in("Cursor")
    assert f"answers {status}" in found["said"]
    assert cause in found["said"]
    assert remedy in found["remedy"]
    assert "of-nobodys-business" not in report.text


def test_a_token_that_the_host_keeps_is_no_failure(doctor: Any, api: Any, home: Path) -> None:
    base = {"darwin": "Library/Application Support", "win32": "roaming"}.get(sys.platform, ".config")
    file = home / base / "Code/User/mcp.json"
    file.parent.mkdir(parents=True)
    headers = {"Authorization": "Bearer ${input:agentphone_mcp_token}"}
    file.write_text(json.dumps({"servers": {"agentphone": {"url": f"{api.url}/mcp", "headers": headers}}}))
    api.answers["/mcp"] = (401, {"error": "no"})
    report = doctor()
    assert (report.exit_code, report.of("VS Code")["status"]) == (0, "skipped")
    assert "is not looked at" in report.of("VS Code")["said"]


def test_the_password_in_an_address_is_not_shown(doctor: Any, api: Any, cursor: Write, nobody: str) -> None:
    cursor({"url": f"{nobody.replace('//', '//me:hunter2@')}/mcp?token=of-nobodys-business"})
    report = doctor("--base-url", api.url)
    assert f"{nobody}/mcp refuses the connection" in report.fails_in("Cursor")["said"]
    assert "hunter2" not in report.text
    assert "of-nobodys-business" not in report.text


def test_a_server_elsewhere_is_not_there(doctor: Any, api: Any, cursor: Write, nobody: str) -> None:
    cursor({"url": f"{nobody}/mcp"})
    report = doctor("--base-url", api.url)
    assert f"{nobody}/mcp refuses the connection" in report.fails_in("Cursor")["said"]
