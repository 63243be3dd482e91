"""Doubts and estimates are settled by what the API says now; where it says nothing they stay."""

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
from agentphone_mcp.policy.reconciliation import Reconciler

FAILS = ServerError(RequestLine("GET", "/v1/calls", {}), "oops", status=500)
GONE = NotFound(RequestLine("GET", "/v1/calls/{call_id}", {"call_id": "call_1"}), "gone", status=404)
TO = "+14155559999"
CALL = NewEntry("account", "place_call", "f", TO, "Call.", cost=1_100_000, minute_cost=220_000, to_number=TO)


async def nothing(*_: Any) -> None:
    """An API that tells nothing."""


def _told(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def reconciler(handle: LedgerHandle) -> Callable[..., Reconciler]:
    """Make a reconciler whose API answers as told; a list is answered one by one."""

    def reconciler(answer: Any = None, seconds: Any = None, account: str = "account") -> Reconciler:
        async def look_up(*_: Any) -> Any:
            return _told(answer.pop(0) if isinstance(answer, list) else answer)

        async def call_duration(_: Entry) -> CallDuration:
            return CallDuration(_told(seconds), is_over=seconds is not None)

        return Reconciler(account, handle, look_up, call_duration)

    return reconciler


@pytest.fixture
def action(handle: LedgerHandle) -> Callable[..., int]:
    """Write down an action and what came of it."""

    def action(outcome: Any, new_entry: NewEntry = CALL) -> int:
        row = handle.open().reserve(new_entry, [], repeat=True, within=60)
        assert isinstance(row, int)
        handle.open().settle(row, outcome, ids={"id": f"id_{row}"} if outcome == "done" else None)
        return row

    return action


def shown(handle: LedgerHandle) -> list[Entry]:
    """What the ledger has."""
    return handle.open().entries()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(LookupResult("done", {"id": "call_1"}), "done", id="found"),
        pytest.param(LookupResult("failed"), "failed", id="not-done"),
        pytest.param(None, "unknown", id="cannot-be-told"),
        pytest.param(FAILS, "unknown", id="api-down"),
    ],
)
async def test_a_doubt_becomes_what_the_look_up_says(reconciler, action, handle, answer: Any, outcome: str) -> None:
    """And stays one where it says nothing."""
    action("unknown")
    assert await reconciler(answer).reconcile_all() is (outcome == "unknown")
    assert [row.outcome for row in shown(handle)] == [outcome]


async def test_a_doubt_of_yesterday_is_not_looked_into(reconciler, handle) -> None:
    """Only who asks for the action again has it looked up."""
    yesterday = Ledger(handle._place, clock=lambda: time.time() - 86_401)
    row = yesterday.reserve(CALL, [], repeat=True, within=60)
    yesterday.settle(row, "unknown")
    yesterday.close()
    assert not await reconciler(AssertionError("nobody need ask")).reconcile_all()


async def test_what_stays_open_is_asked_for_soon_and_what_is_settled_is_not_waited_for(
    reconciler, action, handle
) -> None:
    """The next look is the earliest that is due, or else far away."""
    row, reconciling = action("unknown"), reconciler()
    await reconciling.reconcile_all()
    assert reconciling.pause <= 4
    handle.open().settle(row, "failed")
    await reconciling.reconcile_all()
    assert reconciling.pause == pytest.approx(300)


async def test_one_failure_keeps_no_other_doubt_from_being_settled(reconciler, action, handle) -> None:
    """Each is asked for by itself."""
    for _ in range(3):
        action("unknown")
    await reconciler([FAILS, LookupResult("failed"), LookupResult("done", {"id": "x"})]).reconcile_all()
    assert [row.outcome for row in shown(handle)] == ["unknown", "failed", "done"]


async def test_the_doubts_of_another_account_are_not_ours(reconciler, action, handle) -> None:
    """Its key would be asked for them."""
    action("unknown")
    await reconciler(LookupResult("failed"), account="another").reconcile_all()
    assert [row.outcome for row in shown(handle)] == ["unknown"]


async def test_a_look_up_is_told_what_came_of_other_action(action, handle) -> None:
    """Also of those that it has just settled."""
    action("done")
    action("unknown")
    action("unknown")
    seen: list[frozenset[str]] = []

    async def look_up(_: Entry, claimed: frozenset[str]) -> LookupResult:
        seen.append(claimed)
        return LookupResult("done", {"id": f"found_{len(seen)}"})

    await Reconciler("account", handle, look_up, nothing).reconcile_all()
    assert seen == [{"id_1"}, {"id_1", "found_1"}]


OTHER = replace(CALL, fingerprint="other words")
THEIRS = LookupResult("done", {"id": "call_1"}, may_belong_to=lambda other: other.to_number == CALL.to_number)


@pytest.fixture
def looking(handle) -> Callable[..., Any]:
    """Look up the first action unresolved, while something happens; it finds a call."""

    async def looking(meanwhile: Callable[[], object] = lambda: None) -> LookupResult | None:
        async def look_up(*_: Any) -> LookupResult:
            meanwhile()
            return THEIRS

        return await Reconciler("account", handle, look_up, nothing).reconcile(handle.open().unresolved("account")[0])

    return looking


