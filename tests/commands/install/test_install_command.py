"""`agentphone-mcp install` adds the server to a host with one command."""

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner
from keyring.backends.null import Keyring

from agentphone_mcp.commands.install.command import install
from agentphone_mcp.commands.install.editing import find
from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.install.locations import Machine, read_machine
from agentphone_mcp.commands.main import main
from tests.commands.install.conftest import FileOf, Install, environment
from tests.support import COMMAND, LIVE_KEY, PATIENCE, ROOT

EVERY = pytest.mark.parametrize("key", HOSTS)
OTHERS = {
    "json": '{\n  // mine\n  "other": [1,  2]\n}\n',
    "toml": "# mine\nother = [1,  2]\n",
    "yaml": "# mine\nother: [1,  2]\n",
}


class WithKey(Keyring):
    """Stands for a keychain that holds a key."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return the key for every service and user."""
        return LIVE_KEY


class Terminal(io.StringIO):
    """Stands for the input of a terminal."""

    def isatty(self) -> bool:
        """Claim to be a terminal."""
        return True


@EVERY
def test_a_host_has_the_server_with_one_command(key: str, run: Install, file_of: FileOf, uvx: Path) -> None:
    result = run(key)
    assert result.exit_code == 0, result.output
    file = file_of(key)
    entry = find(HOSTS[key], file.read_text(encoding="utf-8"))
    assert entry is not None
    assert (entry.get("command") or entry["cmd"], entry["args"]) == (str(uvx), ["agentphone-mcp"])
    lines = result.stdout.splitlines()
    assert lines[0] == f"{HOSTS[key].title}: installed in {file}"
    assert lines[-1] == f"  Next: restart {HOSTS[key].title}; `agentphone-mcp doctor` says whether it works."
    assert list(file.parent.glob("*.bak")) == []


@EVERY
def test_a_home_with_other_things_has_them_afterwards(key: str, run: Install, file_of: FileOf) -> None:
    file, text = file_of(key), OTHERS[HOSTS[key].format]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="")
    result = run(key)
    assert "is kept in" in result.stdout
    written = file.read_text(encoding="utf-8")
    assert all(line in written for line in text.splitlines()[1:-1])
    [backup] = file.parent.glob("*.bak")
    assert backup.read_text(encoding="utf-8") == text
    assert "already there, unchanged" in run(key).stdout
    assert file.read_text(encoding="utf-8") == written
    assert len(list(file.parent.glob("*.bak"))) == 1
    assert "removed from" in run(key, "--uninstall").stdout
    assert file.read_bytes() == text.encode()
    assert "it was not there" in run(key, "--uninstall").stdout


@EVERY
def test_a_file_that_was_made_goes_again(key: str, run: Install, file_of: FileOf) -> None:
    run(key)
    run(key, "--uninstall")
    assert not file_of(key).exists()
    assert list(file_of(key).parent.glob("*.bak")) == []


@pytest.mark.parametrize("key", [key for key, host in HOSTS.items() if host.project_file])
def test_a_project_has_what_all_can_use(key: str, run: Install, tmp_path: Path, home: Path) -> None:
    result = run(key, "--project", str(tmp_path), AGENTPHONE_API_KEY=LIVE_KEY)
    assert result.exit_code == 0, result.output
    text = (tmp_path / HOSTS[key].project_file).read_text(encoding="utf-8")
    entry = find(HOSTS[key], text)
    assert (entry["command"], entry["args"]) == ("uvx", ["agentphone-mcp"])
    assert LIVE_KEY not in text + result.output
    assert str(home) not in text
    assert not HOSTS[key].user_file(Machine(sys.platform, home, {})).exists()


@EVERY
def test_what_is_printed_is_what_would_be_written(key: str, run: Install, file_of: FileOf) -> None:
    result = run(key, "--print", "--read-only")
    assert result.stderr.startswith(f"This belongs in {file_of(key)}.\n")
    assert not file_of(key).exists()
    run(key, "--read-only")
    assert file_of(key).read_text(encoding="utf-8") == result.stdout


@EVERY
def test_no_key_is_written_unless_asked_for(key: str, run: Install, file_of: FileOf) -> None:
    result = run(key, AGENTPHONE_API_KEY=LIVE_KEY)
    assert LIVE_KEY not in result.output + file_of(key).read_text(encoding="utf-8")
    result = run(key, "--plain-key", AGENTPHONE_API_KEY=LIVE_KEY)
    assert LIVE_KEY in file_of(key).read_text(encoding="utf-8")
    assert LIVE_KEY not in result.output
    assert "ends in 0042, stands in the file in plain text" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["--uninstall"]], ids=["again", "uninstall"])
