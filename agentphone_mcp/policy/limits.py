"""Decide whether an action exceeds a limit (`Limits.exceeded_by`), and say so to a person (`LimitExceeded.message`).

The limits count actions and dollars over sliding windows: they stop a runaway loop, not a working day. The ledger
counts what was used, in `ledger/checks.py`.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agentphone_mcp.policy.pricing import MICROS_PER_DOLLAR, in_dollars

DEFAULT_LIMITS = (
    "calls=20/hour,calls_to_one_number=3/day,web_calls=20/hour,messages=60/hour,messages_to_one_number=20/day,"
    "numbers=2/day,spend=10/day"
)
_TOOLS = {
    "calls": "place_call",
    "calls_to_one_number": "place_call",
    "web_calls": "create_web_call",
    "messages": "send_message",
    "messages_to_one_number": "send_message",
    "numbers": "buy_number",
    "spend": None,
}
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
LONGEST_WINDOW = max(_SECONDS.values())
_OFF = ("off", "none", "unlimited")


@dataclass(frozen=True)
class WindowUsage:
    """Hold the actions in a limit's window: their count, cost in millionths of a dollar, and each one's time and cost.

    Times are in seconds since the epoch, oldest first.
    """

    actions: int
    micros: int
    read_actions: Callable[[], Sequence[tuple[float, int]]]


@dataclass(frozen=True)
class Limit:
    """Limit a sliding window: of actions, or for `spend` of millionths of a dollar."""

    name: str
    maximum: int
    per: str

    @property
    def tool(self) -> str | None:
        """Return the tool whose actions count; None counts the actions of every tool."""
        return _TOOLS[self.name]

    @property
    def is_money(self) -> bool:
        """Tell whether it counts dollars instead of actions."""
        return self.name == "spend"

    @property
    def for_one_number(self) -> bool:
        """Tell whether it counts only the actions that reach the same number."""
        return self.name.endswith("_to_one_number")

    @property
    def seconds(self) -> int:
        """Return the window's length in seconds."""
        return _SECONDS[self.per]

    def is_exceeded(self, usage: WindowUsage, micros: int) -> bool:
        """Tell whether one more action at this cost would exceed the limit."""
        return usage.micros + micros > self.maximum if self.is_money else usage.actions + 1 > self.maximum

    def frees_at(self, counted: Sequence[tuple[float, int]], micros: int) -> float:
        """Compute when one more action of this cost fits, given those in the window and that it does not fit now.

        Times are in seconds since the epoch; infinity where one action alone exceeds the limit.
        """
        weights = [(at, cost if self.is_money else 1) for at, cost in counted]
        excess = sum(weight for _, weight in weights) + (micros if self.is_money else 1) - self.maximum
        for at, weight in weights:
            excess -= weight
            if excess <= 0:
                return at + self.seconds
        return math.inf

    def __str__(self) -> str:
        return f"{self.name}={in_dollars(self.maximum) if self.is_money else self.maximum}/{self.per}"


@dataclass(frozen=True)
class LimitExceeded:
    """Hold the limit that an action would exceed, and when it fits: in seconds since the epoch, or never (infinity)."""

    limit: Limit
    frees_at: float
    used_micros: int
    micros: int

    def message(self, now: float) -> str:
        """Say which limit refuses the action, when it fits again, and how to raise the limit."""
        limit, used = self.limit, ""
        if limit.is_money:
            used = f" (about {in_dollars(self.used_micros)} so far, and this is about {in_dollars(self.micros)})"
        raising = how_to_raise(limit.name)
        if math.isinf(self.frees_at):
            return f"Nothing was done: the limit {limit} does not allow even one{used}. {raising}"
        frees = datetime.fromtimestamp(math.ceil(self.frees_at), UTC)
        return (
            f"Nothing was done: the limit {limit} is reached{used}. There is room again in "
            f"{duration_text(self.frees_at - now)}, at {frees:%Y-%m-%d %H:%M:%S} UTC. {raising}"
        )


@dataclass(frozen=True)
class Limits:
    """Hold the limits in force."""

    limits: tuple[Limit, ...]

    @classmethod
    def parse(cls, text: str) -> "Limits":
        """Read limits that replace the default ones: `calls=50/hour,spend=25/day,numbers=off`.

        Raises:
            ValueError: if a name or an amount cannot be read.
        """
        limits = _parse(DEFAULT_LIMITS) | _parse(text)
        return cls(tuple(limit for limit in limits.values() if limit is not None))

    @property
    def spend(self) -> Limit | None:
        """Return the limit of dollars, if there is one."""
        return next((limit for limit in self.limits if limit.is_money), None)

    def applicable_to(self, tool: str, micros: int) -> list[Limit]:
        """List the limits that count an action of this tool and cost."""
        return [limit for limit in self.limits if limit.tool == tool or (limit.is_money and micros)]

    def exceeded_by(self, tool: str, micros: int, count_usage: Callable[[Limit], WindowUsage]) -> LimitExceeded | None:
        """Find the first limit that one more action would exceed, at a cost in millionths of a dollar."""
        for limit in self.applicable_to(tool, micros):
            usage = count_usage(limit)
            if limit.is_exceeded(usage, micros):
                return LimitExceeded(limit, limit.frees_at(usage.read_actions(), micros), usage.micros, micros)
        return None


def how_to_raise(name: str) -> str:
    """Say how a limit is raised."""
    return f"To raise it, your user can set AGENTPHONE_LIMITS={name}=… in this server's entry and restart it."


def duration_text(seconds: float) -> str:
    """Write a duration for a person: `90 seconds`, `30 minutes`."""
    for unit in ("day", "hour", "minute"):
        if seconds >= 2 * _SECONDS[unit]:
            return f"{seconds / _SECONDS[unit]:.0f} {unit}s"
    whole = max(1, math.ceil(seconds))
    return f"{whole} second{'s' if whole > 1 else ''}"


def _parse(text: str) -> dict[str, Limit | None]:
    limits: dict[str, Limit | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, amount = (side.strip().lower() for side in part.partition("="))
        if name not in _TOOLS:
            raise ValueError(f"{name!r} is no limit; there are {', '.join(_TOOLS)}")
        if name in limits:
            raise ValueError(f"{name} is given twice, and only one limit of it would hold")
        if amount in _OFF:
            limits[name] = None
            continue
        match = re.fullmatch(r"\$?(\d{1,9}(?:\.\d{1,2})?)/(minute|hour|day|week)", amount, flags=re.ASCII)
        if not match or (name != "spend" and not match[0].partition("/")[0].isdecimal()):
            raise ValueError(
                f"{part!r} is no limit: write it like {name}=20/hour (minute, hour, day, week) or {name}=off"
            )
        maximum = round(float(match[1]) * MICROS_PER_DOLLAR) if name == "spend" else int(match[1])
        limits[name] = Limit(name, maximum, match[2])
    return limits
