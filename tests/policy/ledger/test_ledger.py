"""The ledger remembers each action once, in SQLite as in PostgreSQL, and blocks its repetition."""

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry
from tests.policy.conftest import MakesEntry

MINUTE, DAY = 60, 86_400


def test_an_action_is_written_before_it_is_done_and_settled_after(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    wanted = new_entry(
        cost=3_000_000, minute_cost=60, match_on={"n": None}, approved_by="Host 1", approved_how="confirm"
    )
    row = ledger.begin(wanted)
    (pending,) = ledger.entries()
    assert (pending.id, pending.outcome, pending.at, pending.settled_at) == (row, "pending", clock.now, None)
    clock.now += 2
    ledger.settle(row, "done", ids={"id": "call_1"}, result={"id": "call_1", "turns": [1.5, None, "é 👋"]})
    (entry,) = ledger.entries()
    assert entry == dataclasses.replace(
        pending,
        outcome="done",
        settled_at=clock.now,
        ids={"id": "call_1"},
        result={"id": "call_1", "turns": [1.5, None, "é 👋"]},
    )
    assert (entry.summary, entry.cost, entry.minute_cost, entry.match_on) == ("Call Ada", 3_000_000, 60, {"n": None})
    assert (entry.approved_by, entry.approved_how, entry.to_number) == ("Host 1", "confirm", "+14155550100")


def test_a_ledger_remembers_when_it_is_opened_again(ledger: Any, ledger_location: str, new_entry: MakesEntry) -> None:
    ledger.done(new_entry())
    again = Ledger(ledger_location)
    assert again.entries() == ledger.entries()
    again.close()


def test_the_same_action_is_not_done_again_for_ten_minutes(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    row = ledger.begin(new_entry())
    assert isinstance(row, int)
    clock.now += 3 * MINUTE
    ledger.settle(row, "done", ids={"id": "call_1"})
    clock.now += 10 * MINUTE - 1
    earlier = ledger.begin(new_entry())
    assert isinstance(earlier, Entry)
    assert (earlier.id, earlier.outcome, earlier.ids) == (row, "done", {"id": "call_1"})
    clock.now += 1
    assert isinstance(ledger.begin(new_entry()), int)
    assert len(ledger.entries()) == 2


def test_what_is_asked_for_while_the_first_is_under_way_finds_it(ledger: Any, new_entry: MakesEntry) -> None:
    row = ledger.begin(new_entry())
    earlier = ledger.begin(new_entry())
    assert isinstance(earlier, Entry)
    assert (earlier.id, earlier.outcome) == (row, "pending")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"summary": "Call Bob"}, id="arguments"),
        pytest.param({"tool": "send_message"}, id="tool"),
        pytest.param({"account": "b" * 16}, id="account"),
    ],
)
@pytest.mark.parametrize("is_done", [True, False], ids=["done", "pending"])
def test_another_action_is_no_repetition(
    ledger: Any, new_entry: MakesEntry, is_done: bool, other: dict[str, str]
) -> None:
    (ledger.done if is_done else ledger.begin)(new_entry())
    assert isinstance(ledger.begin(new_entry(**other)), int)


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_what_did_not_happen_can_be_tried_again(ledger: Any, new_entry: MakesEntry, outcome: Any) -> None:
    row = ledger.begin(new_entry())
    assert isinstance(row, int)
    ledger.settle(row, outcome, reason="no")
    assert isinstance(ledger.begin(new_entry()), int)


def test_a_repeat_is_done_although_the_same_was_done(ledger: Any, new_entry: MakesEntry) -> None:
    ledger.done(new_entry())
    second = ledger.done(new_entry(), repeat=True)
    earlier = ledger.begin(new_entry())
    assert isinstance(earlier, Entry)
    assert earlier.id == second