async def test_what_may_be_of_a_action_under_way_is_given_to_no_other(looking, action, handle) -> None:
    """Whether that began before the look-up or meanwhile; once it is settled, what is left can be told."""
    action("unknown")
    row: list[int] = []
    assert await looking(lambda: row.append(handle.open().reserve(OTHER, [], repeat=True, within=60))) is None
    assert await looking() is None
    handle.open().settle(row[0], "failed")
    assert await looking() == THEIRS
    assert [entry.outcome for entry in shown(handle)] == ["done", "failed"]


async def test_what_came_of_a_action_meanwhile_is_given_to_no_other(looking, action, handle) -> None:
    """It was done and settled after the look-up had read which ids are claimed."""
    action("unknown")

    def other() -> None:
        row = handle.open().reserve(OTHER, [], repeat=True, within=60)
        handle.open().settle(row, "done", ids={"call_id": "call_1"})

    assert await looking(other) is None
    assert [entry.outcome for entry in shown(handle)] == ["unknown", "done"]


@pytest.mark.parametrize(
    ("other", "outcome"),
    [
        pytest.param(OTHER, "unknown", id="other-words"),
        pytest.param(CALL, "done", id="the-same"),
        pytest.param(replace(OTHER, to_number="+14155550101"), "done", id="cannot-be-its"),
        pytest.param(replace(OTHER, tool="send_message"), "done", id="another-tool"),
        pytest.param(replace(OTHER, account="another"), "done", id="another-account"),
    ],
)
async def test_of_two_doubts_neither_is_given_what_may_be_the_others(
    looking, action, handle, other: NewEntry, outcome: str
) -> None:
    """But it does not matter which of two that are the same."""
    action("unknown")
    action("unknown", other)
    await looking()
    assert [entry.outcome for entry in shown(handle)] == [outcome, "unknown"]


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "untold"])
async def test_what_was_given_to_another_action_is_taken_back(looking, action, handle, is_told: bool) -> None:
    """When the one that did it is settled at last; the other is unresolved again, and blocks."""
    action("unknown")
    late = handle.open().reserve(CALL, [], repeat=True, within=-1)
    await looking()
    if is_told:
        handle.open().mark_reported(shown(handle)[0])
    handle.open().settle(late, "done", ids={"id": "call_1"})
    unresolved_entry, done = shown(handle)
    assert (unresolved_entry.outcome, unresolved_entry.ids, unresolved_entry.reason) == (
        "unknown",
        None,
        "what a look-up found came of row 2",
    )
    assert (done.outcome, done.ids) == ("done", {"id": "call_1"})
    assert [entry.id for entry in handle.open().unresolved("account")] == [unresolved_entry.id]


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
    """Until then it counts as it is."""
    action("done")
    assert await reconciler(seconds=seconds).reconcile_all() is not is_settled
    [row] = shown(handle)
    assert (row.cost, row.minute_cost is None) == (cost, is_settled)


async def test_without_a_ledger_there_is_nothing_to_settle(reconciler, state) -> None:
    """A start makes none."""
    assert not await reconciler().reconcile_all()
    assert not state.exists()


async def test_a_ledger_that_cannot_be_read_stops_no_server(reconciler, handle, action, state, caplog) -> None:
    """Its log says so."""
    action("unknown")
    handle.close()
    for file in state.iterdir():
        file.write_bytes(b"no database" * 1_000)
    await reconciler().reconcile_all()
    assert "cannot be reconciled" in caplog.text


class BrokenHandle(LedgerHandle):
    """A ledger that cannot be read until it is mended."""

    is_broken = True

    async def ask(self, what: Any) -> Any:
        """Read or write, or say that it cannot be done."""
        if self.is_broken:
            raise LedgerUnavailable("the ledger", "the disk is gone")
        return await super().run(what)


@pytest.fixture
def broken_handle(handle, state) -> Generator[BrokenHandle]:
    """A ledger in the same place, which fails for now."""
    handle.open()
    broken = BrokenHandle(str(state))
    yield broken
    broken.close()


async def test_a_ledger_that_stays_broken_is_tried_ever_more_seldom(broken_handle) -> None:
    """Also while something is open that was due before it broke, and from the start again once it worked."""
    broken_handle.is_broken = False
    row = broken_handle.open().reserve(CALL, [], repeat=False, within=60)
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
    """It waits for the ledger like everything else."""
    reconciling = Reconciler("account", broken_handle, nothing, nothing)
    reconciling.write_later(lambda ledger: None)
    for _ in range(3):
        await reconciling.reconcile_all()
    assert reconciling.pause == 8


@pytest.mark.parametrize(
    "failure", [LedgerUnavailable("the ledger", "locked"), ValueError("a bug")], ids=["unavailable", "bug"]
)
async def test_the_log_says_once_that_a_ledger_fails_and_once_that_it_works_again(handle, caplog, failure: Any) -> None:
    """However often it was tried in between."""
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
    """What a gate knows of an action must not be asked of the API; it is written once, however often it failed."""
    row = handle.open().reserve(replace(CALL, minute_cost=None), [], repeat=False, within=-1)
    written: list[int] = []

    def write(ledger: Any) -> None:
        written.append(row)
        if len(written) < 3:
            raise LedgerUnavailable(str(state), "the disk is full")
        ledger.settle(row, "done", ids={"id": "call_1"})

    reconciling = reconciler(AssertionError("nobody need ask"))
    reconciling.write_later(write)
    for _ in range(4):
        await reconciling.reconcile_all()
    assert written == [row] * 3
    assert [(entry.outcome, entry.ids) for entry in shown(handle)] == [("done", {"id": "call_1"})]
