"""Fixtures of the policy tests: a ledger in SQLite and PostgreSQL, a clock that is set by hand, and new entries."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from agentphone_mcp.api.errors import RequestLine
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.destinations import Destinations
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry, NewEntry
from agentphone_mcp.policy.limits import LimitExceeded, Limits
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.reconciliation import Reconciler

MakesEntry = Callable[..., NewEntry]
LINE = RequestLine("DELETE", "/v1/numbers/{number_id}", {"number_id": "pn_1"})
CALL = Action("Call +14155559999 from +14155551234.", verify_with="list_calls", next_step="wait_for_call follows it.")
RELEASE = Action("Release +14155551234 for good.", verify_with="list_numbers", confirmation="+14155551234")


class Clock:
    """A clock that is set by hand, in seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class ShortLedger(Ledger):
    """A ledger with one method for each state of an action."""

    def begin(self, new_entry: NewEntry, *, repeat: bool = False, within: float = 180) -> int | Entry:
        """Reserve an action, without limits."""
        reserved = self.reserve(new_entry, Limits(()), repeat=repeat, within=within)
        assert not isinstance(reserved, LimitExceeded)
        return reserved

    def done(self, new_entry: NewEntry, *, repeat: bool = False) -> int:
        """Reserve an action and do it."""
        row = self.begin(new_entry, repeat=repeat)
        assert isinstance(row, int)
        self.settle(row, "done", ids={"id": f"id_{row}"}, result={"id": f"id_{row}"})
        return row

    def unknown(self, new_entry: NewEntry, *, repeat: bool = False) -> int:
        """Reserve an action and lose its answer."""
        row = self.begin(new_entry, repeat=repeat)
        assert isinstance(row, int)
        self.settle(row, "unknown", reason="timed out")
        return row


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty location for a ledger: a folder that does not exist yet, or a database."""
    if request.param == "sqlite":
        return str(tmp_path / "ledgers")
    return request.getfixturevalue("postgresql")()


@pytest.fixture
def clock() -> Clock:
    """Make a clock that stands still until it is set."""
    return Clock()


@pytest.fixture
def ledger(ledger_location: str, clock: Clock) -> Generator[ShortLedger]:
    """Open an empty ledger."""
    opened = ShortLedger(ledger_location, clock)
    yield opened
    opened.close()


@pytest.fixture
def new_entry() -> MakesEntry:
    """Make the entry of a call to one number, with other values where given; the summary is its fingerprint."""

    def new_entry(summary: str = "Call Ada", **others: Any) -> NewEntry:
        values = {"account": "a" * 16, "tool": "place_call", "fingerprint": summary, "target": "+14155550100"}
        return NewEntry(**values | {"summary": summary, "to_number": "+14155550100"} | others)

    return new_entry


@pytest.fixture
def sqlite_ledger(tmp_path: Path, clock: Clock) -> Generator[ShortLedger]:
    """Open an empty ledger in a file, for tests that write a lot."""
    opened = ShortLedger(str(tmp_path / "ledgers"), clock)
    yield opened
    opened.close()


class Write:
    """A write that counts how often it was called, and then answers or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.times = 0
        self._failure = failure

    async def __call__(self) -> Acknowledgement:
        self.times += 1
        if self._failure:
            raise self._failure
        return Acknowledgement(message="done")


@pytest.fixture
def failing_write() -> type[Write]:
    """Make a write that fails."""
    return Write


@pytest.fixture
def write() -> Write:
    """Make a write that works."""
    return Write()


class InterruptedHandle(LedgerHandle):
    """A ledger that calls `after_next` after its next operation."""

    after_next: Callable[[], object] | None = None

    async def run(self, operation: Any) -> Any:
        """Run an operation, and then `after_next`."""
        value = await super().run(operation)
        if self.after_next:
            self.after_next()
            self.after_next = None
        return value


@pytest.fixture
def handle(state: Path) -> Generator[InterruptedHandle]:
    """Open a ledger in the state folder of the test."""
    handle = InterruptedHandle(str(state))
    yield handle
    handle.close()


@pytest.fixture
def action(handle: LedgerHandle) -> Callable[..., int]:
    """Write down an action and its outcome."""

    def action(outcome: Any, new_entry: NewEntry) -> int:
        row = handle.open().reserve(new_entry, Limits(()), repeat=True, within=60)
        assert isinstance(row, int)
        handle.open().settle(row, outcome, ids={"id": f"id_{row}"} if outcome == "done" else None)
        return row

    return action


@pytest.fixture
def gate(handle: LedgerHandle) -> Gate:
    """Make a gate with that ledger, whose look-ups find nothing."""

    async def nothing(*_: Any) -> None:
        return None

    return Gate(Policy(Limits.parse(""), Destinations()), Reconciler("account", handle, nothing, nothing))
