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
from agentphone_mcp.policy.ledger.records import Entry, Found, Intent, Length
from agentphone_mcp.policy.reconciliation import Settler

FAILS = ServerError(RequestLine("GET", "/v1/calls", {}), "oops", status=500)
GONE = NotFound(RequestLine("GET", "/v1/calls/{call_id}", {"call_id": "call_1"}), "gone", status=404)
TO = "+14155559999"
CALL = Intent("account", "place_call", "f", TO, "Call.", cost=1_100_000, minute_cost=220_000, to_number=TO)


async def nothing(*_: Any) -> None:
    """An API that tells nothing."""


def _told(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def settler(books: LedgerHandle) -> Callable[..., Settler]:
    """Make a settler whose API answers as told; a list is answered one by one."""

    def settler(answer: Any = None, seconds: Any = None, account: str = "account") -> Settler:
        async def look_up(*_: Any) -> Any:
            return _told(answer.pop(0) if isinstance(answer, list) else answer)

        async def length_of(_: Entry) -> Length:
            return Length(_told(seconds), is_over=seconds is not None)

        return Settler(account, books, look_up, length_of)

    return settler


@pytest.fixture
def action(books: LedgerHandle) -> Callable[..., int]:
    """Write down an action and what came of it."""

    def action(outcome: Any, intent: Intent = CALL) -> int:
        row = books.open().reserve(intent, [], repeat=True, within=60)
        assert isinstance(row, int)
        books.open().settle(row, outcome, ids={"id": f"id_{row}"} if outcome == "done" else None)
        return row

    return action


def shown(books: LedgerHandle) -> list[Entry]:
    """What the ledger has."""
    return books.open().entries()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(Found("done", {"id": "call_1"}), "done", id="found"),
        pytest.param(Found("failed"), "failed", id="not-done"),
        pytest.param(None, "unknown", id="cannot-be-told"),
        pytest.param(FAILS, "unknown", id="api-down"),
    ],
)
async def test_a_doubt_becomes_what_the_look_up_says(settler, action, books, answer: Any, outcome: str) -> None:
    """And stays one where it says nothing."""
    action("unknown")
    assert await settler(answer).settle_all() is (outcome == "unknown")
    assert [row.outcome for row in shown(books)] == [outcome]


async def test_a_doubt_of_yesterday_is_not_looked_into(settler, books) -> None:
    """Only who asks for the action again has it looked up."""
    yesterday = Ledger(books._place, clock=lambda: time.time() - 86_401)
    row = yesterday.reserve(CALL, [], repeat=True, within=60)
    yesterday.settle(row, "unknown")
    yesterday.close()
    assert not await settler(AssertionError("nobody need ask")).settle_all()


async def test_what_stays_open_is_asked_for_soon_and_what_is_settled_is_not_waited_for(settler, action, books) -> None:
    """The next look is the earliest that is due, or else far away."""
    row, settling = action("unknown"), settler()
    await settling.settle_all()
    assert settling.pause <= 4
    books.open().settle(row, "failed")
    await settling.settle_all()
    assert settling.pause == pytest.approx(300)


async def test_one_failure_keeps_no_other_doubt_from_being_settled(settler, action, books) -> None:
    """Each is asked for by itself."""
    for _ in range(3):
        action("unknown")
    await settler([FAILS, Found("failed"), Found("done", {"id": "x"})]).settle_all()
    assert [row.outcome for row in shown(books)] == ["unknown", "failed", "done"]


async def test_the_doubts_of_another_account_are_not_ours(settler, action, books) -> None:
    """Its key would be asked for them."""
    action("unknown")
    await settler(Found("failed"), account="another").settle_all()
    assert [row.outcome for row in shown(books)] == ["unknown"]


async def test_a_look_up_is_told_what_came_of_other_action(action, books) -> None:
    """Also of those that it has just settled."""
    action("done")
    action("unknown")
    action("unknown")
    seen: list[frozenset[str]] = []

    async def look_up(_: Entry, claimed: frozenset[str]) -> Found:
        seen.append(claimed)
        return Found("done", {"id": f"found_{len(seen)}"})

    await Settler("account", books, look_up, nothing).settle_all()
    assert seen == [{"id_1"}, {"id_1", "found_1"}]


OTHER = replace(CALL, fingerprint="other words")
THEIRS = Found("done", {"id": "call_1"}, may_be_of=lambda other: other.to_number == CALL.to_number)


@pytest.fixture
def looking(books) -> Callable[..., Any]:
    """Look up the first action in doubt, while something happens; it finds a call."""

    async def looking(meanwhile: Callable[[], object] = lambda: None) -> Found | None:
        async def look_up(*_: Any) -> Found:
            meanwhile()
            return THEIRS

        return await Settler("account", books, look_up, nothing).settle(books.open().doubts("account")[0])

    return looking


async def test_what_may_be_of_a_action_under_way_is_given_to_no_other(looking, action, books) -> None:
    """Whether that began before the look-up or meanwhile; once it is settled, what is left can be told."""
    action("unknown")
    row: list[int] = []
    assert await looking(lambda: row.append(books.open().reserve(OTHER, [], repeat=True, within=60))) is None
    assert await looking() is None
    books.open().settle(row[0], "failed")
    assert await looking() == THEIRS
    assert [entry.outcome for entry in shown(books)] == ["done", "failed"]


