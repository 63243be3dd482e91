"""Check that `login` keeps a good key and nothing else, `logout` removes it, and a server finds it."""

import os
import select
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from agentphone_mcp.config.environment import complete_session_bus
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.variables import BUS_VARIABLE
from tests.commands.login.pretend_keychain import PYTHONPATH
from tests.support import COMMAND, LIVE_KEY, PATIENCE

OTHER_KEY = "sk_sandbox_somebody_elses_0043"
NOBODY = "http://127.0.0.1:9"
Kept = Callable[[], dict[str, str]]
Run = Callable[..., Result]
RunProcess = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_key_is_checked_and_kept(sandbox: Sandbox, kept: Kept, run: Run) -> None:
    ended = run("login", "--base-url", sandbox.url, typed=f"  {sandbox.key}\n")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert kept() == {sandbox.url: sandbox.key}
    assert f"The key ending in {sandbox.key[-4:]} is good: plan free; phone numbers 1 of 10;" in ended.stdout
    assert f"is in the system's keychain (agentphone-mcp, {sandbox.url})." in ended.stdout
    assert sandbox.key not in ended.stdout
    assert [request.path for request in sandbox.requests] == ["/v1/usage"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        pytest.param(OTHER_KEY, "copy it again from AgentPhone's dashboard", id="wrong"),
        pytest.param("", "no key came from stdin", id="nothing"),
        pytest.param("\n \n", "no key came from stdin", id="blank"),
        pytest.param("${AGENTPHONE_API_KEY}", "placeholder", id="placeholder"),
        pytest.param("two words", "no", id="no-key"),
        pytest.param(LIVE_KEY, "goes to the vendor's hosts only", id="live-key-for-a-sandbox"),
    ],
)
def test_a_key_that_is_not_good_is_not_kept(sandbox: Sandbox, kept: Kept, run: Run, typed: str, said: str) -> None:
    run("login", "--base-url", sandbox.url, typed=sandbox.key)
    ended = run("login", "--base-url", sandbox.url, typed=typed)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    assert said in ended.stderr
    assert kept() == {sandbox.url: sandbox.key}
    for key in (OTHER_KEY, LIVE_KEY):
        assert key not in ended.stderr


@pytest.mark.parametrize("ending", ["\r\n", "\n\n# another line\n", ""], ids=["windows", "more-lines", "none"])
def test_a_key_is_read_from_a_file_of_any_editor(sandbox: Sandbox, kept: Kept, run: Run, ending: str) -> None:
    ended = run("login", "--base-url", sandbox.url, typed=f"\ufeff{sandbox.key}{ending}")
    assert ended.exit_code == 0, ended.stderr
    assert kept() == {sandbox.url: sandbox.key}


def test_an_api_that_is_not_reached_is_said_and_can_be_passed_over(kept: Kept, run: Run) -> None:
    ended = run("login", "--base-url", NOBODY, typed=OTHER_KEY)
    assert (ended.exit_code, kept()) == (1, {})
    assert (
        "could not say whether the key is good, so nothing was kept: the connection could not be made" in ended.stderr
    )
    ended = run("login", "--base-url", NOBODY, "--no-check", typed=OTHER_KEY)
    assert (ended.exit_code, kept()) == (0, {NOBODY: OTHER_KEY})
    assert "is good" not in ended.stdout


def test_a_key_can_be_kept_in_a_file(sandbox: Sandbox, kept: Kept, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "key"
    options = ("login", "--base-url", sandbox.url, "--key-file", str(file))
    wrong = run(*options, typed=OTHER_KEY)
    assert (wrong.exit_code, file.exists()) == (1, False)
    ended = run(*options, typed=sandbox.key, PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
    assert ended.exit_code == 0, ended.stderr
    assert file.read_text() == f"{sandbox.key}\n"
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600
    assert f'agentphone-mcp install HOST --key-file "{file}"' in ended.stdout
    assert f"set AGENTPHONE_API_KEY_FILE to {file}" in ended.stdout
    again = run(*options, typed=sandbox.key)
    assert (again.exit_code, kept()) == (1, {})
    assert "exists already" in again.stderr


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}, "none that is running", id="none"),
        pytest.param({"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}, "does not keep", id="null"),
        pytest.param({"PYTHON_KEYRING_BACKEND": "no_such_module.Keychain"}, "ModuleNotFoundError", id="missing"),
        pytest.param({"PRETEND_KEYCHAIN_MOOD": "locked"}, "it is locked", id="locked"),
        pytest.param({"PRETEND_KEYCHAIN_MOOD": "read-only"}, "PermissionError", id="read-only"),
        pytest.param({"PRETEND_KEYCHAIN_MOOD": "full"}, "OSError", id="full"),
        pytest.param({"AGENTPHONE_KEYCHAIN": "off"}, "is off", id="switched-off"),
    ],
)
def test_without_a_keychain_login_says_what_to_do(
    sandbox: Sandbox, run: Run, settings: dict[str, str], said: str
) -> None:
    ended = run("login", "--base-url", sandbox.url, typed=sandbox.key, **settings)
    assert ended.exit_code == 1
    assert len(ended.stderr.splitlines()) == 1
    assert said in ended.stderr
    assert "--key-file" in ended.stderr
    assert sandbox.key not in ended.stderr + ended.stdout


def test_a_variable_that_wins_is_named(sandbox: Sandbox, kept: Kept, run: Run) -> None:
    variables = {"AGENTPHONE_API_KEY": sandbox.key, "AGENTPHONE_BASE_URL": sandbox.url}
    assert "AGENTPHONE_API_KEY is set here and wins" in run("login", typed=sandbox.key, **variables).stderr
    assert "AGENTPHONE_API_KEY still gives the server a key" in run("logout", **variables).stderr
    assert kept() == {}


