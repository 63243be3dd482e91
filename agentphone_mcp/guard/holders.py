"""Who does a pending deed, and whether they are still there."""

import os
import socket


def this_holder() -> str:
    """This process, in a way that another can look it up."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_gone(holder: str | None) -> bool:
    """Whether a process has certainly ended: it was one of this machine, and no process has its number now.

    Only a hint that saves waiting: where it cannot be told (another machine, Windows, a number in use again), the
    deed's own time decides.
    """
    host, _, pid = (holder or "").rpartition(":")
    if os.name != "posix" or host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
