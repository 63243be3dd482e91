"""One session over stdio, from its first line on: answered early where that can be, then the SDK's."""

import json
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import Any, Protocol

from agentphone_mcp.server.stdio.early_answers import Early, PrecomputedAnswers, RequestId, is_id, read_message

_SWITCH_SECONDS = 0.0005
"""How long an answer may wait for the thread that imports; Python's own five milliseconds would be most of a start."""


class LineChannel(Protocol):
    """Where the lines come from and go to."""

    @property
    def lines(self) -> Iterable[str]:
        """What the host says, line by line."""
        ...

    def write(self, text: str) -> None:
        """Say whole lines to the host."""
        ...

    def write_at_once(self, text: str) -> bool:
        """Say them if that takes no waiting, and tell whether they were said."""
        ...


class EarlySession:
    """Reads what a host says on a thread that lasts as long as the process, and answers what it knows.

    To the SDK it is both of the streams that `stdio_server` takes: iterating gives every line from the first on, and
    what is written goes to the host, unless it answers what was answered before.

    Args:
        channel: where the host is.
        answers: what is known.
        differs: told of a method that the SDK answered otherwise.
    """

    def __init__(self, channel: LineChannel, answers: PrecomputedAnswers, differs: Callable[[str], None]) -> None:
        self._channel = channel
        self._answers: PrecomputedAnswers | None = answers
        self._differs = differs
        self._lines: deque[str | None] = deque()
        """What the SDK has not read yet; None is the end."""
        self._wake: Callable[[], object] = lambda: None
        self._unsettled: dict[RequestId, Early] = {}
        """What was answered, and the SDK is going to answer."""
        self._used_again: set[RequestId] = set()
        self._has_ended = False
        self._switch_seconds = sys.getswitchinterval()

    def start(self) -> None:
        """Begin to read, and to answer."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        # Nothing can wake it from reading, so the process must be able to end without it.
        Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        try:
            with suppress(OSError):
                for line in self._channel.lines:
                    if not self._is_late(line):
                        self._answer(line)
                        self._pass_on(line)
        finally:
            # Whatever ends this thread ends the session: a host that is told nothing would wait forever.
            self._has_ended = True
            self._pass_on(None)

    def _answer(self, line: str) -> None:
        answers = self._answers
        early = answers.to(line) if answers else None
        if early is None:
            return
        said = {"jsonrpc": "2.0", "id": early.id, "result": early.result}
        try:
            self._channel.write(json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n")
        except OSError:
            # The SDK will meet it, and knows what to do.
            self._answers = None
        else:
            self._unsettled[early.id] = early

    def _is_late(self, line: str) -> bool:
        """Whether a line cancels what was answered: whoever answered would not heed it any more, but the SDK would."""
        message = read_message(line) if self._unsettled else None
        if message is None:
            return False
        if message["method"] == "notifications/cancelled":
            asked = message.get("params", {}).get("requestId")
            # The SDK takes "1" for 1 here.
            return str(asked) in map(str, list(self._unsettled))
        request_id = message.get("id")
        # Any other is not in use; a list could not even be looked for.
        if is_id(request_id) and request_id in self._unsettled:
            self._used_again.add(request_id)
        return False

    def _pass_on(self, line: str | None) -> None:
        self._lines.append(line)
        # The loop may have ended, and with it whoever wanted to know.
        with suppress(RuntimeError):
            self._wake()

    async def __aiter__(self) -> AsyncGenerator[str]:
        """Give the SDK every line; from here on it answers."""
        from asyncio import Event, get_running_loop

        from anyio.to_thread import run_sync

        sys.setswitchinterval(self._switch_seconds)
        self._answers = None
        arrived, loop = Event(), get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(arrived.set)
        while True:
            arrived.clear()
            while self._lines:
                line = self._lines.popleft()
                if line is None:
                    # The end of a file is read on a thread: what the SDK can answer meanwhile, it has answered.
                    await run_sync(lambda: None)
                    return
                yield line
            await arrived.wait()

    async def write(self, text: str) -> None:
        """Send a message of the SDK's, unless the host has its like already."""
        from anyio.to_thread import run_sync

        if self._unsettled and self._settles(json.loads(text)):
            return
        # Another thread would take longer to wake up than most hosts take to make room.
        if not self._channel.write_at_once(text):
            await run_sync(self._channel.write, text)

    async def flush(self) -> None:
        """Nothing is kept back."""

    def _settles(self, message: dict[str, Any]) -> bool:
        request_id = message.get("id")
        early = None if "method" in message or request_id is None else self._unsettled.get(request_id)
        if early is None:
            return False
        is_same = message.get("result") == early.result
        if not is_same and early.id in self._used_again:
            return False
        del self._unsettled[early.id]
        # At the end the SDK breaks off what it is about to answer.
        if not is_same and not self._has_ended:
            self._differs(early.method)
        return True
