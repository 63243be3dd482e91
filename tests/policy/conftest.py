"""A ledger in each of its two homes, a clock that is set by hand, and actions to write down."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.policy.destinations import Destinations
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry, NewEntry
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.reconciliation import Reconciler


class Clock:
    """Seconds since the epoch, as told."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Pen(Ledger):
    """A ledger in which an action is written down in a word."""

    def begin(self, new_entry: NewEntry, *, repeat: bool = False, within: float = 180) -> int | Entry:
        """Reserve an action, without limits."""
        return self.reserve(new_entry, [], repeat=repeat, within=within)

    def done(self, new_entry: NewEntry, *, repeat: bool = False) -> int:
        """Reserve an action and do it."""
        row = self.begin(new_entry, repeat=repeat)
        assert isinstance(row, int)
        self.settle(row, "done", ids={"id": f"id_{row}"}, result={"id": f"id_{row}"})
        return row

    def in_doubt(self, new_entry: NewEntry, *, repeat: bool = False) -> int:
        """Reserve an action whose answer is lost."""
        row = self.begin(new_entry, repeat=repeat)
        assert isinstance(row, int)
        self.settle(row, "unknown", reason="timed out")
        return row


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a ledger: a folder that is not there yet, or a database."""
    if request.param == "sqlite":
        return str(tmp_path / "ledgers")
    return request.getfixturevalue("postgresql")()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is set."""
    return Clock()


@pytest.fixture
def ledger(ledger_place: str, clock: Clock) -> Generator[Pen]:
    """An empty ledger."""
    opened = Pen(ledger_place, clock)
    yield opened
    opened.close()


@pytest.fixture
def new_entry() -> Callable[..., NewEntry]:
    """A call to one number, or what differs from it; its fingerprint is its words unless told."""

    def new_entry(what: str = "Call Ada", **others: Any) -> NewEntry:
        told = {"account": "a" * 16, "tool": "place_call", "fingerprint": what, "target": "+14155550100"}
        return NewEntry(**told | {"summary": what, "to_number": "+14155550100"} | others)

    return new_entry


@pytest.fixture
def sqlite_ledger(tmp_path: Path, clock: Clock) -> Generator[Pen]:
    """An empty ledger in a file, for tests that write a lot."""
    opened = Pen(str(tmp_path / "ledgers"), clock)
    yield opened
    opened.close()


class Write:
    """A write that counts how often it was done, and then answers or fails as told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.times = 0
        self._failure = failure

    async def __call__(self) -> Acknowledgement:
        """Do it."""
        self.times += 1
        if self._failure:
            raise self._failure
        return Acknowledgement(message="done")


@pytest.fixture
def writing() -> type[Write]:
    """Make a `Write` that fails."""
    return Write


@pytest.fixture
def write() -> Write:
    """A write that works."""
    return Write()


class InterruptedHandle(LedgerHandle):
    """A ledger after whose next answer something happens."""

    after_next: Callable[[], object] | None = None

    async def ask(self, what: Any) -> Any:
        """Read or write, and then let it happen."""
        told = await super().run(what)
        if self.after_next:
            self.after_next()
            self.after_next = None
        return told


@pytest.fixture
def handle(state: Path) -> Generator[InterruptedHandle]:
    """A ledger of the test's own."""
    handle = InterruptedHandle(str(state))
    yield handle
    handle.close()


@pytest.fixture
def gate(handle: LedgerHandle) -> Gate:
    """A gate with that ledger, whose look-ups find nothing."""

    async def nothing(*_: Any) -> None:
        return None

    return Gate(Policy(Limits.parse(""), Destinations()), Reconciler("account", handle, nothing, nothing))
