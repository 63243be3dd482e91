"""The call engine: lets calls ring, be answered, speak turn by turn and end, each in a task of its own."""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from agentphone_mcp.sandbox.callees import Callee
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.feed import Feed
from agentphone_mcp.sandbox.money import voice_charge
from agentphone_mcp.sandbox.replies import Replies, VoicemailMessage
from agentphone_mcp.sandbox.state import Account, Call, CallStatus, Role, Turn

log = logging.getLogger(__name__)

WEB_TOKEN_SECONDS = 30
_SILENCES_BORNE = 2


class Engine:
    """Runs the account's live calls and tells those who listen when something was said."""

    def __init__(self, account: Account, clock: Clock, feed: Feed | None = None) -> None:
        self._account = account
        self._feed = feed or Feed()
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self.is_closed = False

    def dial(self, call: Call, callee: Callee, replies: Replies) -> None:
        """Let the call ring at the callee's and go on from there."""
        self._start(call, self._conduct(call, callee, replies))

    def await_browser(self, call: Call) -> None:
        """Let a web call wait for a browser, which never joins here, until its token is stale."""
        self._start(call, self._conduct(call, Callee(rings=WEB_TOKEN_SECONDS, unanswered="no-answer"), None))

    def hang_up(self, call: Call) -> None:
        """End a live call at once."""
        task = self._tasks.get(call.id)
        if task:
            task.cancel()
        self._finish(call, "no-answer" if call.answered_at is None else "completed")

    @contextmanager
    def listening(self, call: Call) -> Generator[asyncio.Event, None, None]:
        """An event that is set whenever the call moved on, or the sandbox closes."""
        news = asyncio.Event()
        listeners = self._listeners.setdefault(call.id, set())
        listeners.add(news)
        try:
            yield news
        finally:
            listeners.discard(news)

    def listeners(self, call_id: str) -> int:
        """How many listen to the call right now."""
        return len(self._listeners.get(call_id, ()))

    async def aclose(self) -> None:
        """Stop all calls where they are and let the listeners go."""
        self.is_closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for call_id in self._listeners:
            self._wake(call_id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, call: Call, course: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(course, name=call.id)
        self._tasks[call.id] = task
        self._feed.follow(call)
        task.add_done_callback(lambda _: self._tasks.pop(call.id, None))

    async def _conduct(self, call: Call, callee: Callee, replies: Replies | None) -> None:
        try:
            await self._clock.sleep(callee.rings)
            if callee.unanswered or replies is None:
                self._finish(call, callee.unanswered or "no-answer")
                return
            call.answered_at = self._clock.now()
            call.status = "in-progress"
            self._wake(call.id)
            await self._converse(call, callee, VoicemailMessage() if callee.is_machine else replies)
            self._finish(call, "completed")
        except Exception:
            # Whatever a Replies raises ends this call alone.
            log.exception("call %s broke", call.id)
            self._finish(call, "failed")

    async def _converse(self, call: Call, callee: Callee, replies: Replies) -> None:
        if call.greeting and not callee.is_machine:
            await self._say(call, "agent", call.greeting)
        silences = 0
        for line in callee.lines:
            await self._say(call, "user", line)
            if callee.is_abrupt and line is callee.lines[-1]:
                return
            reply = await replies.reply(call, line)
            if reply.text:
                await self._say(call, "agent", reply.text)
            if reply.hangup or reply.transfer:
                return
            silences = 0 if reply.text else silences + 1
            if silences == _SILENCES_BORNE:
                await self._say(call, "user", "Hello? I can't hear anybody. I am hanging up.")
                return

    async def _say(self, call: Call, role: Role, content: str) -> None:
        # Three to five seconds: longer sentences take longer, and every run takes the same time.
        await self._clock.sleep(3 + min(len(content), 80) / 40)
        confidence = 0.9 + len(content) % 10 / 100
        call.turns.append(Turn(self._account.ids.new("tr"), role, content, self._clock.now(), confidence))
        self._wake(call.id)

    def _finish(self, call: Call, status: CallStatus) -> None:
        call.status = status
        call.ended_at = self._clock.now()
        if call.answered_at:
            amount = voice_charge(call.mode, call.seconds or 0)
            self._account.purse.charge(amount, f"call {call.id}", call.ended_at)
        self._wake(call.id)

    def _wake(self, call_id: str) -> None:
        if call_id in self._account.calls:
            self._feed.follow(self._account.calls[call_id])
        for news in self._listeners.get(call_id, ()):
            news.set()
