"""Follow a call as it is spoken, and say no more than was seen."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import anyio
from pydantic import BaseModel, Field

from agentphone_mcp.api.calls import ENDED, CallsApi, Turn
from agentphone_mcp.api.errors import StatusError, Unreachable

Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends a progress notification: how many turns, of how many, and the newest one."""
_POLL_SECONDS = 1.0


class Followed(BaseModel):
    """What was heard of a call; only `ended: true` says that it is over."""

    call_id: str
    ended: bool
    status: str | None = None
    duration_seconds: float | None = None
    turns: list[Turn]
    after_turn: Annotated[int, Field(description="Pass it to go on without repeating a turn")]
    next_step: str | None = None


class _Listener:
    """Collects the turns of a call from streams that each begin at the first, and reports every turn once."""

    def __init__(self, after_turn: int, report: Report) -> None:
        self.turns: list[Turn] = []
        self.status: str | None = None
        self._reported = after_turn
        self._report = report

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    async def hear(self, turns: list[Turn]) -> None:
        """Take in all turns so far, known and new."""
        self.turns = max(self.turns, turns, key=len)
        while self._reported < len(self.turns):
            turn = self.turns[self._reported]
            self._reported += 1
            await self._report(self._reported, None, f"{turn.role}: {turn.text}")


async def follow(calls: CallsApi, call_id: str, report: Report, *, max_seconds: float, after_turn: int) -> Followed:
    """Follow a call until it ends or the time is up.

    Args:
        calls: where calls are read.
        call_id: which call.
        report: told of each new turn.
        max_seconds: how long to wait for the end.
        after_turn: how many turns the caller already knows.

    Raises:
        ApiError: if the call cannot be read at all.
    """
    listener = _Listener(after_turn, report)
    with anyio.move_on_after(max_seconds):
        await _listen(calls, call_id, listener)
        if not listener.has_ended:
            await _poll(calls, call_id, listener)
    call = await calls.get(call_id)
    ended = listener.has_ended or call.has_ended
    if ended and not listener.has_ended:
        await listener.hear((await calls.transcript(call_id)).turns)
    return Followed(
        call_id=call_id,
        ended=ended,
        status=listener.status if listener.has_ended and not call.has_ended else call.status,
        duration_seconds=call.duration_seconds,
        turns=listener.turns[after_turn:],
        after_turn=max(after_turn, len(listener.turns)),
        next_step=_next_step(ended, bool(listener.turns)),
    )


async def _listen(calls: CallsApi, call_id: str, listener: _Listener) -> None:
    """Hear the live stream to its end, or as far as it goes: older servers have none, and any stream can break."""
    turns: list[Turn] = []
    try:
        async with calls.follow(call_id) as events:
            async for event in events:
                listener.status = event.status or listener.status
                if event.kind == "ended":
                    listener.status = event.status if event.status in ENDED else "completed"
                    return
                if event.turn:
                    turns.append(event.turn)
                    await listener.hear(turns)
    except Unreachable:
        return
    except StatusError as refused:
        if refused.status not in (404, 405):
            raise


async def _poll(calls: CallsApi, call_id: str, listener: _Listener) -> None:
    while True:
        call = await calls.get(call_id)
        await listener.hear((await calls.transcript(call_id)).turns)
        listener.status = call.status
        if listener.has_ended:
            return
        await anyio.sleep(_POLL_SECONDS)


def _next_step(ended: bool, anything_said: bool) -> str | None:
    if ended:
        return None
    silence = "" if anything_said else "Nobody has spoken yet; it may still be ringing. "
    return f"{silence}The call goes on: call wait_for_call again with this after_turn."
