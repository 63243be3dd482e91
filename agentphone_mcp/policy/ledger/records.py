"""What is written into the ledger, and what is read from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Settled = Literal["done", "failed", "unknown", "refused"]
LedgerOutcome = Literal["pending", "done", "failed", "unknown", "refused"]
LONGEST_SUMMARY = 20_000
"""Characters of an action that are kept, and shown to the person who is asked."""
MAY_HAVE_HAPPENED = ("pending", "done", "unknown")


@dataclass(frozen=True)
class NewEntry:
    """An action as the ledger keeps it, before anything is done.

    Attributes:
        account: a hash of the key.
        tool: the tool that does it.
        fingerprint: the same for the same arguments.
        target: what an unknown outcome blocks.
        what: the action in a sentence.
        cost: millionths of a dollar.
        minute_cost: set where the cost is an estimate, to be settled by the seconds.
        to_number: whom it reaches, in E.164.
        match_on: what a look-up finds it by.
        preview_hash: a hash of what a person would read of it, but for the clock.
        is_repeatable: whether the same can be done twice; what is destroyed is gone.
        approved_by: the host that passed the yes on.
        approved_how: `confirm`, or `person` where the host asked.
        question: the row in which the person was asked.
    """

    account: str
    tool: str
    fingerprint: str
    target: str
    summary: str
    cost: int = 0
    minute_cost: int | None = None
    to_number: str | None = None
    match_on: Mapping[str, str | None] | None = None
    preview_hash: str = ""
    is_repeatable: bool = True
    approved_by: str | None = None
    approved_how: str | None = None
    question: int | None = None


@dataclass(frozen=True)
class LookupResult:
    """What a look-up made of an action whose answer was lost.

    Attributes:
        outcome: whether it happened.
        ids: of what came of it.
        result: what the API shows of that.
        may_belong_to: whether it could have come of another action as well.
    """

    outcome: Literal["done", "failed"]
    ids: Mapping[str, str] | None = None
    result: Mapping[str, Any] | None = None
    may_belong_to: "Callable[[Entry], bool]" = field(default=lambda _: False, compare=False)


@dataclass(frozen=True)
class CallDuration:
    """How many seconds a call lasted, where anybody knows, and whether it is over."""

    seconds: float | None
    is_over: bool


@dataclass(frozen=True)
class Question:
    """What a person was asked, the hash of the preview as it was then, when, and whether it was done before."""

    id: int
    text: str
    preview_hash: str
    at: float
    is_repeat: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all of it can be read."""
        return len(self.text) <= LONGEST_SUMMARY


@dataclass(frozen=True)
class Entry:
    """One row of the ledger; times are in seconds since the epoch, costs in millionths of a dollar."""

    id: int
    at: float
    settled_at: float | None
    account: str
    tool: str
    summary: str
    to_number: str | None
    cost: int
    minute_cost: int | None
    outcome: LedgerOutcome
    reason: str | None
    ids: Mapping[str, str] | None
    result: Mapping[str, Any] | None
    match_on: Mapping[str, str | None] | None
    approved_by: str | None
    approved_how: str | None
    fingerprint: str
