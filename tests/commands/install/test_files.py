"""A host's file is replaced atomically, with a backup, and never over a concurrent change."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from agentphone_mcp.commands.install.files import Change, HostFileError, change, previous_text, read
from tests.support import PATIENCE, ROOT

NOW = datetime(2026, 11, 21, 15, 30)
POSIX = pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
NO_ROOT = pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write everything")
ADDING = """
import sys
from datetime import datetime
from pathlib import Path
from agentphone_mcp.commands.install.files import change
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    line = f"{sys.argv[1]}-{number}\\n"
    change(Path(sys.argv[2]), lambda text: (text or "") + line, Path(sys.argv[3]), datetime.now())
"""
"""The script that several processes run at once."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Create a host's file."""
    file = tmp_path / "host" / "mcp.json"
    file.parent.mkdir()
    file.write_bytes(b"old\r\n")
    return file


@pytest.fixture
def edit(tmp_path: Path) -> Callable[..., Change]:
    """Change a file by an edit function."""
    return lambda file, by: change(file, by, tmp_path / "lock", NOW)


def test_what_it_held_is_kept_beside_it(path: Path, edit: Callable[..., Change]) -> None:
    done = edit(path, lambda text: f"{text}new")
    assert done == Change(path.resolve(), changed=True, backup=path.with_name("mcp.json.2026-11-21T153000.bak"))
    assert (path.read_bytes(), done.backup.read_bytes()) == (b"old\r\nnew", b"old\r\n")
    again = edit(path, lambda text: f"{text}er")
    assert again.backup.name == "mcp.json.2026-11-21T153000_2.bak"
    assert again.backup.read_bytes() == b"old\r\nnew"
    assert previous_text(path, lambda _: True) == "old\r\nnew"
    assert previous_text(path, lambda text: "new" not in text) == "old\r\n"
    assert previous_text(path, lambda text: "never" in text) is None


def test_nothing_is_left_where_nothing_changes(path: Path, edit: Callable[..., Change]) -> None:
    before = path.stat().st_mtime_ns
    assert edit(path, lambda text: text) == Change(path.resolve(), changed=False)
    assert path.stat().st_mtime_ns == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_made_with_its_folders(tmp_path: Path, edit: Callable[..., Change]) -> None:
    file = tmp_path / "a" / "b" / "mcp.json"
    assert edit(file, lambda text: f"{text}!") == Change(file.resolve(), changed=True, is_new=True)
    assert file.read_text() == "None!"
    assert edit(file, lambda _: None) == Change(file.resolve(), changed=True)
    assert list(file.parent.iterdir()) == []


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664], ids=oct)
def test_a_file_keeps_its_mode_and_its_copy_has_it_too(path: Path, edit: Callable[..., Change], mode: int) -> None:
    path.chmod(mode)
    done = edit(path, lambda _: "new")
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, done.backup)] == [mode, mode]


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077], ids=oct)
def test_a_new_file_of_a_project_is_for_all_who_work_on_it(tmp_path: Path, umask: int) -> None:
    file, lock = tmp_path / ".mcp.json", tmp_path / "lock"
    before = os.umask(umask)
    try:
        change(file, lambda _: "new", lock, NOW, is_shared=True)
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
        file.chmod(0o640)
        change(file, lambda _: "newer", lock, NOW, is_shared=True)
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@POSIX
def test_a_new_file_is_for_its_owner_alone(tmp_path: Path, edit: Callable[..., Change]) -> None:
    edit(tmp_path / "new.json", lambda _: "new")
    assert stat.S_IMODE((tmp_path / "new.json").stat().st_mode) == 0o600


@POSIX
def test_a_link_stays_a_link(path: Path, tmp_path: Path, edit: Callable[..., Change]) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)
    done = edit(link, lambda _: "new")
    assert link.is_symlink()
    assert (done.file, path.read_text()) == (path.resolve(), "new")
    assert done.backup.parent == path.parent


