"""Unresolved actions and estimates are settled by what the API says, or stay as they are."""

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest

from agentphone_mcp.api.errors import NotFound, RequestLine, ServerError
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import CallDuration, Entry, LookupResult, NewEntry
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.reconciliation import Reconciler

FAILS = ServerError(RequestLine("GET", "/v1/calls", {}), "oops", status=500)
GONE = NotFound(RequestLine("GET", "/v1/calls/{call_id}", {"call_id": "call_1"}), "gone", status=404)
TO = "+14155559999"
CALL = NewEntry("account", "place_call", "f", TO, "Call.", cost=1_100_000, minute_cost=220_000, to_number=TO)


async def nothing(*_: Any) -> None:
    """Answer no look-up."""


def _answer(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def reconciler(handle: LedgerHandle) -> Callable[..., Reconciler]:
    """Make a reconciler whose API gives this answer; a list is given item by item."""

    def reconciler(answer: Any = None, seconds: Any = None, account: str = "account") -> Reconciler:
        async def look_up(*_: Any) -> Any:
            return _answer(answer.pop(0) if isinstance(answer, list) else answer)

        async def call_duration(_: Entry) -> CallDuration:
            return CallDuration(_answer(seconds), is_over=seconds is not None)

        return Reconciler(account, handle, look_up, call_duration)

    return reconciler


def entries(handle: LedgerHandle) -> list[Entry]:
    """List what the ledger holds."""
    return handle.open().entries()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(LookupResult("done", {"id": "call_1"}), "done", id="found"),
        pytest.param(LookupResult("failed"), "failed", id="not-done"),
        pytest.param(None, "unknown", id="unclear"),
        pytest.param(FAILS, "unknown", id="api-down"),
    ],
)
async def test_an_unresolved_action_becomes_what_the_look_up_says(
    reconciler, action, handle, answer: Any, outcome: str
) -> None:
    action("unknown", CALL)
    assert await reconciler(answer).reconcile_all() is (outcome == "unknown")
    assert [row.outcome for row in entries(handle)] == [outcome]


async def test_an_unresolved_action_of_yesterday_is_not_looked_up(reconciler, handle) -> None:
    """It is looked up only when the same action is requested again."""
    yesterday = Ledger(handle._location, clock=lambda: time.time() - 86_401)
    row = yesterday.reserve(CALL, Limits(()), repeat=True, within=60)
    yesterday.settle(row, "unknown")
    yesterday.close()
    assert not await reconciler(AssertionError("the API is asked")).reconcile_all()


async def test_what_stays_open_is_asked_for_soon_and_what_is_settled_is_not_waited_for(
    reconciler, action, handle
) -> None:
    row, reconciling = action("unknown", CALL), reconciler()
    await reconciling.reconcile_all()
    assert reconciling.pause <= 4
    handle.open().settle(row, "failed")
    await reconciling.reconcile_all()
    assert reconciling.pause == pytest.approx(300)


async def test_one_failure_keeps_no_other_action_from_being_settled(reconciler, action, handle) -> None:
    for _ in range(3):
        action("unknown", CALL)
    await reconciler([FAILS, LookupResult("failed"), LookupResult("done", {"id": "x"})]).reconcile_all()
    assert [row.outcome for row in entries(handle)] == ["unknown", "failed", "done"]


async def test_the_unresolved_actions_of_another_account_are_left_alone(reconciler, action, handle) -> None:
    action("unknown", CALL)
    await reconciler(LookupResult("failed"), account="another").reconcile_all()
    assert [row.outcome for row in entries(handle)] == ["unknown"]


async def test_a_look_up_gets_the_ids_of_other_actions(action, handle) -> None:
    action("done", CALL)
    action("unknown", CALL)
    action("unknown", CALL)
    seen: list[frozenset[str]] = []

    async def look_up(_: Entry, claimed: frozenset[str]) -> LookupResult:
        seen.append(claimed)
        return LookupResult("done", {"id": f"found_{len(seen)}"})

    await Reconciler("account", handle, look_up, nothing).reconcile_all()
    assert seen == [{"id_1"}, {"id_1", "found_1"}]


