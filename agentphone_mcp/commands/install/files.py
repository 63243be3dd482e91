"""Change a host's file atomically, with a backup, and never over a concurrent change."""

import contextlib
import glob
import itertools
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from agentphone_mcp.commands.install.documents import InvalidFile
from agentphone_mcp.system.atomic_files import give, replace

_MARK = "\ufeff"
"""The byte order mark that Notepad writes; it is kept, and is not part of the text."""
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TRIES = 5
_PATIENCE = 10.0
"""Seconds to wait for another `install`; a change takes a few milliseconds."""
_BACKUP_TIME = "%Y-%m-%dT%H%M%S"

Edit = Callable[[str | None], str | None]
"""Maps the old text to the new one; None stands for no file."""


class HostFileError(Exception):
    """Reports that a host's file was left unchanged, in one sentence with its path."""


@dataclass(frozen=True)
class Change:
    """Describes what was done to a file.

    Attributes:
        file: the file itself, with links resolved.
        backup: a copy of the previous content; None if there was none, or nothing changed.
    """

    file: Path
    changed: bool
    backup: Path | None = None
    is_new: bool = False


def read(file: Path) -> str | None:
    """Read a host's file with its line ends unchanged; None if there is none.

    Raises:
        HostFileError: if it cannot be read.
    """
    try:
        return _text(_bytes(file))
    except InvalidFile as exc:
        raise HostFileError(f"{file} cannot be read: {exc}") from None
    except OSError as exc:
        raise _file_error(file, exc, "read") from None


def _nothing_secret(_: str) -> bool:
    return False


def change(
    file: Path,
    edit: Edit,
    lock: Path,
    now: datetime,
    *,
    is_shared: bool = False,
    holds_secret: Callable[[str], bool] = _nothing_secret,
) -> Change:
    """Change a host's file, after waiting for any other `install` that runs.

    A running host may write its file at any time. So the file is read again right before it is replaced, and the edit
    is repeated on what it holds then.

    Args:
        file: its path; the file and its folder may not exist yet, and a link stays a link.
        edit: may raise `InvalidFile`.
        lock: the file that only one install at a time may lock.
        now: the local time, for the name of the backup.
        is_shared: create a new file with the usual mode, as a project's other users read it too, instead of 0600.
        holds_secret: tells whether a text holds a key; if the new or the old one does, the file and its backup become
            readable by their owner alone.

    Raises:
        HostFileError: if it cannot be parsed, read or written; it is left unchanged.
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
            result = _apply(Path(os.path.realpath(file)), edit, now, holds_secret)
            if is_shared and result.is_new and os.name == "posix":
                result.file.chmod(0o666 & ~_umask())
            return result
    except (OSError, InvalidFile) as exc:
        raise _file_error(file, exc, "changed") from None


def previous_text(file: Path, is_without: Callable[[str], bool]) -> str | None:
    """Return the content of the newest backup without our entry, or None if there is none."""
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


def _apply(file: Path, edit: Edit, now: datetime, holds_secret: Callable[[str], bool]) -> Change:
    for _ in range(_TRIES):
        before = _bytes(file)
        text = _text(before)
        wanted = edit(text)
        is_private = holds_secret(wanted or "") or holds_secret(text or "")
        if wanted == text:
            return Change(file, changed=is_private and before is not None and _make_private(file))
        if before is not None:
            _check_writable(file)
        if wanted is None:
            # The file was created for our entry alone, so that a backup would hold nothing else.
            if _bytes(file) != before:
                continue
            file.unlink()
            return Change(file, changed=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        mark = _MARK if before and before.startswith(_MARK.encode()) else ""
        backup = None if before is None else _backup(file, before, now, is_private=is_private)
        try:
            owned = None if before is None else _owned(file, is_private=is_private)
            if replace(file, f"{mark}{wanted}".encode(), owned, is_wanted=lambda before=before: _bytes(file) == before):
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
    # Reading a pipe could block for ever, and replacing a device would affect the whole system.
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


def _owned(file: Path, *, is_private: bool) -> os.stat_result:
    """Return the owner and the mode of a file, the latter without what others may do if it is private."""
    before = file.stat()
    return os.stat_result((before.st_mode & ~_OF_OTHERS, *before[1:])) if is_private else before


def _make_private(file: Path) -> bool:
    """Take from others what they may do with a file; says whether they could do anything."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if os.name != "posix" or not mode & _OF_OTHERS:
        return False
    _check_writable(file)
    file.chmod(mode & ~_OF_OTHERS)
    return True


def _backup(file: Path, content: bytes, now: datetime, *, is_private: bool) -> Path:
    for number in itertools.count(1):
        again = f"_{number}" if number > 1 else ""
        backup = file.with_name(f"{file.name}.{now.strftime(_BACKUP_TIME)}{again}.bak")
        with contextlib.suppress(FileExistsError):
            with open(backup, "xb", opener=partial(os.open, mode=0o600)) as copy:
                copy.write(content)
                give(copy.fileno(), _owned(file, is_private=is_private))
            return backup
    raise AssertionError  # pragma: no cover - the numbers have no end


def _umask() -> int:
    # The umask can be read only by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _file_error(file: Path, wrong: OSError | InvalidFile, verb: str) -> HostFileError:
    if isinstance(wrong, InvalidFile):
        return HostFileError(f"{file} stays as it is: {wrong}")
    return HostFileError(f"{file} cannot be {verb}: {(wrong.strerror or 'the system refuses it').lower()}")