def test_the_mark_of_notepad_stays(path: Path, edit: Callable[..., Change]) -> None:
    path.write_bytes(b"\xef\xbb\xbf{}")
    edit(path, lambda text: f"<{text}>")
    assert path.read_bytes() == b"\xef\xbb\xbf<{}>"


def test_what_a_host_writes_meanwhile_is_not_lost(path: Path, edit: Callable[..., Change]) -> None:
    seen: list[str] = []

    def slow(text: str) -> str:
        seen.append(text)
        if len(seen) == 1:
            path.write_text("written by the host")
        return f"{text} and us"

    done = edit(path, slow)
    assert seen == ["old\r\n", "written by the host"]
    assert path.read_text() == "written by the host and us"
    assert done.backup.read_text() == "written by the host"
    assert sorted(path.parent.iterdir()) == sorted([path, done.backup])


def test_a_host_that_keeps_writing_wins(path: Path, edit: Callable[..., Change]) -> None:

    def hopeless(text: str) -> str:
        path.write_text(f"{text}.")
        return "us"

    with pytest.raises(HostFileError, match="its program keeps writing it, so quit that first"):
        edit(path, hopeless)
    assert list(path.parent.iterdir()) == [path]


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    file, lock = tmp_path / "mcp.json", tmp_path / "lock"
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDING, name, str(file), str(lock)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b", "c")
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.wait(PATIENCE) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert sorted(file.read_text().split()) == sorted(f"{name}-{n}" for name in "abc" for n in range(10))


@pytest.mark.parametrize("content", [b"\xff\xfe{\x00}\x00", b"{}\n\xe9"], ids=["utf-16", "latin-1"])
def test_what_is_no_utf_8_is_left_alone(path: Path, edit: Callable[..., Change], content: bytes) -> None:
    path.write_bytes(content)
    for attempt in (lambda: edit(path, str), lambda: read(path)):
        with pytest.raises(HostFileError, match=r"line \d: it is not in UTF-8: save it so first"):
            attempt()
    assert path.read_bytes() == content


def test_a_place_that_can_hold_no_file_is_named(path: Path, edit: Callable[..., Change]) -> None:
    with pytest.raises(HostFileError, match=r"mcp\.json.* cannot be changed: .+"):
        edit(path / "below.json", lambda _: "new")
    assert path.read_bytes() == b"old\r\n"


@POSIX
def test_a_pipe_is_neither_waited_for_nor_replaced(tmp_path: Path, edit: Callable[..., Change]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for attempt in (lambda: edit(pipe, lambda _: "new"), lambda: read(pipe)):
        with pytest.raises(HostFileError, match="it is a device or a pipe"):
            attempt()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
@NO_ROOT
@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_what_is_read_only_is_left_alone(path: Path, edit: Callable[..., Change], is_folder: bool) -> None:
    target, mode = (path.parent, 0o700) if is_folder else (path, 0o600)
    target.chmod(mode & 0o555)
    try:
        with pytest.raises(HostFileError, match=r"read-only|permission denied"):
            edit(path, lambda _: "new")
    finally:
        target.chmod(mode)
    assert path.read_bytes() == b"old\r\n"
    assert list(path.parent.iterdir()) == [path]


@POSIX
def test_another_users_file_is_not_taken_over(
    path: Path, edit: Callable[..., Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(HostFileError, match="it belongs to another user, who alone can change it"):
        edit(path, lambda _: "new")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="root alone gives files away")
def test_a_file_keeps_its_owner(path: Path, edit: Callable[..., Change]) -> None:
    os.chown(path, 12_345, 54_321)
    done = edit(path, lambda _: "new")
    assert [(file.stat().st_uid, file.stat().st_gid) for file in (path, done.backup)] == [(12_345, 54_321)] * 2


def test_an_edit_that_fails_leaves_nothing(path: Path, edit: Callable[..., Change]) -> None:

    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(path, interrupted)
    assert list(path.parent.iterdir()) == [path]
    assert edit(path, lambda _: "new").changed