@pytest.mark.parametrize(
    ("seconds", "cost", "is_settled"),
    [
        pytest.param(30, 110_000, True, id="half-a-minute"),
        pytest.param(1, 10_000, True, id="at-least-a-cent"),
        pytest.param(0, 0, True, id="unanswered"),
        pytest.param(None, 1_100_000, False, id="going-on"),
        pytest.param(FAILS, 1_100_000, False, id="api-down"),
        pytest.param(GONE, 1_100_000, True, id="call-gone"),
    ],
)
async def test_an_estimate_becomes_the_cost_when_the_call_is_over(
    reconciler, action, handle, seconds: Any, cost: int, is_settled: bool
) -> None:
    action("done", CALL)
    assert await reconciler(seconds=seconds).reconcile_all() is not is_settled
    [row] = entries(handle)
    assert (row.cost, row.minute_cost is None) == (cost, is_settled)


async def test_without_a_ledger_there_is_nothing_to_settle(reconciler, state) -> None:
    assert not await reconciler().reconcile_all()
    assert not state.exists()


async def test_a_ledger_that_cannot_be_read_stops_no_server(reconciler, handle, action, state, caplog) -> None:
    action("unknown", CALL)
    handle.close()
    for file in state.iterdir():
        file.write_bytes(b"no database" * 1_000)
    await reconciler().reconcile_all()
    assert "cannot be reconciled" in caplog.text


class BrokenHandle(LedgerHandle):
    """A ledger that cannot be read while `is_broken`."""

    is_broken = True

    async def run(self, operation: Any) -> Any:
        """Run an operation, or fail."""
        if self.is_broken:
            raise LedgerUnavailable("the ledger", "the disk is gone")
        return await super().run(operation)


@pytest.fixture
def broken_handle(handle, state) -> Generator[BrokenHandle]:
    """Open a ledger in the same place that fails."""
    handle.open()
    broken = BrokenHandle(str(state))
    yield broken
    broken.close()


async def test_a_ledger_that_stays_broken_is_tried_ever_more_seldom(broken_handle) -> None:
    """The pause is long even if a row was due before, and short again once the ledger has worked."""
    broken_handle.is_broken = False
    row = broken_handle.open().reserve(CALL, Limits(()), repeat=False, within=60)
    broken_handle.open().settle(row, "unknown")
    reconciling = Reconciler("account", broken_handle, nothing, nothing)
    await reconciling.reconcile_all()
    broken_handle.is_broken = True
    pauses: list[float] = []
    for _ in range(10):
        assert await reconciling.reconcile_all()
        pauses.append(reconciling.pause)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    broken_handle.is_broken = False
    await reconciling.reconcile_all()
    broken_handle.is_broken = True
    await reconciling.reconcile_all()
    assert reconciling.pause == 2


async def test_what_was_not_written_yet_hurries_no_broken_ledger(broken_handle) -> None:
    reconciling = Reconciler("account", broken_handle, nothing, nothing)
    reconciling.write_later(lambda ledger: None)
    for _ in range(3):
        await reconciling.reconcile_all()
    assert reconciling.pause == 8


@pytest.mark.parametrize(
    "failure", [LedgerUnavailable("the ledger", "locked"), ValueError("a bug")], ids=["unavailable", "bug"]
)
async def test_the_log_says_once_that_a_ledger_fails_and_once_that_it_works_again(handle, caplog, failure: Any) -> None:
    failures = [failure] * 3

    def fail(_: Any) -> None:
        if failures:
            raise failures.pop()

    caplog.set_level("INFO", "agentphone_mcp.policy.reconciliation")
    handle.open()
    reconciling = Reconciler("account", handle, nothing, nothing)
    reconciling.write_later(fail)
    for _ in range(5):
        await reconciling.reconcile_all()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "can be reconciled again" in caplog.messages[-1]


async def test_what_could_not_be_written_is_written_first_when_it_can_be(reconciler, handle, state) -> None:
    row = handle.open().reserve(replace(CALL, minute_cost=None), Limits(()), repeat=False, within=-1)
    written: list[int] = []

    def write(ledger: Any) -> None:
        written.append(row)
        if len(written) < 3:
            raise LedgerUnavailable(str(state), "the disk is full")
        ledger.settle(row, "done", ids={"id": "call_1"})

    reconciling = reconciler(AssertionError("the API is asked"))
    reconciling.write_later(write)
    for _ in range(4):
        await reconciling.reconcile_all()
    assert written == [row] * 3
    assert [(entry.outcome, entry.ids) for entry in entries(handle)] == [("done", {"id": "call_1"})]
