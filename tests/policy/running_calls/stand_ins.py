"""Stand in for the API and for a clock that never jumps, and name the calls that the tests place."""

from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.policy.ledger.records import CallDuration, Entry, LookupResult, NewEntry
from agentphone_mcp.policy.limits import Limits

CALL = NewEntry("account", "place_call", "f", "", "Call.", cost=1_100_000, minute_cost=220_000)
WEB_CALL = replace(CALL, tool="create_web_call")
TEN_DOLLARS = Limits.parse("spend=10/day,calls=off,web_calls=off")


@dataclass
class Api:
    """Stand in for the API: it knows which calls are over, and hangs them up or fails."""

    over: dict[str, float] = field(default_factory=dict[str, float])
    failures: list[ApiError] = field(default_factory=list[ApiError])
    found: LookupResult | None = None
    longest: float | None = None
    seconds: float = 303.0
    asked: int = 0
    hung_up: list[str] = field(default_factory=list[str])

    async def duration(self, entry: Entry) -> CallDuration:
        """Say how long a call lasted."""
        self.asked += 1
        seconds = self.over.get(entry.call_id or "")
        return CallDuration(seconds, is_over=seconds is not None)

    async def look_up(self, *_: Any) -> LookupResult | None:
        """Find a call whose answer was lost."""
        self.asked += 1
        return self.found

    async def longest_call(self) -> float | None:
        """Say how long the plan lets a call run."""
        self.asked += 1
        return self.longest

    async def end(self, call_id: str) -> None:
        """Hang up."""
        await anyio.lowlevel.checkpoint()
        if self.failures:
            raise self.failures.pop()
        self.hung_up.append(call_id)
        self.over[call_id] = self.seconds


@dataclass
class Steady:
    """A clock that never jumps."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