def test_what_was_agreed_to_late_is_remembered_from_when_it_was_done(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    """The row of the question is older than that of the same action, done while the person was thinking."""
    question = ledger.record_question(new_entry(), repeat=True)
    ledger.done(new_entry())
    clock.now += 5 * MINUTE
    row = ledger.done(new_entry(question=question.id), repeat=True)
    clock.now += 10 * MINUTE - 1
    earlier = ledger.begin(new_entry())
    assert isinstance(earlier, Entry)
    assert earlier.id == row == question.id
    clock.now += 1
    assert isinstance(ledger.begin(new_entry()), int)


def test_what_is_under_way_is_not_hidden_by_a_newer_row(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """The question was asked before the same action was done, and is answered long after."""
    question = ledger.record_question(new_entry(), repeat=True)
    ledger.done(new_entry())
    clock.now += 11 * MINUTE
    row = ledger.begin(new_entry(question=question.id), repeat=True)
    earlier = ledger.begin(new_entry())
    assert isinstance(earlier, Entry)
    assert (earlier.id, earlier.outcome) == (row, "pending")


def test_the_longer_of_two_is_remembered_from_its_own_end(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    first = ledger.begin(new_entry())
    ledger.done(new_entry(), repeat=True)
    clock.now += 2 * MINUTE
    ledger.settle(first, "done")
    clock.now += 9 * MINUTE
    earlier = ledger.begin(new_entry())
    assert isinstance(earlier, Entry)
    assert earlier.id == first


def test_a_destructive_action_is_not_replayed(ledger: Any, new_entry: MakesEntry) -> None:
    release = new_entry("Release it", tool="release_number", to_number=None, is_repeatable=False)
    row = ledger.begin(release)
    assert isinstance(ledger.begin(release, repeat=True), Entry)
    assert isinstance(row, int)
    ledger.settle(row, "done")
    assert isinstance(ledger.begin(release), int)


def test_the_order_of_arguments_makes_no_other_action() -> None:
    first = Action("x", "list_calls", tool="place_call", arguments={"a": 1, "b": {"c": 2, "d": None}})
    second = Action("y", "list_calls", tool="place_call", arguments={"b": {"d": None, "c": 2}, "a": 1})
    assert first.fingerprint == second.fingerprint
    for other in ({"arguments": {"a": True, "b": {"c": 2, "d": None}}}, {"tool": "send_message"}, {"arguments": {}}):
        assert dataclasses.replace(first, **other).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("half an emoji \ud83d", id="surrogate"),
        pytest.param("nothing \0 here", id="nul"),
        pytest.param("Zahnärztin 🦷 \x1b[31m \u202e", id="unicode"),
    ],
)
def test_odd_words_are_kept_and_found_again(ledger: Any, new_entry: MakesEntry, words: str) -> None:
    odd = new_entry(words, fingerprint="f", target=words, approved_by=words)
    row = ledger.begin(odd)
    assert isinstance(row, int)
    ledger.settle(row, "unknown", reason=words, result={"text": words})
    earlier = ledger.begin(dataclasses.replace(odd, fingerprint="g"))
    assert isinstance(earlier, Entry)
    assert earlier.id == row


def test_a_very_long_summary_is_truncated_and_says_so(ledger: Any, new_entry: MakesEntry) -> None:
    ledger.done(new_entry("x" * 25_000, fingerprint="f"))
    (entry,) = ledger.entries()
    assert len(entry.summary) < 20_100
    assert entry.summary.endswith("(cut here)")


def test_a_call_is_settled_by_its_seconds(ledger: Any, new_entry: MakesEntry) -> None:
    ledger.done(new_entry(cost=1_100_000, minute_cost=220_000))
    (estimate,) = ledger.estimates("a" * 16)
    ledger.settle_call_cost(estimate, 90)
    assert [(entry.cost, entry.minute_cost) for entry in ledger.entries()] == [(330_000, None)]
    assert ledger.estimates("a" * 16) == []


def test_what_came_of_one_action_is_claimed(ledger: Any, new_entry: MakesEntry) -> None:
    first = ledger.done(new_entry("one"))
    ledger.done(new_entry("two", account="b" * 16))
    ledger.done(new_entry("three", tool="send_message"))
    assert ledger.claimed_ids("a" * 16, "place_call") == {f"id_{first}"}


ACCOUNTS = itertools.count()
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["Text one", "Text two", "Text three"]),
        st.sampled_from(["done", "failed", "unknown", "pending"]),
        st.booleans(),
        st.integers(0, 400),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_nothing_is_done_twice_or_forgotten_by_any_order_of_steps(
    sqlite_ledger: Any, clock: Any, new_entry: MakesEntry, steps: list[tuple[str, Any, bool, int]]
) -> None:
    account = f"account {next(ACCOUNTS)}"
    happened: list[tuple[str, str, float, bool]] = []
    written: list[str] = []
    for what, outcome, repeat, later in steps:
        same = [past for past in happened if past[0] == what][-1:]
        repeats = [index for index, past in enumerate(happened) if past[3]]
        blocked = any(past[1] != "done" or clock.now - past[2] < 10 * MINUTE for past in same)
        blocked |= any(past[:2] == (what, "pending") for past in happened)
        blocked |= any(past[1] == "unknown" for past in happened[max(repeats, default=0) :])
        earlier = sqlite_ledger.begin(new_entry(what, account=account), repeat=repeat, within=DAY)
        assert isinstance(earlier, int) == (repeat or not blocked)
        if isinstance(earlier, int):
            written.append(outcome)
            if outcome != "pending":
                sqlite_ledger.settle(earlier, outcome)
            if outcome != "failed":
                happened.append((what, outcome, clock.now, repeat))
        clock.now += later
    assert [entry.outcome for entry in sqlite_ledger.entries() if entry.account == account] == written
