"""Run a session over stdio from its first line: answer early where possible, then hand it over to the SDK."""

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
    """Exchange lines with a host."""

    @property
    def lines(self) -> Iterable[str]:
        """Yield the host's lines."""
        ...

    def write(self, text: str) -> None:
        """Write whole lines to the host."""

    def write_at_once(self, text: str) -> bool:
        """Write them if that takes no waiting; return whether they were written."""
        ...


class EarlySession:
    """Read the host's lines on a thread, and answer those whose answer is precomputed.

    To the SDK it is both of the streams that `stdio_server` takes: iterating gives every line from the first on, and
    what is written goes to the host, unless it answers what was answered before. `on_difference` gets a method that the
    SDK answered differently.
    """

    def __init__(self, channel: LineChannel, answers: PrecomputedAnswers, on_difference: Callable[[str], None]) -> None:
        self._channel = channel
        self._answers: PrecomputedAnswers | None = answers
        self._on_difference = on_difference
        self._lines: deque[str | None] = deque()
        """What the SDK has not read yet; None is the end."""
        self._wake: Callable[[], object] = lambda: None
        self._awaiting_sdk: dict[RequestId, Early] = {}
        """Requests that were answered here, and that the SDK is still going to answer."""
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
                    if not self._cancels_answered(line):
                        self._answer(line)
                        self._pass_on(line)
        finally:
            # When this thread ends, so must the session: otherwise the host would wait forever.
            self._has_ended = True
            self._pass_on(None)

    def _answer(self, line: str) -> None:
        answers = self._answers
        early = answers.to(line) if answers else None
        if early is None:
            return
        response = {"jsonrpc": "2.0", "id": early.id, "result": early.result}
        try:
            self._channel.write(json.dumps(response, ensure_ascii=False, separators=(",", ":")) + "\n")
        except OSError:
            # The SDK meets the same error, and handles it.
            self._answers = None
        else:
            self._awaiting_sdk[early.id] = early

    def _cancels_answered(self, line: str) -> bool:
        """Return whether a line cancels a request that is answered already; the SDK would still act on it."""
        message = read_message(line) if self._awaiting_sdk else None
        if message is None:
            return False
        if message["method"] == "notifications/cancelled":
            cancelled = message.get("params", {}).get("requestId")
            # The SDK takes "1" for 1 here.
            return str(cancelled) in map(str, list(self._awaiting_sdk))
        request_id = message.get("id")
        # Anything else is no id; a list is not even hashable.
        if is_id(request_id) and request_id in self._awaiting_sdk:
            self._used_again.add(request_id)
        return False

    def _pass_on(self, line: str | None) -> None:
        self._lines.append(line)
        # The event loop may have ended already.
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
        """Send a message of the SDK, unless it answers a request that was answered early."""
        from anyio.to_thread import run_sync

        if self._awaiting_sdk and self._is_answered(json.loads(text)):
            return
        # Waking another thread usually takes longer than the host takes to make room.
        if not self._channel.write_at_once(text):
            await run_sync(self._channel.write, text)

    async def flush(self) -> None:
        """Do nothing; writes are not buffered."""

    def _is_answered(self, message: dict[str, Any]) -> bool:
        request_id = message.get("id")
        early = None if "method" in message or request_id is None else self._awaiting_sdk.get(request_id)
        if early is None:
            return False
        is_same = message.get("result") == early.result
        if not is_same and early.id in self._used_again:
            return False
        del self._awaiting_sdk[early.id]
        # At the end the SDK cancels requests, so that their answers differ.
        if not is_same and not self._has_ended:
            self._on_difference(early.method)
        return True
