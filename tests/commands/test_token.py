"""`agentphone-mcp token`: a token is made, shown once, and kept as a hash in a file that stays as people wrote it."""

import asyncio
import os
import re
import stat
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from starlette.datastructures import Headers

from agentphone_mcp.commands.token import token
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth import token_edits as token_changes
from agentphone_mcp.server.http.auth.token_file import digest_of
from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth
from tests.support import ROOT

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and owners are those of POSIX")
ROOTS = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="root alone gives files away")
NOWHERE = "nowhere/tokens"
WRITTEN = f"""\
# Who may connect. Ask Zoë before you change it.

[tokens."old.one"] # the first of all
scope = 'read'   # looks only
sha256 = "{"a" * 64}"  # made by hand

# Until the trial is over.
[ tokens.trial ]
expires = 2031-01-31 # Friday
sha256 = "{"B" * 64}" # in capitals
scope = "spend" # careful!
# the end
"""
ADDING = """
import sys
from agentphone_mcp.commands.token import token
print("ready", flush=True)
sys.stdin.readline()
for n in range(10):
    token.main(["add", f"{sys.argv[1]}-{n}", "--scope", "read", "--file", sys.argv[2]], standalone_mode=False)
"""
"""What each of several processes does at once."""


def invoke(path: Path, *arguments: str) -> Result:
    """Run the command on a file."""
    return CliRunner(env={"AGENTPHONE_HTTP_TOKENS_FILE": str(path)}).invoke(token, arguments)


def made(path: Path, *arguments: str) -> str:
    """Make a token."""
    told = invoke(path, "add", *arguments)
    assert told.exit_code == 0, told.output
    return told.stdout.removesuffix("\n")


def tokens(path: Path) -> dict[str, dict[str, str | date]]:
    """What the file holds."""
    return tomllib.loads(path.read_text(encoding="utf-8")).get("tokens", {})


def admitted(path: Path, secret: str) -> Caller | None:
    """Whose token it is for a server with this file."""
    return asyncio.run(StaticTokenAuth(path).admit(Headers({"Authorization": f"Bearer {secret}"})))


