"""Changing a host's file: with a backup, at once, and never over what somebody else has just written there."""

import contextlib
import glob
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agentphone_mcp.commands.install.documents import InvalidFile
from agentphone_mcp.system.atomic_files import give, replace

_MARK = "\ufeff"
"""With which Notepad begins a text file; it is no part of the text, and stays."""
_TRIES = 5
_PATIENCE = 10.0
"""Seconds to wait for another `install`; a change takes a few milliseconds."""
_BACKUP_TIME = "%Y-%m-%dT%H%M%S"

Edit = Callable[[str | None], str | None]
"""Makes the new text of the old; None is no file."""


class HostFileError(Exception):
    """A host's file stays as it was; the message is one sentence with its path."""


@dataclass(frozen=True)
class Change:
    """What was done to a file.

    Attributes:
        file: the file itself, where a link leads.
        changed: whether it was not as wanted already.
        backup: a copy of what it held before; None if there was nothing, or nothing was changed.
        is_new: whether it was not there.
    """

    file: Path
    changed: bool
    backup: Path | None = None
    is_new: bool = False


def read(file: Path) -> str | None:
    """Read a host's file as it is, line ends included; None if there is none.

    Raises:
        HostFileError: if it cannot be read.
    """
    try:
        return _text(_bytes(file))
    except InvalidFile as exc:
        raise HostFileError(f"{file} cannot be read: {exc}") from None
    except OSError as exc:
        raise _file_error(file, exc, "read") from None


def change(file: Path, edit: Edit, lock: Path, now: datetime, *, is_shared: bool = False) -> Change:
    """Change a host's file; while another `install` does, wait for it.

    A host that runs may write its file at any time. So the file is looked at again right before it is replaced, and
    whatever has come meanwhile is edited instead.

    Args:
        file: which; it may not be there yet, nor its folder, and a link to it stays a link.
        edit: makes the new text of the old, and raises `InvalidFile` where it cannot.
        lock: the file by which installs wait for each other.
        now: the local time, for the name of the backup.
        is_shared: a new file is for all who work on a project, and so gets the usual mode instead of its owner's alone.

    Raises:
        HostFileError: if it is not to be understood, read or written; it stays as it was.
    """
    from filelock import FileLock, Timeout

    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock, timeout=_PATIENCE).acquire()
    except Timeout:
        raise HostFileError(f"{file} stays as it is: another install has been at work for too long") from None
    except OSError as exc:
        raise _file_error(lock, exc, "written") from None
    try:
        with held:
            result = _apply(Path(os.path.realpath(file)), edit, now)
            if is_shared and result.is_new and os.name == "posix":
                result.file.chmod(0o666 & ~_umask())
            return result
    except (OSError, InvalidFile) as exc:
        raise _file_error(file, exc, "changed") from None


def previous_text(file: Path, is_without: Callable[[str], bool]) -> str | None:
    """What a file held before our entry came, from the newest backup without it; None if there is none."""
    file = Path(os.path.realpath(file))
    try:
        backups = sorted(file.parent.glob(f"{glob.escape(file.name)}.*.bak"), reverse=True)
    except OSError:
        return None
    for backup in backups:
        with contextlib.suppress(OSError, InvalidFile):
            text = _text(backup.read_bytes())
            if text is not None and is_without(text):
                return text
    return None


def _apply(file: Path, edit: Edit, now: datetime) -> Change:
    for _ in range(_TRIES):
        before = _bytes(file)
        text = _text(before)
        wanted = edit(text)
        if wanted == text:
            return Change(file, changed=False)
        if before is not None:
            _check_writable(file)
        if wanted is None:
            # It was made for our entry alone, and nothing else would be in a backup.
            if _bytes(file) != before:
                continue
            file.unlink()
            return Change(file, changed=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        mark = _MARK if before and before.startswith(_MARK.encode()) else ""
        backup = None if before is None else _backup(file, before, now)
        try:
            if _replace(file, before, f"{mark}{wanted}".encode()):
                return Change(file, changed=True, backup=backup, is_new=before is None)
        except BaseException:
            _discard(backup)
            raise
        _discard(backup)
    raise InvalidFile("its program keeps writing it, so quit that first")


def _check_writable(file: Path) -> None:
    if os.name == "posix" and os.geteuid() not in (0, file.stat().st_uid):
        raise InvalidFile("it belongs to another user, who alone can change it")
    if not os.access(file, os.W_OK):
        raise InvalidFile("it is read-only")


def _discard(backup: Path | None) -> None:
    if backup:
        backup.unlink(missing_ok=True)


def _bytes(file: Path) -> bytes | None:
    # A pipe would be waited for without an end, and a device replaced for the whole system.
    if os.path.exists(file) and not os.path.isfile(file) and not os.path.isdir(file):
        raise InvalidFile("it is a device or a pipe")
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def _text(content: bytes | None) -> str | None:
    if content is None:
        return None
    try:
        return content.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise InvalidFile(f"line {line}: it is not in UTF-8: save it so first") from None


def _backup(file: Path, content: bytes, now: datetime) -> Path:
    for number in itertools.count(1):
        again = f"_{number}" if number > 1 else ""
        backup = file.with_name(f"{file.name}.{now.strftime(_BACKUP_TIME)}{again}.bak")
        with contextlib.suppress(FileExistsError):
            with open(backup, "xb", opener=_for_its_owner) as copy:
                copy.write(content)
                give(copy.fileno(), file.stat())
            return backup
    raise AssertionError  # pragma: no cover - the numbers have no end


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _umask() -> int:
    # It can be looked at only by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _replace(file: Path, before: bytes | None, content: bytes) -> bool:
    owned = None if before is None else file.stat()
    return replace(file, content, owned, is_wanted=lambda: _bytes(file) == before)


def _file_error(file: Path, wrong: OSError | InvalidFile, verb: str) -> HostFileError:
    if isinstance(wrong, InvalidFile):
        return HostFileError(f"{file} stays as it is: {wrong}")
    return HostFileError(f"{file} cannot be {verb}: {(wrong.strerror or 'the system refuses it').lower()}")
