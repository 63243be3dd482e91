"""`agentphone-mcp install`: a person's host has the server with one command, and every failure says what to do."""

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner, Result
from keyring.backends.null import Keyring

from agentphone_mcp.commands.install.editing import find
from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.install.locations import Machine, read_machine
from agentphone_mcp.commands.install.programs import HOMEBREW
from agentphone_mcp.commands.main import main
from tests.support import ROOT

PATIENCE = 60
KEY = "sk_live_not_a_real_key_0042"
Install = Callable[..., Result]
EVERY = pytest.mark.parametrize("key", HOSTS)
OTHERS = {
    "json": '{\n  // mine\n  "other": [1,  2]\n}\n',
    "toml": "# mine\nother = [1,  2]\n",
    "yaml": "# mine\nother: [1,  2]\n",
}


class WithKey(Keyring):
    """A keychain that has a key."""

    def get_password(self, service: str, username: str) -> str | None:
        """Give the key, whosever it is."""
        return KEY


@pytest.fixture
def file_of(home: Path) -> Callable[[str], Path]:
    """Where the file of a host is in that home, on the system that runs the tests."""
    return lambda key: HOSTS[key].user_file(Machine(sys.platform, home, {}))


def refusal(told: Result) -> str:
    """The one sentence with which the command is refused."""
    assert told.exit_code != 0
    assert told.stdout == ""
    return told.stderr.splitlines()[-1].removeprefix("Error: ")


@EVERY
def test_a_host_has_the_server_with_one_command(
    key: str, run: Install, file_of: Callable[[str], Path], uvx: Path
) -> None:
    told = run(key)
    assert told.exit_code == 0, told.output
    file = file_of(key)
    entry = find(HOSTS[key], file.read_text(encoding="utf-8"))
    assert entry is not None
    assert (entry.get("command") or entry["cmd"], entry["args"]) == (str(uvx), ["agentphone-mcp"])
    lines = told.stdout.splitlines()
    assert lines[0] == f"{HOSTS[key].title}: installed in {file}"
    assert lines[-1] == f"  Next: restart {HOSTS[key].title}; `agentphone-mcp doctor` says whether it works."
    assert list(file.parent.glob("*.bak")) == []


@EVERY
def test_a_home_with_other_things_has_them_afterwards(key: str, run: Install, file_of: Callable[[str], Path]) -> None:
    file, text = file_of(key), OTHERS[HOSTS[key].format]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="")
    told = run(key)
    assert "is kept in" in told.stdout
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
def test_a_file_that_was_made_goes_again(key: str, run: Install, file_of: Callable[[str], Path]) -> None:
    run(key)
    run(key, "--uninstall")
    assert not file_of(key).exists()
    assert list(file_of(key).parent.glob("*.bak")) == []


@pytest.mark.parametrize("key", [key for key, host in HOSTS.items() if host.project_file])
def test_a_project_has_what_all_can_use(key: str, run: Install, tmp_path: Path, home: Path) -> None:
    told = run(key, "--project", str(tmp_path), AGENTPHONE_API_KEY=KEY)
    assert told.exit_code == 0, told.output
    text = (tmp_path / HOSTS[key].project_file).read_text(encoding="utf-8")
    entry = find(HOSTS[key], text)
    assert (entry["command"], entry["args"]) == ("uvx", ["agentphone-mcp"])
    assert KEY not in text + told.output
    assert str(home) not in text
    assert not HOSTS[key].user_file(Machine(sys.platform, home, {})).exists()


@EVERY
def test_what_is_printed_is_what_would_be_written(key: str, run: Install, file_of: Callable[[str], Path]) -> None:
    told = run(key, "--print", "--read-only")
    assert told.stderr.startswith(f"This belongs in {file_of(key)}.\n")
    assert not file_of(key).exists()
    run(key, "--read-only")
    assert file_of(key).read_text(encoding="utf-8") == told.stdout


@EVERY
def test_no_key_is_written_unless_asked_for(key: str, run: Install, file_of: Callable[[str], Path]) -> None:
    told = run(key, AGENTPHONE_API_KEY=KEY)
    assert KEY not in told.output + file_of(key).read_text(encoding="utf-8")
    told = run(key, "--plain-key", AGENTPHONE_API_KEY=KEY)
    assert KEY in file_of(key).read_text(encoding="utf-8")
    assert KEY not in told.output
    assert "ends in 0042, stands in the file in plain text" in told.stdout


@pytest.mark.parametrize("arguments", [[], ["--uninstall"]], ids=["again", "uninstall"])
def test_a_copy_that_has_the_key_is_named(arguments: list[str], run: Install, file_of: Callable[[str], Path]) -> None:
    file_of("cursor").parent.mkdir()
    file_of("cursor").write_text(json.dumps({"mcpServers": {"other": {"env": {"K": KEY}}}}), encoding="utf-8")
    warned = "It has your key in plain text: delete it when you need it no more."
    assert warned not in run("cursor", "--plain-key", AGENTPHONE_API_KEY=KEY).stdout
    told = run("cursor", *arguments)
    assert warned in told.stdout
    assert KEY not in told.output


