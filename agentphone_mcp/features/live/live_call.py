"""Follow one live call upstream for all who watch it: one stream, whose turns and state they share."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from agentphone_mcp.api.calls import ENDED, Call, CallsApi, TranscriptEvent, Turn
from agentphone_mcp.api.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Paced,
    RateLimited,
    ServerError,
    TooLarge,
    Unauthorized,
    Unreachable,
)
from agentphone_mcp.api.models import MOST_ROWS
from agentphone_mcp.api.pacing import current_caller, on_behalf_of

Answer = TypeVar("Answer")
_POLL_SECONDS = 1.0
_MIN_BACKOFF, _MAX_BACKOFF = 0.1, 4.0
"""Seconds before a broken stream is opened again; doubled each time that it brought no new turn."""
FINAL_READ_SECONDS = 3.0
"""How long the last read of the call may take after `max_seconds`: hosts time a tool out soon after."""
_FRESH_SECONDS = 1.0
"""For how long a read of the call serves whoever else asks for one."""
_MAX_FAILED_READS = 6
"""After how many failed reads in a row polling gives up."""
_TRANSIENT_ERRORS = (Unreachable, ServerError, RateLimited, Conflict, Paced)
"""Errors that may be over in a moment, so that following goes on."""

logger = logging.getLogger(__name__)


class LiveCall:
    """Hold the turns and the state of a call as they become known; it is followed while somebody watches.

    What it costs upstream is counted for those who watch: for the first, and where that one has to wait, for the next.
    """

    def __init__(self, calls: CallsApi, call_id: str, tasks: TaskGroup) -> None:
        self.turns: list[Turn] = []
        self.ended = False
        self.status: str | None = None
        self.duration_seconds: float | None = None
        self.is_complete = False
        """Whether the latest read came to its end, so that nothing said before it is missing."""
        self.is_over = False
        """Whether it is not followed any more, because it ended or cannot be read."""
        self.watchers: Counter[str] = Counter()
        self._failure: Exception | None = None
        self._calls = calls
        self._call_id = call_id
        self._tasks = tasks
        self._has_streamed = False
        self._is_followed = False
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._reading = anyio.Lock()
        self._reads = 0
        self._fresh_until = 0.0
        self._read_error: ApiError | None = None

    @contextmanager
    def watched(self) -> Generator[None]:
        """Count the current caller among those who watch; following stops with the last one."""
        name = current_caller()
        self.watchers[name] += 1
        try:
            yield
        finally:
            self.watchers[name] -= 1
            self.watchers += Counter()
            if not self.watchers:
                self._scope.cancel()

    async def watch(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look at it now and whenever something is new, until it is over; the first one has it followed.

        Raises:
            Exception: what kept the call from being followed.
        """
        if not self._is_followed:
            self._is_followed = True
            self._tasks.start_soon(self._follow)
        while True:
            changed = self._changed
            await look()
            # Somebody else's last read may have seen the end before the stream does.
            if self.is_over or (self.ended and self.is_complete):
                break
            await changed.wait()
        if self._failure:
            raise self._failure

    async def read(self, *, needs_end: bool = True) -> None:
        """Read the status and the turns now, or share a read that was made since this was asked, or just before.

        Without `needs_end` the turns of a call that has ended are not read.

        Raises:
            ApiError: if they cannot be read.
        """
        reads = self._reads
        async with self._reading:
            if reads != self._reads and self._read_error:
                raise self._read_error
            if reads != self._reads or anyio.current_time() < self._fresh_until:
                return
            self._read_error = None
            try:
                await self._as_a_watcher(partial(self._read, needs_end))
                self._fresh_until = anyio.current_time() + _FRESH_SECONDS if self.is_complete else 0.0
                self._reads += 1
            except ApiError as exc:
                self._reads, self._read_error = self._reads + 1, exc
                raise
            finally:
                self._changed_now()

    async def _read(self, needs_end: bool) -> None:
        self.is_complete = False
        call = await self._calls.get(self._call_id)
        if call.has_ended and not needs_end:
            self._update(call)
            return
        # The status is read before the transcript, so that the transcript of an ended call is complete.
        transcript = await self._calls.transcript(self._call_id)
        # A paired transcript counts turns differently from the stream; mixing both would repeat or skip turns.
        if not (transcript.is_paired and self._has_streamed):
            self._add(transcript.turns)
        self._update(call)
        self.is_complete = True

    def _add(self, turns: list[Turn]) -> None:
        """Add the turns of one read or stream, which always start at the first turn."""
        self.turns = max(self.turns, turns, key=len)
        self._changed_now()

    def _update(self, call: Call) -> None:
        """Update the state from the API, which may lag behind an end that the stream reported."""
        if call.has_ended or not self.ended:
            self.status = call.status
        self.ended = self.ended or call.has_ended
        self.duration_seconds = call.duration_seconds or self.duration_seconds

    def _changed_now(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _follow(self) -> None:
        with self._scope:
            try:
                await self._stream_to_the_end()
                # A call that was seen to end by polling has just been read to its end.
                if not self.is_complete:
                    with anyio.move_on_after(FINAL_READ_SECONDS):
                        await self.read()
            except Exception as exc:
                if not isinstance(exc, ApiError):
                    logger.exception("a call is not followed any more")
                self._failure = exc
        self.is_over = True
        self._changed_now()

    async def _stream_to_the_end(self) -> None:
        """Read the live stream, reopening it whenever it breaks; poll if there is none."""
        backoff = _MIN_BACKOFF
        while True:
            turns_before = len(self.turns)
            if not await self._read_stream():
                return await self._poll()
            if self.ended:
                return None
            try:
                await self.read()
            except _TRANSIENT_ERRORS:
                if backoff >= _MAX_BACKOFF:
                    raise
            if self.ended:
                return None
            backoff = _MIN_BACKOFF if len(self.turns) > turns_before else min(2 * backoff, _MAX_BACKOFF)
            await anyio.sleep(backoff)

    async def _read_stream(self) -> bool:
        """Read the live stream until it closes; return False if the API has none."""
        turns: list[Turn] = []
        self.is_complete = False
        try:
            async with AsyncExitStack() as stack:
                events = await self._as_a_watcher(lambda: stack.enter_async_context(self._calls.follow(self._call_id)))
                async for event in events:
                    self._take(event, turns)
                    if self.ended:
                        return True
                    if len(turns) > MOST_ROWS:
                        return False
        except (Unauthorized, Forbidden):
            raise
        except (RateLimited, Paced) as exc:
            await anyio.sleep(exc.retry_after or _MAX_BACKOFF)
            return True
        except _TRANSIENT_ERRORS:
            return True
        except ApiError as exc:
            # Older servers have no stream, and an unreadable one counts as none; the call itself may still be readable.
            # One that is too large would be so again.
            return bool(turns) and not isinstance(exc, TooLarge)
        return True

    def _take(self, event: TranscriptEvent, turns: list[Turn]) -> None:
        # What was read before is not the latest any more.
        self.is_complete, self._fresh_until = False, 0.0
        if event.kind == "ended":
            self.ended = True
            self.status = event.status if event.status in ENDED else None
            self.duration_seconds = event.duration_seconds
        elif event.kind == "connected":
            self.status = event.status
        if event.turn:
            turns.append(event.turn)
            self._has_streamed = True
            self._add(turns)

    async def _poll(self) -> None:
        failed = 0
        while not self.ended:
            try:
                await self.read()
                failed = 0
            except _TRANSIENT_ERRORS:
                failed += 1
                if failed == _MAX_FAILED_READS:
                    raise
            if not self.ended:
                await anyio.sleep(_POLL_SECONDS)

    async def _as_a_watcher(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask upstream on behalf of one who watches: of the next one where the first has asked too much."""
        names = [*self.watchers] or [current_caller()]
        for name in names:
            try:
                with on_behalf_of(name):
                    return await ask()
            except Paced:
                if name == names[-1]:
                    raise
        raise AssertionError("unreachable: the last one returns or raises")
