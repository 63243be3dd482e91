"""Keep the key of a running sandbox where this user's other commands find it, so that none has to be typed."""

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from agentphone_mcp.config.config import read_state
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.system.atomic_files import replace

_LONGEST = 1_000


@contextlib.contextmanager
def kept_key(url: str, key: str) -> Generator[None]:
    """Keep the key of the sandbox at a URL in a file that only this user can read, until the block is left.

    Where no file can be written the sandbox runs without, and its key has to be named by a variable.
    """
    file = _file_for(url)
    content = f"{key}\n".encode()
    if file:
        with contextlib.suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace(file, content)
    try:
        yield
    finally:
        # A later sandbox at the same port may have replaced it.
        if file and find_key(url) == key:
            with contextlib.suppress(OSError):
                file.unlink()


def find_key(url: str) -> str | None:
    """Find the key of the sandbox at a URL; None if there is none that this user alone could have written."""
    file = _file_for(url)
    if file is None:
        return None
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as opened:
            if not _is_private(os.fstat(handle)):
                return None
            return opened.read(_LONGEST).decode("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _is_private(status: os.stat_result) -> bool:
    if os.name != "posix":
        return stat.S_ISREG(status.st_mode)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _file_for(url: str) -> Path | None:
    try:
        port = urlsplit(url).port
        return Path(read_state("")) / "sandboxes" / f"{port}.key" if port else None
    except (ValueError, ConfigError):
        return None
