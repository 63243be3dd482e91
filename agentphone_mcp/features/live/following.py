"""Follow a call as it is spoken, and say no more than was seen."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic

import anyio
from pydantic import BaseModel, Field

from agentphone_mcp.api.calls import ENDED, Call, CallsApi, Turn
from agentphone_mcp.api.errors import ApiError, Conflict, Forbidden, RateLimited, ServerError, Unauthorized, Unreachable
from agentphone_mcp.api.redaction import Redactor
from agentphone_mcp.features.presentation.serialization import serialize
from agentphone_mcp.policy.actions import Outcome, Result

TURNS_AT_ONCE = 200
"""How many turns one answer holds; a transcript goes on from there."""
Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends a progress notification: how many turns, of how many, and the newest one."""
_POLL_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 4.0
"""Seconds before a lost stream is opened again; doubled each time that nothing new was heard."""
_LAST_LOOK_SECONDS = 3.0
"""How long the last look at the call may take, after the time is up: hosts give up on a tool soon after."""
_NOBODY_THERE = frozenset({"busy", "no-answer"})
_TRIES = 6
"""How often in a row a call may fail to be read before that is told."""
_PASSING = (Unreachable, ServerError, RateLimited, Conflict)
"""What may be over in a moment, and then the call goes on."""


class FollowedCall(BaseModel):
    """What was heard of a call; only `ended: true` says that it is over, and no status that it is not known."""

    call_id: str
    accepted: Annotated[bool, Field(description="AgentPhone took the call, which is not that anybody answered")] = True
    ended: bool
    status: str | None = None
    answered: Annotated[bool | None, Field(description="Whether somebody picked up; absent while nobody knows")] = None
    duration_seconds: float | None = None
    turns: list[Turn]
    after_turn: Annotated[int, Field(description="Pass it to go on without repeating a turn")]
    next_step: str | None = None


class FollowedOutcome(Outcome[Result], Generic[Result]):
    """What came of placing a call, and what was heard of it."""

    followed: FollowedCall | None = None


class _CallProgress:
    """Collects what was heard, from streams that each begin at the first turn, and reports every turn once."""

    def __init__(self, after_turn: int, report: Report, redact: Redactor) -> None:
        self.turns: list[Turn] = []
        self.ended = False
        self.status: str | None = None
        self.duration_seconds: float | None = None
        self.is_complete = False
        self.has_streamed = False
        self._reported = after_turn
        self._report = report
        self._redact = redact

    async def add_turns(self, turns: list[Turn]) -> None:
        """Take in all turns so far, known and new."""
        self.turns = max(self.turns, turns, key=len)
        while self._reported < len(self.turns):
            turn = self.turns[self._reported]
            self._reported += 1
            await self._report(self._reported, None, f"{turn.role}: {serialize(turn, self._redact)['text']}")

    def update(self, call: Call) -> None:
        """Take in what the API says of the call; it may be a moment behind an end that was heard."""
        if call.has_ended or not self.ended:
            self.status = call.status
        self.ended = self.ended or call.has_ended
        self.duration_seconds = call.duration_seconds or self.duration_seconds

    @property
    def answered(self) -> bool | None:
        """Whether somebody picked up: accepted and `in-progress` say nothing of that."""
        if self.status in _NOBODY_THERE:
            return False
        if any(turn.role == "caller" and not turn.is_guess for turn in self.turns):
            return True
        if not self.ended:
            return None
        if self.status == "completed":
            return bool(self.turns or self.duration_seconds) or None
        return False if self.status == "failed" and not self.turns else None


async def follow(
    calls: CallsApi, call_id: str, report: Report, redact: Redactor, *, max_seconds: float, after_turn: int = 0
) -> FollowedCall:
    """Follow a call until it ends or the time is up.

    Args:
        calls: where calls are read.
        call_id: which call.
        report: told of each new turn.
        redact: what is reported passes it.
        max_seconds: how long to wait for the end.
        after_turn: how many turns the caller already knows.

    Raises:
        ApiError: if nothing of the call could be read at all.
    """
    listener = _CallProgress(after_turn, report, redact)
    try:
        with anyio.move_on_after(max_seconds):
            await _stream_to_the_end(calls, call_id, listener)
        # Whoever saw the end by looking has just read all of it.
        if not (listener.ended and listener.is_complete):
            with anyio.move_on_after(_LAST_LOOK_SECONDS):
                await _read_call(calls, call_id, listener)
    except ApiError:
        # What was heard is worth more to the model than why no more was.
        if not listener.turns:
            raise
    heard = len(listener.turns)
    shown = listener.turns[after_turn : after_turn + TURNS_AT_ONCE]
    if after_turn + len(shown) < heard:
        reached = after_turn + len(shown)
        next_step = f"{heard} turns were heard: read on with get_transcript and this after_turn."
    else:
        # Nobody can have read more than was said; whoever thinks so would miss the next turns.
        reached, next_step = heard if listener.is_complete else max(after_turn, heard), _next_step(listener)
    return FollowedCall(
        call_id=call_id,
        ended=listener.ended,
        status=listener.status,
        answered=listener.answered,
        duration_seconds=listener.duration_seconds,
        turns=shown,
        after_turn=reached,
        next_step=next_step,
    )


