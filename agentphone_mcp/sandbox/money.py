"""What things cost, and the prepaid balance that pays for them. All rates stand here (API.md, "Money")."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from agentphone_mcp.sandbox.answers import RefusalError

STARTING_BALANCE = Decimal("5.00")
NUMBER = Decimal("3.00")
MESSAGE = Decimal("0.02")
VOICE_PER_MINUTE = {"webhook": Decimal("0.13"), "hosted": Decimal("0.22")}
LEAST_VOICE_CHARGE = Decimal("0.01")


def voice_charge(mode: str, seconds: int) -> Decimal:
    """What an answered call costs in dollars: by the second, at least a cent."""
    exact = VOICE_PER_MINUTE[mode] * seconds / 60
    return max(LEAST_VOICE_CHARGE, exact.quantize(Decimal("0.0001"), ROUND_HALF_UP))


@dataclass(frozen=True)
class Charge:
    """One debit, for whoever wants to see where the balance went."""

    at: datetime
    reason: str
    amount: Decimal


@dataclass
class Purse:
    """The prepaid balance in US dollars. A call's charge is known only at its end, so it may go below zero."""

    balance: Decimal = STARTING_BALANCE
    charges: list[Charge] = field(default_factory=list[Charge])

    def require(self, amount: Decimal, purpose: str) -> None:
        """Refuse with 402 what the balance does not cover."""
        if self.balance < amount:
            raise RefusalError(
                402,
                f"Insufficient balance: {purpose} needs ${amount:.2f}, the balance is ${self.balance:.2f}.",
                "INSUFFICIENT_BALANCE",
            )

    def charge(self, amount: Decimal, reason: str, at: datetime) -> None:
        """Debit what was used."""
        self.balance -= amount
        self.charges.append(Charge(at, reason, amount))
