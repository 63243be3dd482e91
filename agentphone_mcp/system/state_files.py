"""Keep a program's state: in a folder that nobody else may change, as regular files that no link leads away from."""

import os
import stat
import sys
from pathlib import Path

_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class UnsafeState(OSError):
    """Raised when somebody else could change a file, or a link leads to another; the message is one sentence."""


def make_private_folder(folder: Path) -> None:
    """Make a folder and its missing parents for the owner alone, or check the one that is there.

    Raises:
        UnsafeState: if others may write in it.
        OSError: if it cannot be made.
    """
    if not folder.is_dir():
        _make_folder(folder)
    check_private_folder(folder)


def check_private_folder(folder: Path) -> None:
    """Check that nobody else may put files into a folder, or take them away.

    Raises:
        UnsafeState: if they may.
        OSError: if there is no such folder.
    """
    if sys.platform == "win32":
        return
    status = folder.stat()
    me = os.geteuid()
    # Root works in others' folders, as in a container with a folder of its host.
    if me != 0 and status.st_uid not in (me, 0):
        raise UnsafeState(f"the folder {folder} belongs to another user, who may replace what is in it")
    if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and not _is_my_own_group(status.st_gid)):
        raise UnsafeState(f"others may write in the folder {folder}, which chmod go-w mends")


def make_private_file(file: Path) -> None:
    """Create an empty file for the owner alone, or close the one that is there to others; no link is followed.

    Raises:
        UnsafeState: if a link or something else than a file is there.
        OSError: if it cannot be created.
    """
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, _FILE_MODE))
    except FileExistsError:
        close_to_others(file)


def close_to_others(file: Path) -> None:
    """Take a file's access from others if it is ours, and if it is there at all.

    Raises:
        UnsafeState: if it is a link or something else than a file.
    """
    try:
        status = file.lstat()
    except FileNotFoundError:
        return
    _check_regular(file, status)
    # A file with a second name, or of another user, is not ours to change.
    if sys.platform != "win32" and status.st_mode & 0o077 and status.st_nlink == 1 and status.st_uid == os.geteuid():
        file.chmod(_FILE_MODE)


def open_unlinked(path: str, flags: int) -> int:
    """Open a file as the `opener` of `open`, for the owner alone if it is new; a link is not followed."""
    return os.open(path, flags | _NO_LINK, _FILE_MODE)


def identity(file: Path) -> tuple[int, int] | None:
    """Tell which file has this name now, by device and inode; None if there is none.

    Raises:
        UnsafeState: if it is a link or something else than a file.
    """
    try:
        status = file.lstat()
    except FileNotFoundError:
        return None
    _check_regular(file, status)
    return status.st_dev, status.st_ino


def _check_regular(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a link, which is not followed" if stat.S_ISLNK(status.st_mode) else "no regular file"
        raise UnsafeState(f"{file.name} is {what}")


def _make_folder(folder: Path) -> None:
    """Make a folder and its missing parents for the owner alone; `mkdir(parents=True)` leaves the parents open."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def _is_my_own_group(group: int) -> bool:
    """Tell whether a group has this user alone, as every user has one on many systems that let it write."""
    if sys.platform == "win32":
        return False
    import grp
    import pwd

    try:
        me, entry = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return group == os.getegid() and entry.gr_name == me and not set(entry.gr_mem) - {me}
