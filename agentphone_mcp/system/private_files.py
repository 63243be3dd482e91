"""Read files that this user alone may read, and tell who else could have changed one."""

import os
import stat
from pathlib import Path

_LARGEST = 4_096


class NotPrivate(Exception):
    """Raised when a file is not private; the message says why in a few words, and how to mend it."""


def read_private(path: Path) -> str:
    """Read a short file that is this user's own, and that nobody else may read or write.

    Raises:
        FileNotFoundError: if there is none.
        NotPrivate: if it is a link or no file, another's, readable by others, or cannot be read.
    """
    # Looked at once it is open, so that it is not exchanged in between.
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise NotPrivate(
            "it is a link" if path.is_symlink() else (exc.strerror or "it cannot be read").lower()
        ) from None
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise NotPrivate("it is not a file")
        if os.name == "posix":
            if status.st_uid != os.geteuid():
                raise NotPrivate("it belongs to another user")
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise NotPrivate("others may read or write it, which chmod 600 mends")
        return file.read(_LARGEST).decode("utf-8", "replace").strip()