@pytest.mark.parametrize("switch", ["on", "off"])
def test_the_keychain_is_asked_unless_it_is_off(switch: str, run: Install, file_of: Callable[[str], Path]) -> None:
    keyring.set_keyring(WithKey())
    told = run("cursor", "--keychain", switch)
    asked = switch == "on"
    assert ("from the system's keychain" in told.stdout) == asked
    assert ("AGENTPHONE_API_KEY" in file_of("cursor").read_text(encoding="utf-8")) != asked


def test_options_reach_the_server(run: Install, file_of: Callable[[str], Path]) -> None:
    run("codex", "--toolsets", "calls, Agents", "--read-only", "--sandbox")
    entry = tomllib.loads(file_of("codex").read_text(encoding="utf-8"))["mcp_servers"]["agentphone"]
    assert entry["args"] == ["agentphone-mcp", "--read-only", "--toolsets", "agents,calls", "--sandbox"]


def test_all_that_are_found_have_it(run: Install, file_of: Callable[[str], Path]) -> None:
    for key in ("cursor", "gemini"):
        file_of(key).parent.mkdir()
    file_of("cursor").write_text('{\n  "mcpServers": {,\n', encoding="utf-8")
    told = run("all")
    assert told.exit_code == 1
    assert f"Cursor: {file_of('cursor')} stays as it is: line 2, column 18: " in told.stderr
    assert find(HOSTS["gemini"], file_of("gemini").read_text(encoding="utf-8"))
    assert not file_of("codex").exists()


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the length of a name here")
@pytest.mark.parametrize("removes", [[], ["--uninstall"]], ids=["install", "uninstall"])
def test_a_folder_that_cannot_be_looked_into_is_named(removes: list[str], run: Install) -> None:
    folder = "/" + "a" * 300
    assert refusal(run("codex", *removes, CODEX_HOME=folder)) == (
        f"{folder}/config.toml cannot be changed: {os.strerror(errno.ENAMETOOLONG).lower()}"
    )


def test_another_file_can_be_named(run: Install, tmp_path: Path, file_of: Callable[[str], Path]) -> None:
    run("zed", "--file", str(tmp_path / "mine.json"))
    assert "context_servers" in json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert not file_of("zed").exists()


def test_a_second_file_of_the_same_host_is_named(run: Install, home: Path) -> None:
    old, new = HOSTS["windsurf"].user_files(Machine(sys.platform, home, {}))[::-1]
    for file in (old, new):
        file.parent.mkdir(parents=True)
    told = run("windsurf")
    assert f"installed in {new}" in told.stdout
    assert f"There is also {old}, which is left alone: --file installs there." in told.stdout
    run("windsurf", "--file", str(old))
    run("windsurf", "--uninstall")
    assert not old.exists()
    assert not new.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "name a host: one of claude-desktop, claude-code, cursor,", id="no-host"),
        pytest.param(["all"], "no host was found here: name one of claude-desktop,", id="none-found"),
        pytest.param(["nope"], "'nope' is not one of 'claude-desktop',", id="unknown-host"),
        pytest.param(["zed", "--toolsets", "fax"], "fax is no toolset; there are account,", id="toolset"),
        pytest.param(["goose", "--project"], "Goose has no files of projects: leave --project out", id="no-project"),
        pytest.param(["zed", "--project", "/nowhere"], "'/nowhere' does not exist", id="no-folder"),
        pytest.param(["claude-desktop", "--remote", "https://a.b/mcp"], "under Connectors", id="no-remote"),
        pytest.param(["zed", "--remote", "a.b/mcp"], "--remote takes a URL such as https://", id="no-url"),
        pytest.param(["zed", "--remote", ""], "--remote takes a URL such as https://", id="empty-url"),
        pytest.param(["zed", "--remote", "http://[::1/mcp"], "--remote takes a URL such as https://", id="no-address"),
        pytest.param(["zed", "--remote", "https://a.b:99999"], "--remote takes a URL such as https://", id="no-port"),
        pytest.param(["zed", "--remote", "https://a.b/\nmcp"], "--remote takes a URL such as https://", id="line-end"),
        pytest.param(["zed", "--remote", "http://phone.example.com/mcp"], "could read the token", id="in-the-clear"),
        pytest.param(["zed", "--remote", "http://127.0.0.1.example.com/mcp"], "could read the token", id="look-alike"),
        pytest.param(["zed", "--remote", "https://me:pw@a.b"], "without a password", id="password"),
        pytest.param(["zed", "--remote", "https://a.b", "--read-only"], "is set up there", id="remote-options"),
        pytest.param(["zed", "--sandbox", "--plain-key"], "--sandbox needs neither a key", id="sandbox-key"),
        pytest.param(["zed", "--plain-key"], "there is no key to write: set AGENTPHONE_API_KEY first", id="no-key"),
        pytest.param(["zed", "--plain-key", "--print"], "--print shows no key", id="print-key"),
        pytest.param(["zed", "--plain-key", "--key-file", "k"], "are two ways: keep one", id="two-ways"),
        pytest.param(["zed", "--key-file", "/nowhere/key"], "'/nowhere/key' cannot be read", id="no-key-file"),
        pytest.param(["zed", "--project", "--plain-key"], "no key and no path of yours belongs in it", id="shared"),
        pytest.param(["zed", "--project", "--file", "a"], "are two places: keep one", id="two-places"),
        pytest.param(
            ["zed", "--uninstall", "--sandbox"], "--uninstall takes HOST, --project and --file", id="uninstall"
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(arguments: list[str], said: str, run: Install, home: Path) -> None:
    assert said in refusal(run(*arguments))
    assert [file for file in home.rglob("*") if file.is_file() and file.stem != "uvx"] == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/mcp", "http://localhost/mcp", "HTTP://[::1]:8000/mcp"])
def test_a_token_may_go_over_plain_http_within_this_machine(
    url: str, run: Install, file_of: Callable[[str], Path]
) -> None:
    assert run("cursor", "--remote", url).exit_code == 0
    assert url in file_of("cursor").read_text(encoding="utf-8")


@pytest.mark.skipif(any((folder / "uvx").exists() for folder in HOMEBREW), reason="everybody here has uvx")
def test_without_uvx_it_is_said_how_to_get_it(run: Install, uvx: Path) -> None:
    uvx.unlink()
    assert "hosts start the server by uvx, which is not found here: get uv with" in refusal(run("cursor"))
    shared = run("cursor", "--project", "--print")
    assert shared.exit_code == 0
    assert "There is no uvx here, by which the server is started: get uv with" in shared.stderr


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
def test_the_file_of_a_project_can_be_read_by_others(run: Install, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run("cursor", "--project", str(tmp_path))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".cursor" / "mcp.json").stat().st_mode) == 0o644


