"""Follow a live call turn by turn, and report as its state only what the API has shown."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic

import anyio
from pydantic import BaseModel, Field

from agentphone_mcp.api.calls import Call, Turn
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.provenance import IdText, ServerText, WordText, whose_words
from agentphone_mcp.features.live.live_call import FINAL_READ_SECONDS, LiveCall
from agentphone_mcp.features.live.paging import page_of
from agentphone_mcp.features.live.transcripts import LiveTranscripts
from agentphone_mcp.features.presentation.error_messages import explain
from agentphone_mcp.features.presentation.serialization import show
from agentphone_mcp.policy.actions import Outcome, Result
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.untrusted import new_marks

Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends a progress notification: the number of turns, their total if known, and the newest turn."""
_UNANSWERED = frozenset({"busy", "no-answer"})


class FollowedCall(BaseModel):
    """Result of following a call; only `ended: true` means that it is over, and an absent status is unknown."""

    call_id: IdText
    accepted: Annotated[bool, Field(description="AgentPhone took the call, which is not that anybody answered")] = True
    ended: bool
    status: WordText | None = None
    answered: Annotated[bool | None, Field(description="Whether somebody picked up; absent while nobody knows")] = None
    duration_seconds: float | None = None
    turns: list[Turn]
    after_turn: Annotated[int, Field(description="Pass it to go on without repeating a turn")]
    next_step: ServerText | None = None


class FollowedOutcome(Outcome[Result], Generic[Result]):
    """Result of placing a call and, if requested, of following it."""

    followed: FollowedCall | None = None


async def follow(
    live: LiveTranscripts, call_id: str, report: Report, *, max_seconds: float, after_turn: int = 0
) -> FollowedCall:
    """Follow a call until it ends or `max_seconds` are over, and report each new turn after the first `after_turn`.

    Raises:
        Refused: if too many calls are followed.
        ApiError: if no turn of the call could be read.
    """
    with live.watched(call_id) as call:
        reported = after_turn

        async def report_new() -> None:
            nonlocal reported
            while reported < len(call.turns):
                turn = call.turns[reported]
                reported += 1
                with new_marks():
                    line = f"{turn.role}: {show(whose_words(turn, 'text'), turn.text, live.redact)}"
                await report(reported, None, line)

        try:
            with anyio.move_on_after(max_seconds):
                await call.watch(report_new)
            if not call.is_over:
                with anyio.move_on_after(FINAL_READ_SECONDS):
                    await call.read()
                    await report_new()
        except ApiError:
            # The turns so far are worth more to the model than the error.
            if not call.turns:
                raise
        return _result(call_id, call, after_turn)


async def follow_placed(
    outcome: Outcome[Call], live: LiveTranscripts, report: Report, *, max_seconds: float | None
) -> FollowedOutcome[Any]:
    """Follow a call that was placed if `max_seconds` is given, and add what was heard to its outcome."""
    followed, next_step = None, outcome.next_step
    call_id = getattr(outcome.result, "id", None)
    if outcome.status == "done" and call_id and max_seconds is not None:
        try:
            followed = await follow(live, call_id, report, max_seconds=max_seconds)
            next_step = None if followed.ended else followed.next_step
        except (ApiError, Refused) as exc:
            reason = explain(exc) if isinstance(exc, ApiError) else exc
            next_step = f"It was placed but cannot be followed now: use wait_for_call. {reason}"
    fields = {name: getattr(outcome, name) for name in Outcome.model_fields} | {"next_step": next_step}
    return FollowedOutcome[Any].model_construct(None, **fields, followed=followed)


def _result(call_id: str, call: LiveCall, after_turn: int) -> FollowedCall:
    turn_count = len(call.turns)
    shown = page_of(call.turns, after_turn)
    reached = after_turn + len(shown)
    if reached < turn_count:
        next_step = f"{turn_count} turns were heard: read on with get_transcript and this after_turn."
    else:
        # An after_turn beyond the last turn is corrected, or else the next turns would be skipped.
        reached = turn_count if call.is_complete else max(after_turn, turn_count)
        next_step = _next_step(call)
    return FollowedCall(
        call_id=call_id,
        ended=call.ended,
        status=call.status,
        answered=_was_answered(call),
        duration_seconds=call.duration_seconds,
        turns=shown,
        after_turn=reached,
        next_step=next_step,
    )


def _was_answered(call: LiveCall) -> bool | None:
    """Tell whether somebody picked up, or None if unknown: accepted and `in-progress` do not imply it."""
    if call.status in _UNANSWERED:
        return False
    if any(turn.role == "caller" and not turn.is_guess for turn in call.turns):
        return True
    if not call.ended:
        return None
    if call.status == "completed":
        return bool(call.turns or call.duration_seconds) or None
    return False if call.status == "failed" and not call.turns else None


def _next_step(call: LiveCall) -> str | None:
    if call.ended:
        return None if call.is_complete else "It is over, but not all may have been heard: see get_transcript."
    silence = "" if call.turns else "Nobody has spoken yet; it may still be ringing. "
    return f"{silence}Its end was not seen: call wait_for_call again with this after_turn."
