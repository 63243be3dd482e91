"""Check that `agentphone-mcp token` leaves the rest of its file, the file's mode and its owner as they were."""

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from filelock import FileLock

from agentphone_mcp.server.http.auth import token_edits
from agentphone_mcp.server.http.auth.token_file import digest_of
from tests.commands.token.tokens import WRITTEN, admitted, invoke, made, refusal, tokens
from tests.support import PATIENCE, clean_environment

POSIX = pytest.mark.skipif(os.name != "posix", reason="modes and owners are those of POSIX")
ROOTS = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="root alone gives files away")
ADDING = """
import sys
from agentphone_mcp.commands.token import token
print("ready", flush=True)
sys.stdin.readline()
for n in range(10):
    token.main(["add", f"{sys.argv[1]}-{n}", "--scope", "read", "--file", sys.argv[2]], standalone_mode=False)
"""
"""The program of each of several processes."""


@POSIX
def test_a_new_file_is_for_its_owners_eyes(path: Path) -> None:
    made(path, "alice", "--scope", "read")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400], ids=oct)
def test_a_file_keeps_its_mode(written: Path, mode: int) -> None:
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

    def refusing(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    os.chown(written, 12_345, 54_321)
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    for name in ("chown", "fchown"):
        monkeypatch.setattr(os, name, refusing)
    made(written, "alice", "--scope", "read")


@POSIX
def test_another_users_file_is_not_taken_over(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert refusal(written, "add", "alice", "--scope", "read") == (
        f"the tokens file {str(written)!r} cannot be used: it belongs to another user, who alone can change it"
    )
    assert list(written.parent.glob(".tokens*")) == []


@POSIX
def test_a_link_stays_a_link(written: Path, tmp_path: Path) -> None:
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
    path.write_text(text, encoding="utf-8", newline="")
    before = tomllib.loads(text.removeprefix("\ufeff")).get("tokens", {})
    ended = invoke(path, "add", "alice", "--scope", "read")
    if ended.exit_code:
        assert ended.stderr.endswith("cannot be used: it is written in a way that has to be changed by hand\n")
        assert path.read_bytes().decode() == text
        return
    assert tokens(path) == before | {"alice": {"sha256": digest_of(ended.stdout.strip()).hex(), "scope": "read"}}
    assert invoke(path, "remove", "alice").exit_code == 0
    assert tokens(path) == before


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
def test_a_wrong_place_is_refused_and_nothing_is_made_there(
    tmp_path: Path, place: str, command: list[str], said: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert refusal(folder / place, *command).endswith(said)
    assert [each.name for each in folder.iterdir() if not each.name.endswith(".lock")] == []


def test_a_file_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    made(Path("~/tokens.toml"), "alice", "--scope", "read")
    assert set(tokens(tmp_path / "tokens.toml")) == {"alice"}


def test_a_change_that_never_ends_is_not_waited_for_for_ever(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_edits, "_LOCK_SECONDS", 0)
    with FileLock(written.with_name(".tokens.toml.lock")):
        assert refusal(written, "add", "alice", "--scope", "read").endswith(
            "another process has been changing it for too long"
        )


def test_a_full_disk_loses_nothing(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert refusal(written, "add", "alice", "--scope", "read").endswith("no space left on device")
    assert {each.name for each in written.parent.glob("*tokens*")} - {".tokens.toml.lock"} == {"tokens.toml"}


def test_processes_that_add_at_the_same_time_lose_nothing(written: Path) -> None:
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", ADDING, f"p{n}", str(written)],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(3)
    ]
    assert [process.stdout.readline() for process in crowd] == ["ready\n"] * len(crowd)
    for process in crowd:
        process.stdin.write("go\n")
        process.stdin.flush()
    for n, process in enumerate(crowd):
        shown, said = process.communicate(timeout=4 * PATIENCE)
        assert process.returncode == 0, said
        callers = [admitted(written, secret) for secret in shown.splitlines()]
        assert [caller and caller.name for caller in callers] == [f"p{n}-{m}" for m in range(10)]
    assert len(tokens(written)) == 32
