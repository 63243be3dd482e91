"""Define all prices, and charge them to the prepaid balance (API.md, "Money")."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from agentphone_mcp.sandbox.responses import RefusalError

STARTING_BALANCE = Decimal("5.00")
NUMBER = Decimal("3.00")
MESSAGE = Decimal("0.02")
_DENOISING = Decimal("0.005")
VOICE_PER_MINUTE = {
    "webhook": Decimal("0.13"),
    "hosted": Decimal("0.22"),
    "webhook+denoising": Decimal("0.13") + _DENOISING,
    "hosted+denoising": Decimal("0.22") + _DENOISING,
}
"""By the tariff of a call: its voice mode, and whether the aggressive denoising is on."""
LEAST_VOICE_CHARGE = Decimal("0.01")
GSM_SEGMENT = 160
UNICODE_SEGMENT = 70

_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_ESCAPED = set("^{}\\[~]|€\f")


def voice_charge(tariff: str, seconds: int) -> Decimal:
    """Compute the price of an answered call in dollars: by the second, at least a cent."""
    exact = VOICE_PER_MINUTE[tariff] * seconds / 60
    return max(LEAST_VOICE_CHARGE, exact.quantize(Decimal("0.0001"), ROUND_HALF_UP))


def segments(body: str) -> int:
    """Count the segments that a text is billed as: of 160 GSM characters, or else of 70 UTF-16 units."""
    if set(body) <= _GSM | _GSM_ESCAPED:
        size, length = GSM_SEGMENT, len(body) + sum(character in _GSM_ESCAPED for character in body)
    else:
        size, length = UNICODE_SEGMENT, len(body.encode("utf-16-le")) // 2
    return max(1, -(-length // size))


def text_charge(body: str) -> Decimal:
    """Compute the price of a text in dollars, in either direction; without a body it is one segment."""
    return MESSAGE * segments(body)


@dataclass(frozen=True)
class Charge:
    """Record one debit and its reason."""

    at: datetime
    reason: str
    amount: Decimal


@dataclass
class Balance:
    """Hold the prepaid balance in US dollars, which never falls below zero: a larger charge takes the rest."""

    amount: Decimal = STARTING_BALANCE
    charges: list[Charge] = field(default_factory=list[Charge])

    def require(self, amount: Decimal, purpose: str) -> None:
        """Refuse with 402 if the balance is less than the amount."""
        if self.amount < amount:
            raise RefusalError(
                402,
                f"Insufficient balance: {purpose} needs ${amount:.2f}, the balance is ${self.amount:.2f}.",
                "INSUFFICIENT_BALANCE",
            )

    def charge(self, amount: Decimal, reason: str, at: datetime) -> None:
        """Debit an amount, or the rest of the balance."""
        amount = min(amount, self.amount)
        self.amount -= amount
        self.charges.append(Charge(at, reason, amount))

    def seconds_left(self, running: Iterable[tuple[str, float]]) -> float:
        """Compute how many seconds the balance lasts for calls, each given as its tariff and its answered seconds."""
        calls = [(float(VOICE_PER_MINUTE[tariff]) / 60, seconds) for tariff, seconds in running]
        owed = sum(rate * seconds for rate, seconds in calls)
        burnt = sum(rate for rate, _ in calls)
        return max(0.0, float(self.amount) - owed) / burnt if burnt else float("inf")
