"""The setup says which program a host starts, and where the key comes from."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentphone_mcp.commands.install.entries import FromFile, PlainText, UnsupportedSetup
from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.commands.install.programs import PORTABLE_PROGRAM, Program, ProgramNotFound, find_program
from agentphone_mcp.commands.install.setup import InstallOptions, choose_setup
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.server.http.auth import local_token
from tests.support import LIVE_KEY

URL = "https://phone.example.com/mcp"
WITH_KEY = {"AGENTPHONE_API_KEY": LIVE_KEY}
WITH_TOKEN = {"AGENTPHONE_MCP_TOKEN": "apmcp_example"}


def never() -> bool:
    """Fail if the keychain is read."""
    raise AssertionError


@pytest.mark.parametrize(
    ("host", "environ", "is_in_keychain", "key", "message"),
    [
        pytest.param("cursor", WITH_KEY, True, "none", "from the system's keychain", id="kept"),
        pytest.param("cursor", WITH_KEY, False, "reference", "must be set wherever Cursor is started", id="variable"),
        pytest.param("cursor", {}, False, "reference", "both with --key-file PATH", id="nowhere"),
        pytest.param("vscode", {}, False, "reference", "VS Code asks for the key", id="asked"),
        pytest.param("zed", WITH_KEY, False, "none", "--key-file PATH", id="no-means"),
        pytest.param("zed", WITH_KEY, True, "none", "from the system's keychain", id="no-means-and-kept"),
    ],
)
def test_the_key_comes_from_where_it_is(
    host: str, environ: dict[str, str], is_in_keychain: bool, key: str, message: str, machine: Callable[..., Machine]
) -> None:
    setup, sentence = choose_setup(
        HOSTS[host], InstallOptions(), machine(**environ), PORTABLE_PROGRAM, lambda: is_in_keychain
    )
    assert setup.key == key
    assert message in sentence
    assert LIVE_KEY not in sentence


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_key_file_is_named_by_its_whole_path(by: str, machine: Callable[..., Machine], tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(LIVE_KEY)
    options = InstallOptions(key_file=str(file)) if by == "option" else InstallOptions()
    environ = {} if by == "option" else {"AGENTPHONE_API_KEY_FILE": str(file)}
    setup, _ = choose_setup(HOSTS["claude-desktop"], options, machine(**environ), PORTABLE_PROGRAM, never)
    assert setup.key == FromFile(str(file))


def test_a_key_file_without_a_key_is_refused(machine: Callable[..., Machine], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        choose_setup(
            HOSTS["cursor"], InstallOptions(key_file=str(tmp_path / "none")), machine(), PORTABLE_PROGRAM, never
        )


def test_a_plain_key_is_written_with_a_warning(machine: Callable[..., Machine]) -> None:
    setup, message = choose_setup(
        HOSTS["zed"], InstallOptions(plain_key=True), machine(**WITH_KEY), PORTABLE_PROGRAM, never
    )
    assert setup.key == PlainText(LIVE_KEY)
    assert "ends in 0042" in message
    assert LIVE_KEY not in message
    with pytest.raises(UnsupportedSetup, match="set AGENTPHONE_API_KEY first"):
        choose_setup(HOSTS["zed"], InstallOptions(plain_key=True), machine(), PORTABLE_PROGRAM, never)


@pytest.mark.parametrize(
    ("host", "message"),
    [("cursor", "set AGENTPHONE_API_KEY"), ("zed", "run `agentphone-mcp login`"), ("vscode", "a key of their own")],
)
def test_a_shared_file_refers_to_everyones_own_key(host: str, message: str, machine: Callable[..., Machine]) -> None:
    environ = {"AGENTPHONE_API_KEY_FILE": "/home/me/key"} | WITH_KEY
    setup, sentence = choose_setup(
        HOSTS[host], InstallOptions(is_shared=True), machine(**environ), PORTABLE_PROGRAM, never
    )
    assert setup.key == "reference"
    assert message in sentence


@pytest.mark.parametrize(
    ("host", "url", "environ", "plain", "key", "message"),
    [
        pytest.param("cursor", URL, {}, False, "reference", "AGENTPHONE_MCP_TOKEN, which must be set", id="variable"),
        pytest.param("vscode", URL, {}, False, "reference", "asks for the server's bearer token", id="asked"),
        pytest.param("zed", URL, {}, False, "none", "install again with --plain-key", id="no-means"),
        pytest.param("zed", URL, WITH_TOKEN, True, PlainText("apmcp_example"), "in plain text", id="plain"),
        pytest.param("cursor", "http://127.0.0.1:1/mcp", {}, False, "none", "No token is sent", id="loopback"),
        pytest.param(
            "cursor", "http://127.0.0.1:1/mcp", WITH_TOKEN, False, "reference", "must be", id="loopback-token"
        ),
    ],
)
def test_a_remote_server_has_a_token(
    host: str,
    url: str,
    environ: dict[str, str],
    plain: bool,
    key: object,
    message: str,
    machine: Callable[..., Machine],
) -> None:
    options = InstallOptions(remote=url, plain_key=plain)
    setup, sentence = choose_setup(HOSTS[host], options, machine(**environ), PORTABLE_PROGRAM, never)
    assert (setup.key, setup.remote) == (key, url)
    assert message in sentence


@pytest.mark.attack("15", "another user of the machine reaches what is meant for one")
def test_the_token_of_this_machine_is_found_for_a_server_on_it(
    machine: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(local_token, "local_token_file", lambda: tmp_path / "local-token")
    token = local_token.ensure_local_token()

    def choose(remote: str, **more: bool) -> object:
        return choose_setup(HOSTS["cursor"], InstallOptions(remote=remote, **more), machine(), PORTABLE_PROGRAM, never)[
            0
        ].key

    assert choose("http://127.0.0.1:8000/mcp") == PlainText(token)
    assert choose("http://127.0.0.1:8000/mcp", is_shared=True) == "none", "a project's file is others' too"
    assert choose("https://phone.example.com/mcp") == "reference", "it is of no use elsewhere"


@pytest.mark.parametrize("platform", ["darwin", "linux"])
@pytest.mark.parametrize("folder", [".local/bin", ".cargo/bin"])
def test_uvx_is_found_where_no_path_leads(
    platform: str, folder: str, machine: Callable[..., Machine], home: Path
) -> None:
    program = home / folder / "uvx"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    assert find_program(machine(platform), "pytest") == Program(str(program), ("agentphone-mcp",))


def test_uvx_is_found_on_windows(machine: Callable[..., Machine], home: Path) -> None:
    program = home / "AppData" / "Local" / "Microsoft" / "WinGet" / "Links" / "uvx.exe"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    assert find_program(machine("win32"), "pytest").command == str(program)


def test_without_uvx_the_installed_program_is_started(machine: Callable[..., Machine], tmp_path: Path) -> None:
    itself = tmp_path / "bin" / "agentphone-mcp"
    itself.parent.mkdir()
    itself.touch(mode=0o755)
    program = find_program(machine(), str(itself), homebrew=())
    assert (program.command, program.arguments) == (str(itself), ())
    assert "install again" in program.remark


@pytest.mark.parametrize(
    ("platform", "how"), [("win32", "install.ps1"), ("darwin", "brew install uv"), ("linux", "install.sh")]
)
def test_without_anything_to_start_it_is_said_how_to_get_uv(
    platform: str, how: str, machine: Callable[..., Machine]
) -> None:
    with pytest.raises(ProgramNotFound, match=how):
        find_program(machine(platform), "/usr/bin/python3", homebrew=())


@pytest.mark.skipif(os.name != "posix", reason="only POSIX limits the length of a name here")
def test_a_folder_that_cannot_be_looked_into_does_not_end_the_search(
    machine: Callable[..., Machine], uvx: Path
) -> None:
    machine_here = machine(PATH="/" + "a" * 300)
    assert find_program(machine_here, "pytest", (Path("/" + "a" * 300),)).command == str(uvx)
    uvx.unlink()
    with pytest.raises(ProgramNotFound):
        find_program(machine_here, "pytest", (Path("/" + "a" * 300),))