def test_with_uvx_nothing_is_said_of_it_in_a_project(run: Install, tmp_path: Path) -> None:
    assert "There is no uvx" not in run("cursor", "--project", str(tmp_path)).stdout


@pytest.mark.skipif(os.name != "posix", reason="a pretended terminal is POSIX's")
@pytest.mark.parametrize(("answer", "keys"), [("2", ["gemini"]), ("a", ["cursor", "gemini"])], ids=["one", "all"])
def test_without_a_host_there_is_a_menu(
    answer: str, keys: list[str], home: Path, uvx: Path, file_of: Callable[[str], Path]
) -> None:
    for key in ("gemini", "cursor"):
        file_of(key).parent.mkdir()
    ours, theirs = os.openpty()
    os.write(ours, f"x\n{answer}\n".encode())
    told = subprocess.run(
        [sys.executable, "-m", "agentphone_mcp", "install", "--sandbox"],
        env={"HOME": str(home), "PATH": "", "PYTHONPATH": str(ROOT)},
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(
        "Which host should have AgentPhone?\n  1  Cursor          found here\n  2  Gemini CLI      found here\n"
        "  3  Claude Desktop\n"
    )
    assert "  a  all 2 that were found here\n" in told.stdout
    assert [key for key in HOSTS if file_of(key).exists()] == keys


@pytest.mark.skipif(os.name != "posix", reason="the encoding of names is that of Windows itself there")
@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "ascii"])
def test_a_name_that_the_system_cannot_write_reaches_the_host_unharmed(
    encoding: str, tmp_path: Path, uvx: Path
) -> None:
    home = tmp_path / "Zoë 日本"
    shutil.copytree(uvx.parents[2], home)
    key = home / "clé"
    key.write_text(KEY, encoding="utf-8")
    old = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}

    def told(*arguments: str, environ: dict[str, str]) -> bytes:
        command = [sys.executable, "-m", "agentphone_mcp", "install", "cursor", "--key-file", str(key), *arguments]
        environ = environ | {"HOME": str(home), "PATH": "", "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environ, capture_output=True, timeout=PATIENCE, check=True).stdout

    printed = told("--print", environ=old)
    entry = json.loads(printed.decode("utf-8"))["mcpServers"]["agentphone"]
    assert (entry["command"], *entry["env"].values()) == (str(home / uvx.relative_to(uvx.parents[2])), str(key))
    told(environ=old)
    assert (home / ".cursor" / "mcp.json").read_bytes() == printed
    assert b"already there" in told(environ=old)
    assert b"already there" in told(environ={"PYTHONUTF8": "1"})


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names of files are always text there")
def test_a_path_that_is_no_text_is_refused(run: Install, tmp_path: Path) -> None:
    key = tmp_path / os.fsdecode(b"cl\xe9")
    key.write_text(KEY)
    assert refusal(run("cursor", "--key-file", str(key))).startswith("the path of the key file is not in UTF-8")


def test_the_command_is_one_of_ours() -> None:
    assert "install" in CliRunner().invoke(main, ["--help"]).stdout
    told = " ".join(CliRunner().invoke(main, ["install", "--help"]).stdout.split())
    assert f"Hosts: {', '.join(HOSTS)}." in told


def test_the_place_is_this_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    assert read_machine({"A": "b"}) == Machine(sys.platform, home, {"A": "b"})
