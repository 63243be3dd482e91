"""Keep stdin and stdout of the process for the protocol alone.

The SDK does the same when it serves, but not before, and not where it is given streams; its `mcp.server.stdio` says why
each step is taken.
"""

import os
import select
import sys
from contextlib import suppress
from io import TextIOWrapper
from threading import Lock
from typing import TextIO

_BUFFER_BYTES = 65_536
_ATOMIC_BYTES: int = getattr(select, "PIPE_BUF", 0)
"""How many bytes a pipe that has room takes without waiting; Windows cannot say whether one has."""


class StdioChannel:
    """Read from and write to the host on private copies of stdin and stdout.

    For the rest of the process and for its children stdin is empty and stdout is stderr meanwhile, so that they neither
    print among the messages nor read them.

    Raises:
        OSError: if they are no descriptors 0 and 1, or cannot be moved; they are as they were then.
    """

    def __init__(self, stdin: TextIO, stdout: TextIO) -> None:
        if (stdin.fileno(), stdout.fileno()) != (0, 1):
            raise OSError("stdin and stdout are not the process's own")
        self._stdout = stdout
        self._in, self._out = _private(0), _private(1)
        try:
            _divert(0, os.open(os.devnull, os.O_RDONLY))
            _divert(1, _stderr())
        except OSError:
            self.release()
            raise
        # Never closed: a thread may wait on it until the process ends.
        source = os.fdopen(self._in, "rb", _BUFFER_BYTES, closefd=False)
        self.lines = TextIOWrapper(source, encoding="utf-8", errors="replace")
        """The host's lines, each with its end; iterating waits for the next one."""
        writer = LineWriter(self._out)
        self.write, self.write_at_once = writer.write, writer.write_at_once

    def release(self) -> None:
        """Give both back to the process."""
        with suppress(OSError, ValueError):
            # What somebody printed must not follow the messages.
            self._stdout.flush()
        for fd, private in ((0, self._in), (1, self._out)):
            with suppress(OSError):
                os.dup2(private, fd)
                _update_windows_handle(fd)


class LineWriter:
    """Write whole lines, one thread at a time, to a descriptor whose writers wait while there is no room."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._writing = Lock()

    def write(self, text: str) -> None:
        """Write whole lines; wait for other threads, and for a host that does not read.

        Raises:
            OSError: if the host has gone.
        """
        with self._writing:
            self._write(text.encode())

    def write_at_once(self, text: str) -> bool:
        """Write whole lines if that takes no waiting, else nothing; return whether they were written.

        Raises:
            OSError: if the host has gone.
        """
        data = text.encode()
        if len(data) > _ATOMIC_BYTES or not self._writing.acquire(blocking=False):
            return False
        try:
            if not self._has_room():
                return False
            self._write(data)
            return True
        finally:
            self._writing.release()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0))


def _private(fd: int) -> int:
    private = os.dup(fd)
    if private <= 2:
        # One of the three was closed, and a child would take it for that.
        os.close(private)
        raise OSError(f"descriptor {fd} has no place above the standard ones")
    return private


def _stderr() -> int:
    try:
        return os.dup(2)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _divert(fd: int, target: int) -> None:
    try:
        os.dup2(target, fd)
    finally:
        os.close(target)
    with suppress(OSError):
        _update_windows_handle(fd)


def _update_windows_handle(fd: int) -> None:
    """Have the children of a Windows process inherit the descriptor as it is now: Windows keeps its own list."""
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        # STD_INPUT_HANDLE is -10, and STD_OUTPUT_HANDLE the next one down.
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(fd))
        ctypes.windll.kernel32.SetStdHandle(ctypes.c_ulong(-10 - fd), handle)
