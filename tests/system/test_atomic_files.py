"""A file is replaced at once, and what comes after that cannot undo it."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agentphone_mcp.system.atomic_files import replace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere no folder is opened")


def test_a_folder_that_may_not_be_read_holds_the_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, opens = tmp_path / "file", os.open

    def refusing(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opens(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refusing)
    assert replace(file, b"new")
    assert file.read_bytes() == b"new"


def test_a_file_system_that_writes_no_folder_through_holds_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, fsync, folders = tmp_path / "file", os.fsync, list[int]()

    def refusing(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            folders.append(handle)
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refusing)
    assert replace(file, b"new")
    assert file.read_bytes() == b"new"
    (folder,) = folders
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(folder)


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is no matter of the folder's, and is raised."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace(tmp_path / "file", b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir() if file.is_file()] == [b"old"]
