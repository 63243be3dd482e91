"""Check that `login --sign-up` never loses the key that is shown once, whatever breaks on the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from click.testing import Result

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.http.faults import parse
from agentphone_mcp.system.secret_files import KeyFile, KeyFileError
from tests.commands.login.pretend_keychain import PYTHONPATH
from tests.support import COMMAND, PATIENCE, clean_environment

HERE = Path(__file__).parent
EMAIL = "grace@example.com"
NO_KEYCHAIN = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
Kept = Callable[[], dict[str, str]]
Run = Callable[..., Result]


def sleeps(pid: int) -> bool:
    """Return whether a process waits for something; True where the system does not show it."""
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "S"


class SignUpClient:
    """Run the command as a person at a keyboard does, and type a line when it asks for one."""

    def __init__(self, sandbox: Sandbox, *arguments: str, **settings: str) -> None:
        self._sandbox = sandbox
        self.process = subprocess.Popen(
            [*COMMAND, "login", "--base-url", sandbox.url, "--sign-up", *arguments],
            env=clean_environment(**{"PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1"} | settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def mailed(self) -> str:
        """Return the code, once it is mailed and the command waits for it."""
        with anyio.fail_after(2 * PATIENCE):
            while not self._sandbox.context.account.sign_ups:  # noqa: ASYNC110 - the sandbox tells nobody of it here
                await anyio.sleep(0.01)
        assert self.process.stdout
        assert "mails a six-digit code" in self.process.stdout.readline()
        return next(iter(self._sandbox.context.account.sign_ups.values())).code

    async def waits_for_the_code(self) -> None:
        """Wait until the command has asked for the code and, where the system shows it, sleeps until one comes."""
        assert self.process.stderr
        shown = b""
        while b"The code: " not in shown:
            shown += (read := os.read(self.process.stderr.fileno(), 1_024))
            assert read, shown
        with anyio.fail_after(2 * PATIENCE):
            while not sleeps(self.process.pid):  # noqa: ASYNC110 - a process sets no event
                await anyio.sleep(0.01)

    def ends(self, *typed: str) -> tuple[int, str, str]:
        """Type these lines, and return the exit status, stdout and stderr."""
        said, wrong = self.process.communicate("".join(f"{line}\n" for line in typed), timeout=2 * PATIENCE)
        return self.process.returncode, said, wrong


@pytest.fixture
def signing_up(sandbox: Sandbox, kept: Kept):
    """Start to sign up; kill what still runs after the test."""
    started: list[SignUpClient] = []

    def start(*arguments: str, **settings: str) -> SignUpClient:
        started.append(SignUpClient(sandbox, *(arguments or (EMAIL,)), **settings))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def spare(state: Path) -> list[Path]:
    """List the files in which a new key waits for the keychain."""
    return list((state / "agentphone-mcp").glob("new-key-*"))


def wrong(code: str) -> str:
    """Return another code."""
    return f"{(int(code) + 1) % 1_000_000:06}"


async def test_an_email_and_its_code_open_an_account(signing_up, sandbox: Sandbox, kept: Kept, state: Path) -> None:
    person = signing_up(EMAIL, "--agent-name", "Concierge")
    code = await person.mailed()
    status, said, wrong = person.ends(f"{code[:3]} {code[3:]}")
    assert status == 0, wrong
    agent = next(agent for agent in sandbox.context.account.agents.values() if agent.name == "Concierge")
    assert f"its first agent is {agent.id} and has the number +1" in said
    assert "is in the system's keychain" in said
    assert kept() == {sandbox.url: sandbox.key}
    assert spare(state) == []
    assert sandbox.key not in said + wrong


async def test_a_code_may_be_wrong_twice(signing_up, sandbox: Sandbox, kept: Kept) -> None:
    person = signing_up()
    code = await person.mailed()
    status, _, said = person.ends("12345", "letters", wrong(code), wrong(code), code)
    assert (status, kept()) == (0, {sandbox.url: sandbox.key}), said
    assert said.count("A code has six digits.") == 2
    assert said.count("That did not work: The code is wrong") == 2


async def test_a_code_that_is_wrong_three_times_opens_nothing(signing_up, kept: Kept, state: Path) -> None:
    person = signing_up()
    code = await person.mailed()
    status, _, said = person.ends(wrong(code), wrong(code), wrong(code))
    assert (status, kept(), spare(state)) == (1, {}, [])
    assert "no account was opened: The code is wrong" in said


def test_an_email_that_has_an_account_is_told_to_log_in(sandbox: Sandbox, kept: Kept, run: Run, state: Path) -> None:
    ended = run("login", "--base-url", sandbox.url, "--sign-up", "owner@example.com")
    assert (ended.exit_code, kept(), spare(state)) == (1, {}, [])
    assert "owner@example.com has an AgentPhone account already: run agentphone-mcp login" in ended.stderr


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        pytest.param([EMAIL], NO_KEYCHAIN, "--key-file", id="no-keychain"),
        pytest.param([EMAIL], {"PRETEND_KEYCHAIN_MOOD": "read-only"}, "--key-file", id="read-only-keychain"),
        pytest.param([EMAIL], {"AGENTPHONE_KEYCHAIN": "off"}, "--key-file", id="switched-off"),
        pytest.param([EMAIL, "--key-file", "no/such/folder/key"], {}, "cannot be written", id="no-folder"),
        pytest.param([EMAIL, "--key-file", str(HERE)], {}, "exists already", id="something-there"),
        pytest.param([EMAIL], {"XDG_STATE_HOME": str(Path(__file__))}, "cannot be made", id="no-state-folder"),
        pytest.param(["grace"], {}, "is no email address", id="no-email"),
    ],
)
def test_nobody_is_signed_up_whose_key_would_have_no_place(
    sandbox: Sandbox, run: Run, arguments: list[str], settings: dict[str, str], said: str
) -> None:
    if "XDG_STATE_HOME" in settings and sys.platform != "linux":
        pytest.skip("the state folder is elsewhere there")
    ended = run("login", "--base-url", sandbox.url, "--sign-up", *arguments, **settings)
    assert ended.exit_code in (1, 2)
    assert len(ended.stderr.splitlines()) == 1
    assert said in ended.stderr
    assert sandbox.requests == []


def test_a_key_that_is_kept_is_not_replaced_by_a_new_accounts(sandbox: Sandbox, kept: Kept, run: Run) -> None:
    run("login", "--base-url", sandbox.url, typed=sandbox.key)
    sandbox.requests.clear()
    ended = run("login", "--base-url", sandbox.url, "--sign-up", EMAIL)
    assert (ended.exit_code, sandbox.requests) == (1, [])
    assert f"holds the key ending in {sandbox.key[-4:]} already" in ended.stderr


async def test_a_key_goes_into_a_file_where_one_is_named(
    signing_up, sandbox: Sandbox, kept: Kept, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    person = signing_up(EMAIL, "--key-file", str(file), **NO_KEYCHAIN)
    status, said, wrong = person.ends(await person.mailed())
    assert (status, kept()) == (0, {}), wrong
    assert file.read_text() == f"{sandbox.key}\n"
    assert f"AGENTPHONE_API_KEY_FILE to {file}" in said
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600


async def test_a_key_that_the_keychain_does_not_take_stays_in_a_file(
    signing_up, sandbox: Sandbox, kept: Kept, state: Path
) -> None:
    person = signing_up(PRETEND_KEYCHAIN_MOOD="full")
    status, _, said = person.ends(await person.mailed())
    (file,) = spare(state)
    assert (status, kept()) == (1, {})
    assert file.read_text() == f"{sandbox.key}\n"
    assert str(file) in said
    assert "agentphone-mcp install HOST --key-file" in said
    assert sandbox.key not in said
    assert len([line for line in said.splitlines() if "Error" in line]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of another process are set there only")
async def test_a_key_that_no_file_takes_is_not_said_to_be_in_it(
    signing_up, sandbox: Sandbox, kept: Kept, tmp_path: Path
) -> None:
    import resource

    person = signing_up(EMAIL, "--key-file", str(tmp_path / "key"))
    code = await person.mailed()
    resource.prlimit(person.process.pid, resource.RLIMIT_FSIZE, (0, 0))
    status, said, wrong = person.ends(code)
    assert (status, kept(), (tmp_path / "key").exists()) == (1, {}, False)
    assert "your account is open, but the key could not be written to a file" in wrong
    assert "AGENTPHONE_API_KEY_FILE" not in said
    assert sandbox.key not in said + wrong


async def test_an_answer_that_is_lost_is_said_to_be(signing_up, sandbox: Sandbox, kept: Kept, state: Path) -> None:
    sandbox.faults.rules.append(parse("POST /v0/agent/verify drop-after"))
    person = signing_up()
    status, _, said = person.ends(await person.mailed())
    assert (status, kept(), spare(state)) == (1, {}, [])
    assert "the account may be open, but its key did not arrive" in said
    assert "make a new key in AgentPhone's dashboard" in said


async def test_an_api_that_is_busy_for_a_moment_costs_no_code(signing_up, sandbox: Sandbox, kept: Kept) -> None:
    sandbox.faults.rules.append(parse("POST /v0/agent/verify status=429 retry-after=3600"))
    person = signing_up()
    code = await person.mailed()
    status, _, said = person.ends(code, code)
    assert (status, kept()) == (0, {sandbox.url: sandbox.key}), said


@pytest.mark.skipif(os.name != "posix", reason="there is no such signal")
async def test_who_gives_up_at_the_code_leaves_nothing(signing_up, kept: Kept, state: Path) -> None:
    person = signing_up()
    await person.mailed()
    await person.waits_for_the_code()
    person.process.send_signal(signal.SIGINT)
    # Before stdin is closed: the end of it may be met first.
    person.process.wait(2 * PATIENCE)
    status, _, _ = person.ends()
    assert (status, kept(), spare(state)) == (130, {}, [])


@pytest.mark.skipif(os.name != "posix", reason="there is no such signal")
@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGHUP"])
async def test_no_signal_comes_between_the_answer_and_the_disk(
    signing_up, sandbox: Sandbox, kept: Kept, state: Path, kind: str
) -> None:
    sandbox.faults.rules.append(parse("POST /v0/agent/verify delay=3"))
    person = signing_up()
    code = await person.mailed()
    assert person.process.stdin
    person.process.stdin.write(f"{code}\n")
    person.process.stdin.flush()
    with anyio.fail_after(2 * PATIENCE):
        while sandbox.requests[-1].path != "/v0/agent/verify":  # noqa: ASYNC110 - as above
            await anyio.sleep(0.01)
    person.process.send_signal(getattr(signal, kind))
    status, said, wrong = person.ends()
    assert (status, kept(), spare(state)) == (0, {sandbox.url: sandbox.key}, []), wrong
    assert "Your account is open" in said


async def test_a_code_that_never_comes_is_said_to_be_missing(signing_up, kept: Kept, state: Path) -> None:
    person = signing_up()
    await person.mailed()
    status, _, said = person.ends()
    assert (status, kept(), spare(state)) == (1, {}, [])
    assert said.splitlines()[-1].startswith("Error: no code came from stdin, so no account was opened: sign up again")


def test_a_file_takes_its_room_before_the_key_comes(tmp_path: Path) -> None:
    with KeyFile(tmp_path / "key") as file:
        assert file.path.stat().st_size >= 512
    assert not file.path.exists()
    with KeyFile(tmp_path / "key") as file:
        file.write("sk_live_short")
    assert file.path.read_bytes() == b"sk_live_short\n"
    with pytest.raises(KeyFileError, match="exists already"):
        KeyFile(tmp_path / "key")


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege there")
def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="exists already"):
        KeyFile(tmp_path / "key")
    assert not (tmp_path / "elsewhere").exists()