async def test_what_came_of_a_action_meanwhile_is_given_to_no_other(looking, action, books) -> None:
    """It was done and settled after the look-up had read which ids are claimed."""
    action("unknown")

    def other() -> None:
        row = books.open().reserve(OTHER, [], repeat=True, within=60)
        books.open().settle(row, "done", ids={"call_id": "call_1"})

    assert await looking(other) is None
    assert [entry.outcome for entry in shown(books)] == ["unknown", "done"]


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
    looking, action, books, other: Intent, outcome: str
) -> None:
    """But it does not matter which of two that are the same."""
    action("unknown")
    action("unknown", other)
    await looking()
    assert [entry.outcome for entry in shown(books)] == [outcome, "unknown"]


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "untold"])
async def test_what_was_given_to_another_action_is_taken_back(looking, action, books, is_told: bool) -> None:
    """When the one that did it is settled at last; the other is in doubt again, and blocks."""
    action("unknown")
    late = books.open().reserve(CALL, [], repeat=True, within=-1)
    await looking()
    if is_told:
        books.open().tell(shown(books)[0])
    books.open().settle(late, "done", ids={"id": "call_1"})
    doubt, done = shown(books)
    assert (doubt.outcome, doubt.ids, doubt.reason) == ("unknown", None, "what a look-up found came of row 2")
    assert (done.outcome, done.ids) == ("done", {"id": "call_1"})
    assert [entry.id for entry in books.open().doubts("account")] == [doubt.id]


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
    settler, action, books, seconds: Any, cost: int, is_settled: bool
) -> None:
    """Until then it counts as it is."""
    action("done")
    assert await settler(seconds=seconds).settle_all() is not is_settled
    [row] = shown(books)
    assert (row.cost, row.minute_cost is None) == (cost, is_settled)


async def test_without_a_ledger_there_is_nothing_to_settle(settler, state) -> None:
    """A start makes none."""
    assert not await settler().settle_all()
    assert not state.exists()


async def test_a_ledger_that_cannot_be_read_stops_no_server(settler, books, action, state, caplog) -> None:
    """Its log says so."""
    action("unknown")
    books.close()
    for file in state.iterdir():
        file.write_bytes(b"no database" * 1_000)
    await settler().settle_all()
    assert "cannot be reconciled" in caplog.text


class BrokenBooks(LedgerHandle):
    """A ledger that cannot be read until it is mended."""

    is_broken = True

    async def ask(self, what: Any) -> Any:
        """Read or write, or say that it cannot be done."""
        if self.is_broken:
            raise LedgerUnavailable("the ledger", "the disk is gone")
        return await super().run(what)


@pytest.fixture
def broken_books(books, state) -> Generator[BrokenBooks]:
    """A ledger in the same place, which fails for now."""
    books.open()
    broken = BrokenBooks(str(state))
    yield broken
    broken.close()


async def test_a_ledger_that_stays_broken_is_tried_ever_more_seldom(broken_books) -> None:
    """Also while something is open that was due before it broke, and from the start again once it worked."""
    broken_books.is_broken = False
    row = broken_books.open().reserve(CALL, [], repeat=False, within=60)
    broken_books.open().settle(row, "unknown")
    settling = Settler("account", broken_books, nothing, nothing)
    await settling.settle_all()
    broken_books.is_broken = True
    pauses: list[float] = []
    for _ in range(10):
        assert await settling.settle_all()
        pauses.append(settling.pause)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    broken_books.is_broken = False
    await settling.settle_all()
    broken_books.is_broken = True
    await settling.settle_all()
    assert settling.pause == 2


async def test_what_was_not_written_yet_hurries_no_broken_ledger(broken_books) -> None:
    """It waits for the ledger like everything else."""
    settling = Settler("account", broken_books, nothing, nothing)
    settling.write_later(lambda ledger: None)
    for _ in range(3):
        await settling.settle_all()
    assert settling.pause == 8


@pytest.mark.parametrize(
    "failure", [LedgerUnavailable("the ledger", "locked"), ValueError("a bug")], ids=["unavailable", "bug"]
)
async def test_the_log_says_once_that_a_ledger_fails_and_once_that_it_works_again(books, caplog, failure: Any) -> None:
    """However often it was tried in between."""
    failures = [failure] * 3

    def fail(_: Any) -> None:
        if failures:
            raise failures.pop()

    caplog.set_level("INFO", "agentphone_mcp.policy.reconciliation")
    books.open()
    settling = Settler("account", books, nothing, nothing)
    settling.write_later(fail)
    for _ in range(5):
        await settling.settle_all()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "can be reconciled again" in caplog.messages[-1]


async def test_what_could_not_be_written_is_written_first_when_it_can_be(settler, books, state) -> None:
    """What a gate knows of an action must not be asked of the API; it is written once, however often it failed."""
    row = books.open().reserve(replace(CALL, minute_cost=None), [], repeat=False, within=-1)
    written: list[int] = []

    def write(ledger: Any) -> None:
        written.append(row)
        if len(written) < 3:
            raise LedgerUnavailable(str(state), "the disk is full")
        ledger.settle(row, "done", ids={"id": "call_1"})

    settling = settler(AssertionError("nobody need ask"))
    settling.write_later(write)
    for _ in range(4):
        await settling.settle_all()
    assert written == [row] * 3
    assert [(entry.outcome, entry.ids) for entry in shown(books)] == [("done", {"id": "call_1"})]
