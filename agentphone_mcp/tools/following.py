"""Follow a call as it is spoken, and say no more than was seen."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import anyio
from pydantic import BaseModel, Field

from agentphone_mcp.api.calls import ENDED, Call, CallsApi, Turn
from agentphone_mcp.api.errors import ApiError, Forbidden, Unauthorized
from agentphone_mcp.tools.telling import Cut, told

Report = Callable[[float, float | None, str | None], Awaitable[None]]
"""Sends a progress notification: how many turns, of how many, and the newest one."""
_POLL_SECONDS = 1.0
_LAST_LOOK_SECONDS = 3.0
"""How long the last look at the call may take, after the time is up: hosts give up on a tool soon after."""


class Followed(BaseModel):
    """What was heard of a call; only `ended: true` says that it is over, and no status that it is not known."""

    call_id: str
    ended: bool
    status: str | None = None
    duration_seconds: float | None = None
    turns: list[Turn]
    after_turn: Annotated[int, Field(description="Pass it to go on without repeating a turn")]
    next_step: str | None = None


class _Listener:
    """Collects what was heard, from streams that each begin at the first turn, and reports every turn once."""

    def __init__(self, after_turn: int, report: Report, cut: Cut) -> None:
        self.turns: list[Turn] = []
        self.ended = False
        self.status: str | None = None
        self.duration_seconds: float | None = None
        self._reported = after_turn
        self._report = report
        self._cut = cut

    async def hear(self, turns: list[Turn]) -> None:
        """Take in all turns so far, known and new."""
        self.turns = max(self.turns, turns, key=len)
        while self._reported < len(self.turns):
            turn = self.turns[self._reported]
            self._reported += 1
            await self._report(self._reported, None, f"{turn.role}: {told(turn, self._cut)['text']}")

    def see(self, call: Call) -> None:
        """Take in what the API says of the call; it may be a moment behind an end that was heard."""
        if call.has_ended or not self.ended:
            self.status = call.status
        self.ended = self.ended or call.has_ended
        self.duration_seconds = call.duration_seconds or self.duration_seconds


async def follow(
    calls: CallsApi, call_id: str, report: Report, cut: Cut, *, max_seconds: float, after_turn: int
) -> Followed:
    """Follow a call until it ends or the time is up.

    Args:
        calls: where calls are read.
        call_id: which call.
        report: told of each new turn.
        cut: what is reported passes it.
        max_seconds: how long to wait for the end.
        after_turn: how many turns the caller already knows.

    Raises:
        ApiError: if nothing of the call could be read at all.
    """
    listener = _Listener(after_turn, report, cut)
    try:
        with anyio.move_on_after(max_seconds):
            await _listen(calls, call_id, listener)
            if not listener.ended:
                await _poll(calls, call_id, listener)
        with anyio.move_on_after(_LAST_LOOK_SECONDS):
            listener.see(await calls.get(call_id))
    except ApiError:
        # What was heard is worth more to the model than why no more was.
        if not listener.turns:
            raise
    return Followed(
        call_id=call_id,
        ended=listener.ended,
        status=listener.status,
        duration_seconds=listener.duration_seconds,
        turns=listener.turns[after_turn:],
        after_turn=max(after_turn, len(listener.turns)),
        next_step=_next_step(listener),
    )


async def _listen(calls: CallsApi, call_id: str, listener: _Listener) -> None:
    """Hear the live stream to its end, or as far as it goes: older servers have none, and any stream can break."""
    turns: list[Turn] = []
    try:
        async with calls.follow(call_id) as events:
            async for event in events:
                if event.kind == "ended":
                    listener.ended = True
                    listener.status = event.status if event.status in ENDED else None
                    listener.duration_seconds = event.duration_seconds
                    return
                if event.kind == "connected":
                    listener.status = event.status
                if event.turn:
                    turns.append(event.turn)
                    await listener.hear(turns)
    except (Unauthorized, Forbidden):
        raise
    except ApiError:
        # Whatever else is wrong with the stream, the call itself may still be read.
        return


async def _poll(calls: CallsApi, call_id: str, listener: _Listener) -> None:
    while True:
        call = await calls.get(call_id)
        # Read after the status, so that a call that has ended has said all.
        await listener.hear((await calls.transcript(call_id)).turns)
        listener.see(call)
        if listener.ended:
            return
        await anyio.sleep(_POLL_SECONDS)


def _next_step(listener: _Listener) -> str | None:
    if listener.ended:
        return None
    silence = "" if listener.turns else "Nobody has spoken yet; it may still be ringing. "
    return f"{silence}Its end was not seen: call wait_for_call again with this after_turn."
