"""Simulate calls: ring, answer, speak turn by turn, press keys (DTMF) and end, each call in its own task."""

import asyncio
import logging
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Literal

from agentphone_mcp.sandbox.calls.party import Party
from agentphone_mcp.sandbox.calls.replies import Replies, Reply, VoicemailMessage
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.billing import voice_charge
from agentphone_mcp.sandbox.data.callees import Callee
from agentphone_mcp.sandbox.data.models import Account, Call, CallStatus, Role, Turn
from agentphone_mcp.sandbox.event_stream import EventStream
from agentphone_mcp.sandbox.webhooks.events import WebhookEvents

log = logging.getLogger(__name__)

WEB_TOKEN_SECONDS = 30
_SILENCES_TOLERATED = 2


class _OutOfMoneyError(Exception):
    """End a call whose balance is used up."""


class CallSimulator:
    """Run the account's live calls, and notify listeners of each turn."""

    def __init__(
        self, account: Account, clock: Clock, events: WebhookEvents | None = None, stream: EventStream | None = None
    ) -> None:
        self._account = account
        self._event_stream = stream or EventStream()
        self._clock = clock
        self._events = events
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self.is_closed = False

    def dial(self, call: Call, callee: Callee, replies: Replies) -> None:
        """Start a call to the callee, in the background."""
        self._start(call, self._run(call, callee, replies))

    def await_browser(self, call: Call) -> None:
        """Start a web call, which ends when its token expires: no browser can join in the sandbox."""
        self._start(call, self._run(call, Callee(rings=WEB_TOKEN_SECONDS, unanswered="no-answer"), None))

    def hang_up(self, call: Call) -> None:
        """End a live call now."""
        if task := self._tasks.get(call.id):
            task.cancel()
        self._finish(call, "no-answer" if call.answered_at is None else "completed")

    @contextmanager
    def listening(self, call: Call) -> Generator[asyncio.Event, None, None]:
        """Give an event that is set at each change of the call, and when the sandbox closes."""
        changed = asyncio.Event()
        listeners = self._listeners.setdefault(call.id, set())
        listeners.add(changed)
        try:
            yield changed
        finally:
            listeners.discard(changed)

    def listeners(self, call_id: str) -> int:
        """Count the listeners of the call."""
        return len(self._listeners.get(call_id, ()))

    async def aclose(self) -> None:
        """Stop all calls and wake their listeners."""
        self.is_closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for call_id in self._listeners:
            self._wake(call_id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, call: Call, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine, name=call.id)
        self._tasks[call.id] = task
        self._event_stream.publish_call(call)
        task.add_done_callback(lambda _: self._tasks.pop(call.id, None))

    async def _run(self, call: Call, callee: Callee, replies: Replies | None) -> None:
        try:
            await self._clock.sleep(callee.rings)
            if callee.unanswered or replies is None:
                self._finish(call, callee.unanswered or "no-answer")
                return
            call.answered_at = self._clock.now()
            call.status = "in-progress"
            self._wake(call.id)
            if self._events:
                self._events.call_started(call)
            await self._converse(call, callee, VoicemailMessage() if callee.is_machine else replies)
            self._finish(call, "completed")
        except _OutOfMoneyError:
            log.warning("call %s ended: the balance ran out", call.id)
            self._finish(call, "completed")
        except Exception:
            # An error of one Replies must end this call only.
            log.exception("call %s failed", call.id)
            self._finish(call, "failed")

    async def _converse(self, call: Call, callee: Callee, replies: Replies) -> None:
        party = Party(callee)
        if call.greeting and not callee.is_machine:
            await self._speak(call, "agent", call.greeting, party)
        silences = 0
        while (sentence := party.next_line()) is not None:
            await self._speak(call, "user", sentence)
            if party.hangs_up:
                return
            outcome = await self._perform(call, party, await replies.reply(call, sentence))
            if outcome == "over":
                return
            silences = 0 if outcome == "heard" or party.waits_for_key else silences + 1
            if silences == _SILENCES_TOLERATED:
                await self._speak(call, "user", "Hello? I can't hear anybody. I am hanging up.")
                return

    async def _perform(self, call: Call, party: Party, reply: Reply) -> Literal["heard", "silent", "over"]:
        """Carry out a reply and what follows it, until a barge-in: speak, press keys (DTMF), transfer, hang up."""
        outcome: Literal["heard", "silent"] = "silent"
        while True:
            is_interrupted = bool(reply.text) and await self._speak(call, "agent", reply.text or "", party)
            if reply.digits:
                await self._speak(call, "agent", f"[pressed {reply.digits}]")
                party.press(reply.digits)
            if reply.text or reply.digits:
                outcome = "heard"
            if reply.transfer:
                call.transferred_to = call.transfer_number
            if reply.hangup or reply.transfer:
                return "over"
            if is_interrupted or reply.then is None:
                return outcome
            reply = await reply.then()

    async def _speak(self, call: Call, role: Role, content: str, listener: Party | None = None) -> bool:
        """Let one party speak, and tell whether the listener interrupted."""
        interrupted = listener.interrupt(content) if listener else None
        content = interrupted or content
        # Three to five seconds by length, so that every run takes the same time.
        pause = 3 + min(len(content), 80) / 40
        left = self._seconds_left(call)
        await self._clock.sleep(min(pause, left))
        if left <= pause:
            raise _OutOfMoneyError
        confidence = 0.9 + len(content) % 10 / 100
        turn_id, is_interrupted = self._account.ids.new("tr"), interrupted is not None
        call.turns.append(Turn(turn_id, role, content, self._clock.now(), confidence, is_interrupted))
        self._wake(call.id)
        return is_interrupted

    def _seconds_left(self, call: Call) -> float:
        """Compute how long the balance lasts if all current calls go on."""
        now = self._clock.now()
        live = [other for other in self._account.calls.values() if other.is_live and other is not call]
        running = [
            (each.tariff, (now - each.answered_at).total_seconds()) for each in (call, *live) if each.answered_at
        ]
        return self._account.balance.seconds_left(running)

    def _finish(self, call: Call, status: CallStatus) -> None:
        call.status = status
        call.ended_at = self._clock.now()
        if call.answered_at:
            amount = voice_charge(call.tariff, call.seconds or 0)
            self._account.balance.charge(amount, f"call {call.id}", call.ended_at)
        self._wake(call.id)
        if self._events:
            self._events.call_ended(call)

    def _wake(self, call_id: str) -> None:
        if call_id in self._account.calls:
            self._event_stream.publish_call(self._account.calls[call_id])
        for listener in self._listeners.get(call_id, ()):
            listener.set()
