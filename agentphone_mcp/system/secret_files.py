"""Create an owner-only file before the key that it will hold exists."""

import os
from pathlib import Path
from types import TracebackType

_ROOM = b"\n" * 1_024


class KeyFileError(Exception):
    """Raised when the file cannot be made; the message is one sentence with its path."""


class KeyFile:
    """Create the file at once, so that nothing can fail later, when the key is shown only once.

        with KeyFile(path) as file:
            file.write(key)

    Unless a key was written, the file is gone afterwards.

    Args:
        path: where nothing is yet.

    Raises:
        KeyFileError: if something is there, or nothing can be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_written = False
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        except FileExistsError:
            raise KeyFileError(f"{str(path)!r} exists already: name a new file") from None
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or "it is no path"
            raise KeyFileError(f"{str(path)!r} cannot be written: {reason}") from None
        try:
            _write_all(self._file, _ROOM)
        except OSError as exc:
            self.__exit__(None, None, None)
            raise KeyFileError(f"{str(path)!r} cannot be written: {exc.strerror}") from None

    def write(self, key: str) -> None:
        """Write the key, and return when it is on the disk.

        Raises:
            OSError: if it cannot be.
        """
        os.lseek(self._file, 0, os.SEEK_SET)
        _write_all(self._file, f"{key}\n".encode())
        os.ftruncate(self._file, len(key.encode()) + 1)
        os.fsync(self._file)
        self.is_written = True

    def discard(self) -> None:
        """Let the file go in the end, as the key is elsewhere."""
        self.is_written = False

    def __enter__(self) -> "KeyFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        if not self.is_written:
            self.path.unlink(missing_ok=True)


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