def refusal(path: Path, *arguments: str) -> str:
    """The one sentence with which a command is refused; the file stays as it is."""
    before = path.read_bytes() if path.is_file() else None
    told = invoke(path, *arguments)
    assert told.exit_code != 0
    assert told.stdout == ""
    assert (path.read_bytes() if path.is_file() else None) == before
    return told.stderr.splitlines()[-1].removeprefix("Error: ")


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start Python in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the tokens are to be; nothing is there yet."""
    return tmp_path / "tokens.toml"


@pytest.fixture
def written(path: Path) -> Path:
    """A file that a person wrote."""
    path.write_text(WRITTEN, encoding="utf-8", newline="")
    return path


def test_a_token_that_was_made_is_admitted(path: Path) -> None:
    """Under its name and with its scope, until it expires; the next has another."""
    alice = made(path, "alice", "--scope", "read", "--expires", "2131-01-31")
    bob = made(path, "bob-2_x.y", "--scope", "spend")
    assert alice != bob
    caller, other = admitted(path, alice), admitted(path, bob)
    assert caller
    assert other
    until = datetime(2131, 2, 1, tzinfo=UTC).timestamp()
    assert (caller.name, caller.scope, caller.expires_at) == ("alice", "read", until)
    assert (other.name, other.scope, other.expires_at) == ("bob-2_x.y", "spend", None)


def test_a_token_is_shown_once_and_kept_as_a_hash(path: Path) -> None:
    """Alone on stdout, for a pipe; what a person should know stands on stderr."""
    told = invoke(path, "add", "alice", "--scope", "write")
    secret = told.stdout.removesuffix("\n")
    assert re.fullmatch(r"apmcp_[\w-]{43}", secret)
    assert told.stderr == "This is the token of alice; it is shown only this time, and nobody can look it up.\n"
    assert tokens(path) == {"alice": {"sha256": digest_of(secret).hex(), "scope": "write"}}
    for file in path.parent.rglob("*"):
        assert file.is_dir() or secret.encode() not in file.read_bytes()


@POSIX
def test_a_new_file_is_for_its_owners_eyes(path: Path) -> None:
    made(path, "alice", "--scope", "read")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o400], ids=oct)
def test_a_file_keeps_its_mode(written: Path, mode: int) -> None:
    """A server of another user in its group must still be able to read it."""
    written.chmod(mode)
    made(written, "alice", "--scope", "read")
    assert stat.S_IMODE(written.stat().st_mode) == mode


@ROOTS
def test_a_file_keeps_its_owner(written: Path) -> None:
    os.chown(written, 12_345, 54_321)
    made(written, "alice", "--scope", "read")
    for file in written.parent.glob("*tokens.toml*"):
        assert (file.stat().st_uid, file.stat().st_gid) == (12_345, 54_321)


@ROOTS
def test_an_owner_who_is_not_in_the_files_group_can_change_it(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They could give nothing to that group; root alone leaves locks that others cannot take."""

    def refusing(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    os.chown(written, 12_345, 54_321)
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    for name in ("chown", "fchown"):
        monkeypatch.setattr(os, name, refusing)
    made(written, "alice", "--scope", "read")


@POSIX
def test_another_users_file_is_not_taken_over(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may write the folder could replace it, and its owner would have lost it."""
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert refusal(written, "add", "alice", "--scope", "read") == (
        f"the tokens file {str(written)!r} cannot be used: it belongs to another user, who alone can change it"
    )
    assert list(written.parent.glob(".tokens*")) == []


@POSIX
def test_a_link_stays_a_link(written: Path, tmp_path: Path) -> None:
    """The file that it leads to is changed, where that lies."""
    link = tmp_path / "elsewhere" / "link.toml"
    link.parent.mkdir()
    link.symlink_to(written)
    made(link, "alice", "--scope", "read")
    assert link.is_symlink()
    assert list(link.parent.iterdir()) == [link]
    assert set(tokens(written)) == {"old.one", "trial", "alice"}


def test_nothing_is_left_beside_the_file(written: Path) -> None:
    made(written, "alice", "--scope", "read")
    refusal(written, "add", "alice", "--scope", "read")
    assert {each.name for each in written.parent.glob("*tokens*")} - {".tokens.toml.lock"} == {"tokens.toml"}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_what_people_wrote_is_kept_when_a_token_is_added(path: Path, end: str) -> None:
    path.write_text(WRITTEN, encoding="utf-8", newline=end)
    made(path, "alice", "--scope", "read", "--expires", "2131-01-31T18:00:00+02:00")
    text = path.read_bytes().decode()
    assert text.startswith(WRITTEN.replace("\n", end))
    assert re.fullmatch(
        r'\s*\[tokens\.alice\]\s+sha256 = "\w{64}"\s+scope = "read"\s+expires = 2131-01-31T16:00:00Z\s*',
        text[len(WRITTEN.replace("\n", end)) :],
    )


def test_a_token_is_removed_and_the_rest_is_kept(written: Path) -> None:
    told = invoke(written, "remove", "old.one")
    assert (told.exit_code, told.stderr) == (0, "")
    text = written.read_text(encoding="utf-8")
    assert text.startswith("# Who may connect. Ask Zoë before you change it.\n")
    assert text.endswith(WRITTEN[WRITTEN.index("[ tokens.trial ]") :])
    assert set(tokens(written)) == {"trial"}


def test_the_last_token_can_be_removed(path: Path) -> None:
    """Nobody may connect then, and a first one can be added again."""
    made(path, "alice", "--scope", "read")
    assert invoke(path, "remove", "alice").exit_code == 0
    assert tokens(path) == {}
    assert invoke(path, "list").stdout == "There is no token yet.\n"
    secret = made(path, "bob", "--scope", "read")
    assert admitted(path, secret)


def test_a_token_is_rotated_in_its_place(written: Path) -> None:
    """The old one is good no longer, what was said with it holds no longer, and the comments stay."""
    old = made(written, "trial", "--replace", "--scope", "spend")
    new = made(written, "trial", "--replace", "--scope", "write")
    assert admitted(written, old) is None
    caller = admitted(written, new)
    assert caller
    assert (caller.name, caller.scope, caller.expires_at) == ("trial", "write", None)
    text = written.read_text(encoding="utf-8")
    assert text.startswith(WRITTEN[: WRITTEN.index("expires")])
    for kept in (f'sha256 = "{digest_of(new).hex()}" # in capitals\n', 'scope = "write" # careful!\n# the end\n'):
        assert kept in text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'tokens = {{ a = {{ sha256 = "{"a" * 64}", scope = "read" }} }}\n', id="in-one-line"),
        pytest.param(f'[tokens]\na = {{ sha256 = "{"a" * 64}", scope = "read" }}\n', id="inline"),
        pytest.param(f'tokens.a.sha256 = "{"a" * 64}"\ntokens.a.scope = "read"\n', id="dotted"),
        pytest.param(f'[tokens.a]\nsha256 = "{"a" * 64}"\nscope = "read"', id="no-last-newline"),
        pytest.param("[tokens]\n", id="none-yet"),
        pytest.param("# none yet", id="comment"),
        pytest.param("\ufeff[tokens]\r\n", id="notepad"),
        pytest.param("", id="empty"),
    ],
)
def test_no_token_is_lost_however_the_file_is_written(path: Path, text: str) -> None:
    """TOML can be written in many ways; a change does what was asked for, or it is refused."""
    path.write_text(text, encoding="utf-8", newline="")
    before = tomllib.loads(text.removeprefix("\ufeff")).get("tokens", {})
    told = invoke(path, "add", "alice", "--scope", "read")
    if told.exit_code:
        assert told.stderr.endswith("cannot be used: it is written in a way that has to be changed by hand\n")
        assert path.read_bytes().decode() == text
        return
    assert tokens(path) == before | {"alice": {"sha256": digest_of(told.stdout.strip()).hex(), "scope": "read"}}
    assert invoke(path, "remove", "alice").exit_code == 0
    assert tokens(path) == before


def test_the_list_shows_names_scopes_and_ends(written: Path) -> None:
    with written.open("a", encoding="utf-8") as file:
        file.write(f'[tokens.over]\nsha256 = "{"c" * 64}"\nscope = "write"\nexpires = 2020-01-31T10:00:00Z\n')
    assert invoke(written, "list").stdout.splitlines() == [
        "old.one  read   never expires",
        "trial    spend  2031-01-31",
        "over     write  2020-01-31 10:00:00+00:00 (expired)",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["add", "trial", "--scope", "read"],
            "trial has a token already: --replace makes a new one in its place",
            id="taken",
        ),
        pytest.param(
            ["add", "nobody", "--scope", "read", "--replace"],
            "there is no token of nobody to replace",
            id="nothing-to-replace",
        ),
        pytest.param(["remove", "nobody"], "there is no token of nobody", id="nothing-to-remove"),
        pytest.param(
            ["add", "alice", "--scope", "all"],
            "Invalid value for '--scope': 'all' is not one of 'read', 'write', 'spend'.",
            id="unknown-scope",
        ),
        pytest.param(["list", "trial"], "Got unexpected extra argument (trial)", id="too-much"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(written: Path, arguments: list[str], said: str) -> None:
    assert refusal(written, *arguments) == said


@pytest.mark.parametrize("command", [["add", "--scope", "read"], ["remove"]], ids=["add", "remove"])
@pytest.mark.parametrize(
    "name", ["", " ", "a b", "x" * 65, "é", "a\n", "a/b", "[x]", f"apmcp_{'x' * 43}", "APMCP_x"], ids=ascii
)
def test_what_is_no_name_is_refused_and_not_repeated(written: Path, command: list[str], name: str) -> None:
    """It may be a token that was pasted in the wrong place."""
    said = "Invalid value for 'NAME': it takes 1 to 64 of A-Z a-z 0-9 . _ - and does not begin with apmcp_"
    assert refusal(written, *command, "--", name) == said


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        pytest.param("2020-01-31", "is over already", id="past-day"),
        pytest.param("2020-01-31T10:00:00Z", "is over already", id="past-moment"),
        *(
            pytest.param(text, "is no such date: write 2027-01-31 or 2027-01-31T18:00:00Z", id=label)
            for label, text in {
                "empty": "",
                "word": "tomorrow",
                "no-such-day": "2131-02-30",
                "nobodys-time": "2131-01-31T10:00:00",
                "before-all-time": "0001-01-01T00:00:00+14:00",
            }.items()
        ),
    ],
)
def test_what_is_no_end_is_refused(written: Path, expires: str, said: str) -> None:
    """It is never taken for another, nor for none."""
    refused = refusal(written, "add", "alice", "--scope", "read", "--expires", expires)
    assert refused == f"Invalid value for '--expires': {expires!r} {said}"


@pytest.mark.parametrize("command", [["add", "alice", "--scope", "read"], ["remove", "trial"], ["list"]], ids=str)
def test_a_broken_file_is_left_as_it_is(path: Path, command: list[str]) -> None:
    path.write_text(WRITTEN.replace('"spend"', '"apmcp_pasted"'), encoding="utf-8")
    said = "line 11: scope is none of read, write, spend"
    assert refusal(path, *command) == f"the tokens file {str(path)!r} cannot be used: {said}"


@pytest.mark.parametrize(
    ("place", "command", "said"),
    [
        pytest.param("nowhere/tokens", ["add", "a", "--scope", "read"], "folder: make it first", id="no-folder"),
        pytest.param("", ["add", "a", "--scope", "read"], "it is not a file", id="folder"),
        pytest.param("missing", ["list"], "no such file or directory", id="nothing-to-list"),
        pytest.param("missing", ["remove", "a"], "there is no token of a", id="nothing-to-remove"),
    ],
)
def test_a_wrong_place_is_told_and_nothing_is_made_there(
    tmp_path: Path, place: str, command: list[str], said: str
) -> None:
    """A slip in a path must not make folders."""
    folder = tmp_path / "folder"
    folder.mkdir()
    assert refusal(folder / place, *command).endswith(said)
    assert [each.name for each in folder.iterdir() if not each.name.endswith(".lock")] == []


def test_without_a_file_the_variable_is_named(tmp_path: Path) -> None:
    """The flag, or the variable that the server reads."""
    told = CliRunner(env={"AGENTPHONE_HTTP_TOKENS_FILE": ""}).invoke(token, ["list"])
    assert told.exit_code == 2
    assert "AGENTPHONE_HTTP_TOKENS_FILE" in told.stderr
    named = CliRunner().invoke(token, ["add", "alice", "--scope", "read", "--file", str(tmp_path / "tokens")])
    assert named.exit_code == 0


def test_a_file_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` in the variable, which no shell has seen."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    made(Path("~/tokens.toml"), "alice", "--scope", "read")
    assert set(tokens(tmp_path / "tokens.toml")) == {"alice"}


def test_a_change_that_never_ends_is_not_waited_for_for_ever(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the file; what is there stays."""
    monkeypatch.setattr(token_changes, "_PATIENCE", 0)
    with FileLock(written.with_name(".tokens.toml.lock")):
        assert refusal(written, "add", "alice", "--scope", "read").endswith(
            "another process has been changing it for too long"
        )


def test_a_full_disk_loses_nothing(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is as it was, and nothing half written lies beside it."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert refusal(written, "add", "alice", "--scope", "read").endswith("no space left on device")
    assert {each.name for each in written.parent.glob("*tokens*")} - {".tokens.toml.lock"} == {"tokens.toml"}


def test_processes_that_add_at_the_same_time_lose_nothing(written: Path) -> None:
    """Every token that was shown is good, and those that were there are."""
    crowd = [start("-c", ADDING, f"p{n}", str(written)) for n in range(3)]
    assert [process.stdout.readline() for process in crowd] == ["ready\n"] * len(crowd)
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    for n, process in enumerate(crowd):
        shown, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        callers = [admitted(written, secret) for secret in shown.splitlines()]
        assert [caller and caller.name for caller in callers] == [f"p{n}-{m}" for m in range(10)]
    assert len(tokens(written)) == 32


def test_the_command_alone_lists_what_it_can_do() -> None:
    process = start("-m", "agentphone_mcp", "token")
    shown, said = process.communicate(timeout=60)
    assert (process.returncode, shown) == (2, "")
    assert all(f"\n  {command} " in said for command in ("add", "list", "remove"))


def test_what_was_removed_is_said(written: Path) -> None:
    told = invoke(written, "remove", "trial")
    assert told.stdout == "The token of trial is removed; a running server stops admitting it within a second.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(
            ["list"], 1, "the tokens file 'nowhere/tokens' cannot be used: no such file or directory", id="list"
        ),
        pytest.param(["make"], 2, "No such command 'make'.", id="unknown"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong(arguments: list[str], status: int, said: str) -> None:
    process = start("-m", "agentphone_mcp", "token", *arguments, AGENTPHONE_HTTP_TOKENS_FILE=NOWHERE)
    assert process.communicate(timeout=60) == ("", f"Error: {said}\n")
    assert process.returncode == status
