"""Follow a live call turn by turn, and report as its state only what the API has shown."""

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
"""The most turns in one result; get_transcript reads on from there."""
Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends a progress notification: the number of turns, their total if known, and the newest turn."""
_POLL_SECONDS = 1.0
_MIN_BACKOFF, _MAX_BACKOFF = 0.1, 4.0
"""Seconds before a broken stream is opened again; doubled each time that it brought no new turn."""
_FINAL_READ_SECONDS = 3.0
"""How long the last read of the call may take after `max_seconds`: hosts time a tool out soon after."""
_UNANSWERED = frozenset({"busy", "no-answer"})
_MAX_FAILED_READS = 6
"""After how many failed reads in a row polling gives up."""
_TRANSIENT_ERRORS = (Unreachable, ServerError, RateLimited, Conflict)
"""Errors that may be over in a moment, so that following goes on."""


class FollowedCall(BaseModel):
    """Result of following a call; only `ended: true` means that it is over, and an absent status is unknown."""

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
    """Result of placing a call and, if requested, of following it."""

    followed: FollowedCall | None = None


class _CallProgress:
    """Collect the turns and the state of a call over several reads, and report each turn once."""

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
        """Add the turns of one read, which always start at the first turn, and report the new ones."""
        self.turns = max(self.turns, turns, key=len)
        while self._reported < len(self.turns):
            turn = self.turns[self._reported]
            self._reported += 1
            await self._report(self._reported, None, f"{turn.role}: {serialize(turn, self._redact)['text']}")

    def update(self, call: Call) -> None:
        """Update the state from the API, which may lag behind an end that the stream reported."""
        if call.has_ended or not self.ended:
            self.status = call.status
        self.ended = self.ended or call.has_ended
        self.duration_seconds = call.duration_seconds or self.duration_seconds

    @property
    def answered(self) -> bool | None:
        """Tell whether somebody picked up, or None if unknown: accepted and `in-progress` do not imply it."""
        if self.status in _UNANSWERED:
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
    """Follow a call until it ends or `max_seconds` are over, and report each new turn after the first `after_turn`.

    Raises:
        ApiError: if no turn of the call could be read.
    """
    progress = _CallProgress(after_turn, report, redact)
    try:
        with anyio.move_on_after(max_seconds):
            await _stream_to_the_end(calls, call_id, progress)
        # A call that was seen to end by polling has just been read to its end.
        if not (progress.ended and progress.is_complete):
            with anyio.move_on_after(_FINAL_READ_SECONDS):
                await _read_call(calls, call_id, progress)
    except ApiError:
        # The turns so far are worth more to the model than the error.
        if not progress.turns:
            raise
    turn_count = len(progress.turns)
    shown = progress.turns[after_turn : after_turn + TURNS_AT_ONCE]
    reached = after_turn + len(shown)
    if reached < turn_count:
        next_step = f"{turn_count} turns were heard: read on with get_transcript and this after_turn."
    else:
        # An after_turn beyond the last turn is corrected, or else the next turns would be skipped.
        reached = turn_count if progress.is_complete else max(after_turn, turn_count)
        next_step = _next_step(progress)
    return FollowedCall(
        call_id=call_id,
        ended=progress.ended,
        status=progress.status,
        answered=progress.answered,
        duration_seconds=progress.duration_seconds,
        turns=shown,
        after_turn=reached,
        next_step=next_step,
    )


async def follow_placed(
    outcome: Outcome[Call], calls: CallsApi, report: Report, redact: Redactor, *, max_seconds: float | None
) -> FollowedOutcome[Any]:
    """Follow a call that was placed if `max_seconds` is given, and add what was heard to its outcome."""
    followed, next_step = None, outcome.next_step
    call_id = getattr(outcome.result, "id", None)
    if outcome.status == "done" and call_id and max_seconds is not None:
        try:
            followed = await follow(calls, call_id, report, redact, max_seconds=max_seconds)
            next_step = None if followed.ended else followed.next_step
        except ApiError as exc:
            next_step = f"It was placed but cannot be followed now ({exc.detail or exc.status}): use wait_for_call."
    fields = {name: getattr(outcome, name) for name in Outcome.model_fields} | {"next_step": next_step}
    return FollowedOutcome[Any].model_construct(None, **fields, followed=followed)


async def _stream_to_the_end(calls: CallsApi, call_id: str, progress: _CallProgress) -> None:
    """Read the live stream, reopening it whenever it breaks; poll if there is none."""
    backoff = _MIN_BACKOFF
    while True:
        turns_before = len(progress.turns)
        if not await _read_stream(calls, call_id, progress):
            return await _poll(calls, call_id, progress)
        if progress.ended:
            return None
        try:
            await _read_call(calls, call_id, progress)
        except _TRANSIENT_ERRORS:
            if backoff >= _MAX_BACKOFF:
                raise
        if progress.ended:
            return None
        backoff = _MIN_BACKOFF if len(progress.turns) > turns_before else min(2 * backoff, _MAX_BACKOFF)
        await anyio.sleep(backoff)


async def _read_stream(calls: CallsApi, call_id: str, progress: _CallProgress) -> bool:
    """Read the live stream until it closes; return False if the API has none."""
    turns: list[Turn] = []
    progress.is_complete = False
    try:
        async with calls.follow(call_id) as events:
            async for event in events:
                if event.kind == "ended":
                    progress.ended = True
                    progress.status = event.status if event.status in ENDED else None
                    progress.duration_seconds = event.duration_seconds
                    return True
                if event.kind == "connected":
                    progress.status = event.status
                if event.turn:
                    turns.append(event.turn)
                    progress.has_streamed = True
                    await progress.add_turns(turns)
    except (Unauthorized, Forbidden):
        raise
    except RateLimited as exc:
        await anyio.sleep(exc.retry_after or _MAX_BACKOFF)
        return True
    except _TRANSIENT_ERRORS:
        return True
    except ApiError:
        # Older servers have no stream, and an unreadable one counts as none; the call itself may still be readable.
        return bool(turns)
    return True


async def _read_call(calls: CallsApi, call_id: str, progress: _CallProgress) -> None:
    """Read the status and then the transcript, so that the transcript of an ended call is complete."""
    progress.is_complete = False
    call = await calls.get(call_id)
    transcript = await calls.transcript(call_id)
    # A paired transcript counts turns differently from the stream; mixing both would repeat or skip turns.
    if not (transcript.is_paired and progress.has_streamed):
        await progress.add_turns(transcript.turns)
    progress.update(call)
    progress.is_complete = True


async def _poll(calls: CallsApi, call_id: str, progress: _CallProgress) -> None:
    failed = 0
    while not progress.ended:
        try:
            await _read_call(calls, call_id, progress)
            failed = 0
        except _TRANSIENT_ERRORS:
            failed += 1
            if failed == _MAX_FAILED_READS:
                raise
        if not progress.ended:
            await anyio.sleep(_POLL_SECONDS)


def _next_step(progress: _CallProgress) -> str | None:
    if progress.ended:
        return None if progress.is_complete else "It is over, but not all may have been heard: see get_transcript."
    silence = "" if progress.turns else "Nobody has spoken yet; it may still be ringing. "
    return f"{silence}Its end was not seen: call wait_for_call again with this after_turn."