def test_logout_forgets_and_says_that_the_key_is_good_still(sandbox: Sandbox, kept: Kept, run: Run) -> None:
    run("login", "--base-url", sandbox.url, typed=sandbox.key)
    run("login", "--base-url", NOBODY, "--no-check", typed=OTHER_KEY)
    ended = run("logout", "--base-url", sandbox.url)
    assert (ended.exit_code, kept()) == (0, {NOBODY: OTHER_KEY})
    assert "stays valid until you revoke it in AgentPhone's dashboard" in ended.stdout
    ended = run("logout", "--base-url", sandbox.url)
    assert (ended.exit_code, ended.stdout) == (0, f"There was no key for {sandbox.url} in the keychain.\n")
    assert run("logout", PRETEND_KEYCHAIN_MOOD="locked").stderr == (
        "Error: the keychain could not be asked: it is locked\n"
    )


@pytest.mark.parametrize("command", ["login", "logout"])
@pytest.mark.parametrize("url", ["https://api.evil.example", "http://api.agentphone.to"], ids=["foreign", "plain"])
def test_no_key_is_taken_for_another_place(kept: Kept, run: Run, command: str, url: str) -> None:
    ended = run(command, "--base-url", url, typed=LIVE_KEY)
    assert (ended.exit_code, kept()) == (2, {})
    assert "api.agentphone.to" in ended.stderr


@pytest.mark.skipif(os.name != "posix", reason="terminals are made otherwise there")
def test_a_key_that_is_typed_is_not_shown(sandbox: Sandbox, kept: Kept) -> None:
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "login", "--base-url", sandbox.url],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        for awaited, typed in ((b"not shown): ", f"{sandbox.key}\n".encode()), (b"keychain (", b"")):
            while awaited not in shown:
                assert select.select([ours], [], [], 2 * PATIENCE)[0], shown
                shown += os.read(ours, 1_024)
            os.write(ours, typed)
        assert process.wait(2 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert kept() == {sandbox.url: sandbox.key}
    assert sandbox.key.encode() not in shown


async def overview(sandbox: Sandbox, **settings: str) -> str:
    """Start the server without a key, as a host does, and return the answer of a tool."""
    passed = ("PYTHON_KEYRING_BACKEND", "PRETEND_KEYCHAIN", "XDG_STATE_HOME")
    env = {name: os.environ[name] for name in passed} | {"PYTHONPATH": PYTHONPATH, "AGENTPHONE_BASE_URL": sandbox.url}
    server = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=env | settings)
    async with Client(server) as client:
        return (await client.call_tool("list_agents", {})).content[0].text


async def test_a_server_finds_the_key_that_login_kept(sandbox: Sandbox, kept: Kept, run: Run) -> None:
    run("login", "--base-url", sandbox.url, "--no-check", typed=sandbox.key)
    assert "Front Desk" in await overview(sandbox)
    assert "agentphone-mcp login" in await overview(sandbox, AGENTPHONE_KEYCHAIN="off")
    assert "wrong or revoked" in await overview(sandbox, AGENTPHONE_API_KEY=OTHER_KEY)
    run("logout", "--base-url", sandbox.url)
    assert kept() == {}
    assert "agentphone-mcp login" in await overview(sandbox)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("mood", ["locked", "broken"])
def test_a_server_starts_without_its_keychain_and_says_why(run_process: RunProcess, mood: str, log_format: str) -> None:
    ended = run_process(PRETEND_KEYCHAIN_MOOD=mood, AGENTPHONE_LOG_FORMAT=log_format)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert len(ended.stderr.splitlines()) == 1
    assert "no key was found in the keychain" in ended.stderr
    assert ended.stderr.startswith("{") is (log_format == "json")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"AGENTPHONE_API_KEY": LIVE_KEY}, id="variable"),
        pytest.param({"AGENTPHONE_SANDBOX": "1"}, id="sandbox"),
        pytest.param({"AGENTPHONE_KEYCHAIN": "off"}, id="switched-off"),
    ],
)
@pytest.mark.usefixtures("kept")
def test_a_keychain_that_is_not_needed_is_not_asked(run_process: RunProcess, settings: dict[str, str]) -> None:
    ended = run_process(PRETEND_KEYCHAIN_MOOD="locked", **settings)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_callers_who_bring_their_keys_are_not_lent_the_kept_one(kept: Kept, run: Run, run_process: RunProcess) -> None:
    run("login", "--no-check", typed=LIVE_KEY)
    assert kept() == {"api.agentphone.to": LIVE_KEY}
    ended = run_process("--transport=sse", "--http-auth=relay", "--sub-account=acc_1")
    assert "leave AGENTPHONE_SUB_ACCOUNT out" in ended.stderr


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there is no D-Bus there")
def test_the_session_bus_is_found_where_a_host_did_not_name_it(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    folder = tmp_path / str(os.getuid())
    folder.mkdir()
    complete_session_bus(environ, tmp_path)
    assert environ == {}
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(os.path.relpath(folder / "bus"))
        complete_session_bus(environ, tmp_path)
    assert environ == {BUS_VARIABLE: f"unix:path={folder / 'bus'}"}
    complete_session_bus(environ, tmp_path / "elsewhere")
    assert environ == {BUS_VARIABLE: f"unix:path={folder / 'bus'}"}
