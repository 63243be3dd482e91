"""Bound how many recordings are in memory at once, from their first byte until the client has the answer."""

import gc
from collections.abc import Callable

import anyio

from agentphone_mcp.policy.errors import Refused

_MOST = 2
"""Recordings of all callers together; in an answer each takes up to five times its size."""
_SECONDS = 20.0
"""How long a read waits for its turn."""


class RecordingSlots:
    """Let each caller of a process read one recording at a time, and all of them two, in the order of their coming."""

    def __init__(self) -> None:
        self._readers: set[str] = set()
        self._was_used = False
        self._waiting: list[tuple[str, anyio.Event]] = []

    async def take(self, caller: str) -> Callable[[], None]:
        """Wait for a turn; returns what gives it back.

        Raises:
            Refused: if others take too long.
        """
        turn = anyio.Event()
        self._waiting.append((caller, turn))
        self._admit()
        is_taken = False
        try:
            with anyio.move_on_after(_SECONDS):
                await turn.wait()
                is_taken = True
        finally:
            if not is_taken:
                self._give_up(caller, turn)
        if not is_taken:
            raise Refused("Nothing was read: other recordings are still being handed over. Try again in a minute.")
        if self._was_used:
            # Answers end in circles of references, which Python counts and does not weigh: it would keep many of them.
            self._was_used = False
            gc.collect()
        return lambda: self._release(caller)

    def _give_up(self, caller: str, turn: anyio.Event) -> None:
        if turn.is_set():
            self._release(caller)
        else:
            self._waiting.remove((caller, turn))

    def _release(self, caller: str) -> None:
        self._was_used = True
        self._readers.discard(caller)
        self._admit()

    def _admit(self) -> None:
        for caller, turn in list(self._waiting):
            if len(self._readers) < _MOST and caller not in self._readers:
                self._readers.add(caller)
                self._waiting.remove((caller, turn))
                turn.set()
