"""Compute what actions cost. Source: API.md, "Money". Prices change, so texts for a person say "about"."""

import math
from dataclasses import dataclass, fields

_GSM_SEGMENT, _UNICODE_SEGMENT = 160, 70
MICROS_PER_DOLLAR = 1_000_000
_LEAST_FOR_A_CALL = 0.01
_MINUTES_ESTIMATED = 5
"""The estimated duration of a call until its true duration is known."""


@dataclass(frozen=True)
class Cost:
    """Hold an amount in whole millionths of a dollar; with a minute's price it is a call's estimate."""

    micros: int
    minute_micros: int | None = None

    @classmethod
    def of(cls, dollars: float) -> "Cost":
        """Convert dollars."""
        return cls(round(dollars * MICROS_PER_DOLLAR))

    @classmethod
    def of_call(cls, per_minute: float) -> "Cost":
        """Estimate a call from its price per minute in dollars."""
        return cls(round(per_minute * _MINUTES_ESTIMATED * MICROS_PER_DOLLAR), round(per_minute * MICROS_PER_DOLLAR))


FREE = Cost(0)


def cost_of_seconds(minute_micros: int, seconds: float) -> int:
    """Compute the cost of a call in millionths of a dollar: by the second, at least a cent, 0 if unanswered."""
    if seconds <= 0:
        return 0
    return max(round(_LEAST_FOR_A_CALL * MICROS_PER_DOLLAR), math.ceil(minute_micros * seconds / 60))


def cost_of_call(estimate: int, minute_micros: int | None, longest: float) -> int:
    """Return the estimated cost of a call, or less where the plan lets none run for so long."""
    if minute_micros is None or math.isinf(longest):
        return estimate
    return min(estimate, cost_of_seconds(minute_micros, longest))


def in_dollars(micros: int) -> str:
    """Write a cost for a person: `$1.10`, `$0.025`."""
    dollars = micros / MICROS_PER_DOLLAR
    return f"${dollars:.2f}" if micros % 10_000 == 0 or dollars > 1 else f"${dollars:.3f}"


@dataclass(frozen=True)
class PriceList:
    """Hold prices in US dollars."""

    number_per_30_days: float = 3.00
    hosted_minute: float = 0.22
    webhook_minute: float = 0.13
    aggressive_denoising_minute: float = 0.005
    text: float = 0.02

    @classmethod
    def parse(cls, text: str) -> "PriceList":
        """Read prices that replace the default ones: `hosted_minute=0.25,text=0.03`.

        Raises:
            ValueError: if a name or a price cannot be read.
        """
        names = [price.name for price in fields(cls)]
        prices: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, price = (side.strip() for side in part.partition("="))
            if name not in names:
                raise ValueError(f"{name!r} is no price; there are {', '.join(names)}")
            if name in prices:
                raise ValueError(f"{name} is given twice")
            try:
                prices[name] = float(price.removeprefix("$"))
            except ValueError:
                raise ValueError(f"{name}={price!r} is no price: write it like {name}=0.25") from None
            if not 0 <= prices[name] <= 1_000:
                raise ValueError(f"{name}={price!r} is no price in dollars")
        return cls(**prices)

    def number_price_text(self) -> str:
        """Say what a phone number costs."""
        return f"about ${self.number_per_30_days:.2f} per 30 days, charged at once and not refunded"

    def minute(self, *, hosted: bool, denoising: str | None = None) -> float:
        """Return the dollars for a minute of a call, in hosted or webhook voice mode."""
        extra = self.aggressive_denoising_minute if denoising == "noise-and-background-speech-cancellation" else 0
        return (self.hosted_minute if hosted else self.webhook_minute) + extra

    def message_cost(self, body: str) -> float:
        """Compute the dollars for a text, by its segments."""
        return self.text * _segments(body)

    def message_price_text(self, body: str) -> str:
        """Say what a text costs, and how many segments it has."""
        segments = _segments(body)
        price = in_dollars(Cost.of(self.message_cost(body)).micros)
        return f"about {price}, {segments} segment{'s' if segments > 1 else ''}"


def minute_price_text(price: float) -> str:
    """Say what a minute of a call costs."""
    amount = f"{price:.3f}".removesuffix("0")
    return f"about ${amount} a minute, by the second"


def _segments(body: str) -> int:
    size = _GSM_SEGMENT if body.isascii() else _UNICODE_SEGMENT
    # Carriers count UTF-16 units, of which an emoji takes two.
    units = len(body.encode("utf-16-le", "surrogatepass")) // 2
    return max(1, -(-units // size))
