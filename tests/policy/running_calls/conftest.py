"""Fixtures that place calls and watch them as several processes do, with clocks that are set by hand."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry, NewEntry
from agentphone_mcp.policy.limits import LimitExceeded, Limits
from agentphone_mcp.policy.reconciliation import Reconciler
from agentphone_mcp.policy.running_calls import RunningCalls
from tests.policy.running_calls.stand_ins import CALL, TEN_DOLLARS, Api, Steady


@pytest.fixture
def api() -> Api:
    """Make an API that knows no call to be over."""
    return Api()


@pytest.fixture
def steady() -> Steady:
    """Make a clock that stands still until it is set."""
    return Steady()


@pytest.fixture
def ledger_of(state, clock) -> Generator[Callable[[], LedgerHandle]]:
    """Open the ledger as one more process does, with the clock that is set by hand."""
    handles: list[LedgerHandle] = []

    def ledger_of() -> LedgerHandle:
        handle = LedgerHandle(str(state))
        handle._ledger = Ledger(str(state), clock)
        handles.append(handle)
        return handle

    yield ledger_of
    for handle in handles:
        handle.close()


@pytest.fixture
def server(ledger_of, api, clock, steady) -> Callable[..., RunningCalls]:
    """Make what watches the calls in one process."""

    def server(limits: Limits = TEN_DOLLARS) -> RunningCalls:
        reconciler = Reconciler("account", ledger_of(), api.look_up, api.duration, api.longest_call, clock)
        return RunningCalls(limits, reconciler, api.end, 60, clock, steady)

    return server


@pytest.fixture
def place(ledger_of) -> Callable[..., int | LimitExceeded]:
    """Reserve a call, and let it begin."""
    ledger = ledger_of().open()

    def place(new_entry: NewEntry = CALL, outcome: Any = "done") -> int | LimitExceeded:
        row = ledger.reserve(new_entry, TEN_DOLLARS, repeat=True, within=60)
        if isinstance(row, int):
            ledger.settle(row, outcome, ids={"id": f"call_{row}"} if outcome == "done" else None)
        return row

    return place


@pytest.fixture
def rows(ledger_of) -> Callable[[], list[Entry]]:
    """Read the ledger."""
    return lambda: ledger_of().open().entries()
