"""Replace a file atomically: readers see the old or the new content."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path


def _always() -> bool:
    return True


def replace(
    file: Path, content: bytes, before: os.stat_result | None = None, *, is_wanted: Callable[[], bool] = _always
) -> bool:
    """Put a new file in the place of one, and return when it is on the disk, as far as the folder lets that be known.

    Args:
        file: no link.
        before: whose owner and mode it keeps; None makes it for this user alone.
        is_wanted: asked right before it takes its place, when it is written.

    Returns:
        Whether it was replaced.

    Raises:
        OSError: if it cannot be written; it stays as it was.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with open(handle, "wb") as new:
            new.write(content)
            new.flush()
            if before is not None:
                give(new.fileno(), before)
            os.fsync(new.fileno())
        if not is_wanted():
            return False
        os.replace(temporary, file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    if os.name == "posix":
        # Who may not read the folder, or has a file system that refuses this, has the new file all the same.
        with contextlib.suppress(OSError):
            _write_through(file.parent)
    return True


def _write_through(folder: Path) -> None:
    """Have what stands in a folder on the disk: what was there before could be back after a power cut otherwise."""
    handle = os.open(folder, os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def give(handle: int, before: os.stat_result) -> None:
    """Give an open file the owner and the mode of another: they could not read what root has written for them."""
    if os.name == "posix":
        # A group of which its owner is no member cannot be given on.
        with contextlib.suppress(PermissionError):
            os.fchown(handle, before.st_uid, before.st_gid)
        os.fchmod(handle, stat.S_IMODE(before.st_mode))