async def follow_placed(
    outcome: Outcome[Call], calls: CallsApi, report: Report, redact: Redactor, *, max_seconds: float | None
) -> FollowedOutcome[Any]:
    """Follow a call that was placed, now or before, for as long as is wanted; one that was not is only told of."""
    followed, next_step = None, outcome.next_step
    call_id = getattr(outcome.result, "id", None)
    if outcome.status == "done" and call_id and max_seconds is not None:
        try:
            followed = await follow(calls, call_id, report, redact, max_seconds=max_seconds)
            next_step = None if followed.ended else followed.next_step
        except ApiError as cannot:
            # The call goes on, whether it can be heard or not.
            next_step = (
                f"It was placed but cannot be followed now ({cannot.detail or cannot.status}): use wait_for_call."
            )
    said = {name: getattr(outcome, name) for name in Outcome.model_fields} | {"next_step": next_step}
    return FollowedOutcome[Any].model_construct(None, **said, followed=followed)


async def _stream_to_the_end(calls: CallsApi, call_id: str, listener: _CallProgress) -> None:
    """Hear the live stream, opened again whenever it breaks; poll where there is none."""
    pause = _FIRST_PAUSE
    while True:
        known = len(listener.turns)
        if not await _read_stream(calls, call_id, listener):
            return await _poll(calls, call_id, listener)
        if listener.ended:
            return None
        try:
            await _read_call(calls, call_id, listener)
        except _PASSING:
            if pause >= _LONGEST_PAUSE:
                raise
        if listener.ended:
            return None
        pause = _FIRST_PAUSE if len(listener.turns) > known else min(2 * pause, _LONGEST_PAUSE)
        await anyio.sleep(pause)


async def _read_stream(calls: CallsApi, call_id: str, listener: _CallProgress) -> bool:
    """Hear the live stream to its end, or as far as it goes; says whether there is one at all."""
    turns: list[Turn] = []
    listener.is_complete = False
    try:
        async with calls.follow(call_id) as events:
            async for event in events:
                if event.kind == "ended":
                    listener.ended = True
                    listener.status = event.status if event.status in ENDED else None
                    listener.duration_seconds = event.duration_seconds
                    return True
                if event.kind == "connected":
                    listener.status = event.status
                if event.turn:
                    turns.append(event.turn)
                    listener.has_streamed = True
                    await listener.add_turns(turns)
    except (Unauthorized, Forbidden):
        raise
    except RateLimited as busy:
        await anyio.sleep(busy.retry_after or _LONGEST_PAUSE)
        return True
    except _PASSING:
        return True
    except ApiError:
        # Older servers have none, and one that talks nonsense is none: the call itself may still be read.
        return bool(turns)
    return True


async def _read_call(calls: CallsApi, call_id: str, listener: _CallProgress) -> None:
    """Read the call; its transcript after its status, so that a call that has ended has said all."""
    listener.is_complete = False
    call = await calls.get(call_id)
    transcript = await calls.transcript(call_id)
    # Pairs do not count turns as a stream does: from both, some would be told twice and some never.
    if not (transcript.is_paired and listener.has_streamed):
        await listener.add_turns(transcript.turns)
    listener.update(call)
    listener.is_complete = True


async def _poll(calls: CallsApi, call_id: str, listener: _CallProgress) -> None:
    failed = 0
    while not listener.ended:
        try:
            await _read_call(calls, call_id, listener)
            failed = 0
        except _PASSING:
            failed += 1
            if failed == _TRIES:
                raise
        if not listener.ended:
            await anyio.sleep(_POLL_SECONDS)


def _next_step(listener: _CallProgress) -> str | None:
    if listener.ended:
        return None if listener.is_complete else "It is over, but not all may have been heard: see get_transcript."
    silence = "" if listener.turns else "Nobody has spoken yet; it may still be ringing. "
    return f"{silence}Its end was not seen: call wait_for_call again with this after_turn."
