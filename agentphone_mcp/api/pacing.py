"""Pace the requests of one account: the API's own limits, a rate for the key, and a fair share of it for each caller.

A request that would wait for more than `LONGEST_PACE` seconds is not sent; its error says when to come back.
"""

import math
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic as now

from anyio import sleep

from agentphone_mcp.api.errors import Paced, RequestLine

LONGEST_PACE = 5.0
"""Seconds that a request may wait for its turn."""
_MINUTE = 60.0
_A_MOMENT = 0.001
"""Seconds that are not worth a sleep, nor a rounding error."""
_MOST_CALLERS = 1_000
_NEVER_HELD = "/v1/calls/{call_id}/end"
"""Hanging up ends what costs money."""
_LIMITS_OF_WRITES = {
    "POST /v1/calls": 120,
    "POST /v1/calls/web": 30,
    "POST /v1/numbers": 20,
    "DELETE /v1/numbers/{number_id}": 20,
    "POST /v1/agents": 30,
    "DELETE /v1/agents/{agent_id}": 30,
    "PATCH /v1/agents/{agent_id}": 20,
    "POST /v1/webhooks": 10,
    "DELETE /v1/webhooks": 10,
    "POST /v1/agents/{agent_id}/webhook": 10,
    "DELETE /v1/agents/{agent_id}/webhook": 10,
    "POST /v1/webhooks/test": 10,
    "POST /v1/agents/{agent_id}/webhook/test": 10,
}
"""How many the API takes in a minute (API.md, "Rate limits seen"); of reads it says nothing."""

_caller: ContextVar[str] = ContextVar("_caller", default="")


@contextmanager
def on_behalf_of(caller: str) -> Generator[None]:
    """Count what is sent meanwhile for this caller; what a server sends by itself is counted for nobody."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


def current_caller() -> str:
    """Return for whom requests are sent now."""
    return _caller.get()


class _Rate:
    """Allows so many requests in any minute: half of them at once, the others evenly spread."""

    def __init__(self, per_minute: float) -> None:
        self._capacity = max(1.0, per_minute / 2)
        self._seconds_each = _MINUTE / max(1.0, per_minute - self._capacity)
        self._full_at = -math.inf

    def wait(self, at: float, count: int = 1) -> float:
        """Return the seconds until so many more fit."""
        return max(self._full_at, at) + (count - self._capacity) * self._seconds_each - at

    def take(self, at: float) -> None:
        """Count one."""
        self._full_at = max(self._full_at, at) + self._seconds_each

    def is_unused(self, at: float) -> bool:
        """Return whether it is as good as new."""
        return self._full_at <= at


class _Window:
    """Allows so many requests in any minute, whenever in it."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._sent: deque[float] = deque(maxlen=per_minute)

    def wait(self, at: float, count: int = 1) -> float:
        """Return the seconds until so many more fit."""
        too_many = len(self._sent) + count - self.per_minute
        return self._sent[min(too_many, self.per_minute) - 1] + _MINUTE - at if too_many > 0 else 0.0

    def take(self, at: float) -> None:
        """Count one."""
        self._sent.append(at)


@dataclass(frozen=True, eq=False)
class _Ticket:
    """Waits for its turn: the lowest turn goes first, and of equal ones the older."""

    turn: int
    caller: str
    counted: Mapping[_Rate | _Window, str]


class Pace:
    """Paces the requests of one account.

    Of several callers that wait, each has one turn after the other, however many requests one of them has waiting.

    Args:
        per_minute: how many requests may be sent in any minute.
        is_shared: whether callers share it, so that one of them may have half of it.
    """

    def __init__(self, per_minute: int, *, is_shared: bool) -> None:
        self._all = _Rate(per_minute)
        self._each = per_minute / 2 if is_shared else None
        self._callers: dict[str, _Rate] = {}
        self._windows: dict[str, _Window] = {}
        self._waiting: list[_Ticket] = []
        self._last_turn = 0

    async def admit(self, request: RequestLine) -> None:
        """Wait until a request may be sent, and count it.

        Raises:
            Paced: if that would take too long.
        """
        if request.path == _NEVER_HELD:
            return
        counted = self._counted(request)
        at = now()
        if self._waiting or any(one.wait(at) >= _A_MOMENT for one in counted):
            at = await self._wait_for_turn(request, counted)
        for one in counted:
            one.take(at)

    def _counted(self, request: RequestLine) -> Mapping[_Rate | _Window, str]:
        """Return what counts a request, and what is said where it does not fit."""
        counted: dict[_Rate | _Window, str] = {self._all: "this account has sent as many requests as it may for now"}
        if self._each is not None:
            caller = current_caller()
            if caller not in self._callers:
                self._forget_idle_callers()
                self._callers[caller] = _Rate(self._each)
            counted[self._callers[caller]] = "you have sent as many requests as one caller may for now"
        if not request.is_read and (most := _LIMITS_OF_WRITES.get(line := f"{request.method} {request.path}")):
            window = self._windows.setdefault(line, _Window(most))
            counted[window] = f"AgentPhone takes {most} of these a minute"
        return counted

    async def _wait_for_turn(self, request: RequestLine, counted: Mapping[_Rate | _Window, str]) -> float:
        caller = current_caller()
        turns = [other.turn for other in self._waiting if other.caller == caller]
        ticket = _Ticket(max([self._last_turn, *turns]) + 1, caller, counted)
        give_up_at = now() + LONGEST_PACE
        self._waiting.append(ticket)
        try:
            while True:
                at = now()
                wait, reason = self._wait(ticket, at)
                if wait < _A_MOMENT:
                    self._last_turn = max(self._last_turn, ticket.turn)
                    return at
                if at + wait > give_up_at:
                    raise Paced(request, reason, retry_after=math.ceil(wait))
                await sleep(wait)
        finally:
            self._waiting.remove(ticket)

    def _wait(self, ticket: _Ticket, at: float) -> tuple[float, str]:
        """Return the seconds until it is this one's turn, and what it has to wait for."""
        # Sorting is stable, and they stand in the order in which they came.
        order = sorted(self._waiting, key=lambda other: other.turn)
        ahead = order[: order.index(ticket)]
        return max(
            (one.wait(at, sum(one in other.counted for other in ahead) + 1), reason)
            for one, reason in ticket.counted.items()
        )

    def _forget_idle_callers(self) -> None:
        if len(self._callers) >= _MOST_CALLERS:
            at = now()
            self._callers = {name: rate for name, rate in self._callers.items() if not rate.is_unused(at)}