def test_a_copy_that_has_the_key_is_named(arguments: list[str], run: Install, file_of: FileOf) -> None:
    file_of("cursor").parent.mkdir()
    file_of("cursor").write_text(json.dumps({"mcpServers": {"other": {"env": {"K": LIVE_KEY}}}}), encoding="utf-8")
    warned = "It has your key in plain text: delete it when you need it no more."
    assert warned not in run("cursor", "--plain-key", AGENTPHONE_API_KEY=LIVE_KEY).stdout
    result = run("cursor", *arguments)
    assert warned in result.stdout
    assert LIVE_KEY not in result.output


@pytest.mark.parametrize("switch", ["on", "off"])
def test_the_keychain_is_asked_unless_it_is_off(switch: str, run: Install, file_of: FileOf) -> None:
    keyring.set_keyring(WithKey())
    result = run("cursor", "--keychain", switch)
    asked = switch == "on"
    assert ("from the system's keychain" in result.stdout) == asked
    assert ("AGENTPHONE_API_KEY" in file_of("cursor").read_text(encoding="utf-8")) != asked


def test_options_reach_the_server(run: Install, file_of: FileOf) -> None:
    run("codex", "--toolsets", "calls, Agents", "--read-only", "--sandbox")
    entry = tomllib.loads(file_of("codex").read_text(encoding="utf-8"))["mcp_servers"]["agentphone"]
    assert entry["args"] == ["agentphone-mcp", "--read-only", "--toolsets", "agents,calls", "--sandbox"]


def test_another_file_can_be_named(run: Install, tmp_path: Path, file_of: FileOf) -> None:
    run("zed", "--file", str(tmp_path / "mine.json"))
    assert "context_servers" in json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert not file_of("zed").exists()


def test_a_second_file_of_the_same_host_is_named(run: Install, home: Path) -> None:
    old, new = HOSTS["windsurf"].user_files(Machine(sys.platform, home, {}))[::-1]
    for file in (old, new):
        file.parent.mkdir(parents=True)
    result = run("windsurf")
    assert f"installed in {new}" in result.stdout
    assert f"There is also {old}, which is left alone: --file installs there." in result.stdout
    run("windsurf", "--file", str(old))
    run("windsurf", "--uninstall")
    assert not old.exists()
    assert not new.exists()


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_the_file_of_a_project_can_be_read_by_others(run: Install, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run("cursor", "--project", str(tmp_path))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".cursor" / "mcp.json").stat().st_mode) == 0o644


@pytest.mark.parametrize(("answer", "keys"), [("2", ["gemini"]), ("a", ["cursor", "gemini"])], ids=["one", "all"])
def test_without_a_host_there_is_a_menu(
    answer: str,
    keys: list[str],
    home: Path,
    uvx: Path,
    file_of: FileOf,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for key in ("gemini", "cursor"):
        file_of(key).parent.mkdir()
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", Terminal(f"x\n{answer}\n"))
    install.main(["--sandbox"], standalone_mode=False)
    shown = capsys.readouterr().out
    assert shown.startswith(
        "Which host should have AgentPhone?\n  1  Cursor          found here\n  2  Gemini CLI      found here\n"
        "  3  Claude Desktop\n"
    )
    assert "  a  all 2 that were found here\n" in shown
    assert [key for key in HOSTS if file_of(key).exists()] == keys


@pytest.mark.skipif(os.name != "posix", reason="the encoding of names is that of Windows itself there")
@pytest.mark.parametrize(
    "encoding",
    ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cp1252", "cp932"))],
)
def test_a_name_that_the_system_cannot_write_reaches_the_host_unharmed(
    encoding: str, tmp_path: Path, uvx: Path
) -> None:
    home = tmp_path / "Zoë 日本"
    shutil.copytree(uvx.parents[2], home)
    key = home / "clé"
    key.write_text(LIVE_KEY, encoding="utf-8")
    old = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}

    def result(*arguments: str, environ: dict[str, str]) -> bytes:
        command = [*COMMAND, "install", "cursor", "--key-file", str(key), *arguments]
        environ = environ | {"HOME": str(home), "PATH": "", "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environ, capture_output=True, timeout=PATIENCE, check=True).stdout

    printed = result("--print", environ=old)
    entry = json.loads(printed.decode("utf-8"))["mcpServers"]["agentphone"]
    assert (entry["command"], *entry["env"].values()) == (str(home / uvx.relative_to(uvx.parents[2])), str(key))
    result(environ=old)
    assert (home / ".cursor" / "mcp.json").read_bytes() == printed
    assert b"already there" in result(environ=old)
    assert b"already there" in result(environ={"PYTHONUTF8": "1"})


def test_the_command_is_one_of_ours() -> None:
    assert "install" in CliRunner().invoke(main, ["--help"]).stdout
    result = " ".join(CliRunner().invoke(main, ["install", "--help"]).stdout.split())
    assert f"Hosts: {', '.join(HOSTS)}." in result


def test_the_place_is_this_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    assert read_machine({"A": "b"}) == Machine(sys.platform, home, {"A": "b"})
