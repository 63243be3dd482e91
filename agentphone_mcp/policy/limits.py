"""How much may be done in how long: limits that stop a runaway loop and not a working day."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

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
class Limit:
    """At most so much in so long, over a window that slides.

    Attributes:
        name: what is counted, as in `AGENTPHONE_LIMITS`.
        most: how many; for `spend` millionths of a dollar.
        per: minute, hour, day or week.
    """

    name: str
    maximum: int
    per: str

    @property
    def tool(self) -> str | None:
        """The tool whose actions count; None counts every tool's."""
        return _TOOLS[self.name]

    @property
    def is_money(self) -> bool:
        """Whether dollars are counted and not actions."""
        return self.name == "spend"

    @property
    def for_one_number(self) -> bool:
        """Whether only the actions that reach the same number count."""
        return self.name.endswith("_to_one_number")

    @property
    def seconds(self) -> int:
        """The length of the window."""
        return _SECONDS[self.per]

    def is_over(self, actions: int, spent: int, micros: int) -> bool:
        """Whether one more action that costs so much is too much beside those in the window, and what they cost."""
        return spent + micros > self.maximum if self.is_money else actions + 1 > self.maximum

    def frees_at(self, counted: Sequence[tuple[float, int]], micros: int) -> float:
        """Say when there is room for one more action, where there is none now.

        Args:
            counted: when each action in the window was done, in seconds since the epoch, oldest first, and what it cost.
            micros: what one more costs.

        Returns:
            seconds since the epoch, or infinity where a single one is too much.
        """
        weights = [(at, cost if self.is_money else 1) for at, cost in counted]
        one_more = micros if self.is_money else 1
        over = sum(weight for _, weight in weights) + one_more - self.maximum
        for at, weight in weights:
            over -= weight
            if over <= 0:
                return at + self.seconds
        return math.inf

    def __str__(self) -> str:
        return f"{self.name}={in_dollars(self.maximum) if self.is_money else self.maximum}/{self.per}"


class LimitExceeded(Exception):
    """One more would be too much; `frees_at` is in seconds since the epoch, infinity where it never fits."""

    def __init__(self, limit: Limit, frees_at: float, used_micros: int) -> None:
        super().__init__(str(limit))
        self.limit = limit
        self.frees_at = frees_at
        self.used_micros = used_micros


@dataclass(frozen=True)
class Limits:
    """The limits in force."""

    limits: tuple[Limit, ...]

    @classmethod
    def parse(cls, said: str) -> "Limits":
        """Read limits that differ from the default ones: `calls=50/hour,spend=25/day,numbers=off`.

        Raises:
            ValueError: if a name is none of the limits, or an amount cannot be read.
        """
        limits = _read(DEFAULT_LIMITS) | _read(said)
        return cls(tuple(limit for limit in limits.values() if limit is not None))

    def applicable_to(self, tool: str, micros: int) -> list[Limit]:
        """The limits that an action of this tool and cost meets."""
        return [limit for limit in self.limits if limit.tool == tool or (limit.is_money and micros)]


def _read(said: str) -> dict[str, Limit | None]:
    limits: dict[str, Limit | None] = {}
    for part in filter(None, (part.strip() for part in said.split(","))):
        name, _, amount = (side.strip().lower() for side in part.partition("="))
        if name not in _TOOLS:
            raise ValueError(f"{name!r} is no limit; there are {', '.join(_TOOLS)}")
        if name in limits:
            raise ValueError(f"{name} is given twice, and only one limit of it would hold")
        if amount in _OFF:
            limits[name] = None
            continue
        found = re.fullmatch(r"\$?(\d{1,9}(?:\.\d{1,2})?)/(minute|hour|day|week)", amount, flags=re.ASCII)
        if not found or (name != "spend" and not found[0].partition("/")[0].isdecimal()):
            raise ValueError(
                f"{part!r} is no limit: write it like {name}=20/hour (minute, hour, day, week) or {name}=off"
            )
        most = round(float(found[1]) * MICROS_PER_DOLLAR) if name == "spend" else int(found[1])
        limits[name] = Limit(name, most, found[2])
    return limits
