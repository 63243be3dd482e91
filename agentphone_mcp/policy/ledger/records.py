"""Hold what is written to the ledger, and what is read from it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Settled = Literal["done", "failed", "unknown", "refused"]
LedgerOutcome = Literal["pending", "done", "failed", "unknown", "refused"]
LONGEST_SUMMARY = 20_000
"""Characters of an action's summary that are kept, and shown to the person who is asked."""
REASON_SEPARATOR = "; "
HUNG_UP = "hung up by the server"
MAY_HAVE_HAPPENED = ("pending", "done", "unknown")


@dataclass(frozen=True)
class NewEntry:
    """Hold an action as it is written to the ledger, before anything is done; `store.py` describes the columns.

    Attributes:
        is_repeatable: False for destructive actions, which cannot be done twice.
        one_of: the tools of which one at a time acts on the account.
        approved_by: the host that passed the confirmation on.
        approved_how: `confirm`, or `person` where the host asked its user.
        question: the row of the question that a person answered.
        longest_call: how many seconds the account's plan lets a call run, where known.
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
    one_of: frozenset[str] = frozenset()
    approved_by: str | None = None
    approved_how: str | None = None
    question: int | None = None
    longest_call: float = math.inf


@dataclass(frozen=True)
class LookupResult:
    """Hold what a look-up found about an action whose answer was lost, and whether another may have caused it."""

    outcome: Literal["done", "failed"]
    ids: Mapping[str, str] | None = None
    result: Mapping[str, Any] | None = None
    may_belong_to: "Callable[[Entry], bool]" = field(default=lambda _: False, compare=False)


@dataclass(frozen=True)
class CallDuration:
    """Hold how many seconds a call lasted, None where unknown, and whether it is over."""

    seconds: float | None
    is_over: bool


@dataclass(frozen=True)
class Question:
    """Hold a question that a person was asked: its row, the summary and preview hash of the action, and when."""

    id: int
    text: str
    preview_hash: str
    at: float
    is_repeat: bool = False


@dataclass(frozen=True)
class Entry:
    """Hold one row of the ledger; times are in seconds since the epoch, costs in millionths of a dollar."""

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

    @property
    def call_id(self) -> str | None:
        """Return the id of the call that was placed; None if its answer was lost, or had none."""
        ids = self.ids or {}
        return ids.get("call_id") or ids.get("id")


def hang_up_in(reason: str | None) -> str | None:
    """Find in a row's reason why the server hung up its call."""
    return next((part for part in (reason or "").split(REASON_SEPARATOR) if HUNG_UP in part), None)
