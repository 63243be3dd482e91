"""What was done is remembered, once, whatever database keeps it; what nobody knows stands in the way."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry, NewEntry

MakesEntry = Callable[..., NewEntry]
MINUTE, DAY = 60, 86_400


def test_a_action_is_written_before_it_is_done_and_settled_after(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    """With all that a person would want to know later."""
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


def test_a_ledger_remembers_when_it_is_opened_again(ledger: Any, ledger_place: str, new_entry: MakesEntry) -> None:
    """By another process, or after a restart."""
    ledger.done(new_entry())
    again = Ledger(ledger_place)
    assert again.entries() == ledger.entries()
    again.close()


def test_the_same_action_is_not_done_again_for_ten_minutes(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """Counted from when the first was done, not from when it was asked for; then it is an action of its own."""
    row = ledger.begin(new_entry())
    assert isinstance(row, int)
    clock.now += 3 * MINUTE
    ledger.settle(row, "done", ids={"id": "call_1"})
    clock.now += 10 * MINUTE - 1
    found = ledger.begin(new_entry())
    assert isinstance(found, Entry)
    assert (found.id, found.outcome, found.ids) == (row, "done", {"id": "call_1"})
    clock.now += 1
    assert isinstance(ledger.begin(new_entry()), int)
    assert len(ledger.entries()) == 2


def test_what_is_asked_for_while_the_first_is_under_way_finds_it(ledger: Any, new_entry: MakesEntry) -> None:
    """Nothing is reserved twice."""
    row = ledger.begin(new_entry())
    found = ledger.begin(new_entry())
    assert isinstance(found, Entry)
    assert (found.id, found.outcome) == (row, "pending")


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
    """Also while the first is under way, and also to the same number."""
    (ledger.done if is_done else ledger.begin)(new_entry())
    assert isinstance(ledger.begin(new_entry(**other)), int)


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_what_did_not_happen_can_be_tried_again(ledger: Any, new_entry: MakesEntry, outcome: Any) -> None:
    """At once."""
    row = ledger.begin(new_entry())
    assert isinstance(row, int)
    ledger.settle(row, outcome, reason="no")
    assert isinstance(ledger.begin(new_entry()), int)


def test_a_repeat_is_done_although_the_same_was_done(ledger: Any, new_entry: MakesEntry) -> None:
    """That is what it is for; the next one without it replays the second."""
    ledger.done(new_entry())
    second = ledger.done(new_entry(), repeat=True)
    found = ledger.begin(new_entry())
    assert isinstance(found, Entry)
    assert found.id == second


def test_what_was_agreed_to_late_is_remembered_from_when_it_was_done(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    """The row of its question is older than that of the same action, done while the person was thinking."""
    question = ledger.record_question(new_entry(), repeat=True)
    ledger.done(new_entry())
    clock.now += 5 * MINUTE
    row = ledger.done(new_entry(question=question.id), repeat=True)
    clock.now += 10 * MINUTE - 1
    found = ledger.begin(new_entry())
    assert isinstance(found, Entry)
    assert found.id == row == question.id
    clock.now += 1
    assert isinstance(ledger.begin(new_entry()), int)


def test_what_is_under_way_is_not_hidden_by_a_newer_row(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """Its question was asked before the same was done, and is answered long after."""
    question = ledger.record_question(new_entry(), repeat=True)
    ledger.done(new_entry())
    clock.now += 11 * MINUTE
    row = ledger.begin(new_entry(question=question.id), repeat=True)
    found = ledger.begin(new_entry())
    assert isinstance(found, Entry)
    assert (found.id, found.outcome) == (row, "pending")


def test_the_longer_of_two_is_remembered_from_its_own_end(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """The second was quick, and is forgotten first."""
    first = ledger.begin(new_entry())
    ledger.done(new_entry(), repeat=True)
    clock.now += 2 * MINUTE
    ledger.settle(first, "done")
    clock.now += 9 * MINUTE
    found = ledger.begin(new_entry())
    assert isinstance(found, Entry)
    assert found.id == first


def test_what_is_gone_is_gone_once(ledger: Any, new_entry: MakesEntry) -> None:
    """What is destroyed is not replayed, and `repeat` opens no second way to it while the first is under way."""
    release = new_entry("Release it", tool="release_number", to_number=None, is_repeatable=False)
    row = ledger.begin(release)
    found = ledger.begin(release, repeat=True)
    assert isinstance(found, Entry)
    assert isinstance(row, int)
    ledger.settle(row, "done")
    assert isinstance(ledger.begin(release), int)


def test_the_order_of_arguments_makes_no_other_action() -> None:
    """Nor does it matter where in an object they stand; another value or tool does."""
    one = Action("x", "list_calls", tool="place_call", arguments={"a": 1, "b": {"c": 2, "d": None}})
    two = Action("y", "list_calls", tool="place_call", arguments={"b": {"d": None, "c": 2}, "a": 1})
    assert one.fingerprint == two.fingerprint
    for other in ({"arguments": {"a": True, "b": {"c": 2, "d": None}}}, {"tool": "send_message"}, {"arguments": {}}):
        assert dataclasses.replace(one, **other).fingerprint != one.fingerprint


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("half an emoji \ud83d", id="surrogate"),
        pytest.param("nothing \0 here", id="nul"),
        pytest.param("Zahnärztin 🦷 \x1b[31m \u202e", id="unicode"),
    ],
)
def test_odd_words_are_kept_and_found_again(ledger: Any, new_entry: MakesEntry, words: str) -> None:
    """A person's name or an error's text stops neither the action nor its settlement."""
    odd = new_entry(words, fingerprint="f", target=words, approved_by=words)
    row = ledger.begin(odd)
    assert isinstance(row, int)
    ledger.settle(row, "unknown", reason=words, result={"said": words})
    found = ledger.begin(dataclasses.replace(odd, fingerprint="g"))
    assert isinstance(found, Entry)
    assert found.id == row


def test_endless_words_are_redacted_and_say_so(ledger: Any, new_entry: MakesEntry) -> None:
    """What is kept is a description, not an archive."""
    ledger.done(new_entry("x" * 25_000, fingerprint="f"))
    (entry,) = ledger.entries()
    assert len(entry.summary) < 20_100
    assert entry.summary.endswith("(cut here)")


def test_a_call_is_settled_by_its_seconds(ledger: Any, new_entry: MakesEntry) -> None:
    """An estimate until then."""
    ledger.done(new_entry(cost=1_100_000, minute_cost=220_000))
    (estimate,) = ledger.estimates("a" * 16)
    ledger.settle_call_cost(estimate, 90)
    assert [(entry.cost, entry.minute_cost) for entry in ledger.entries()] == [(330_000, None)]
    assert ledger.estimates("a" * 16) == []


def test_what_came_of_one_action_is_claimed(ledger: Any, new_entry: MakesEntry) -> None:
    """So that no look-up takes it for another one's; of the same account and tool."""
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
    """Without `repeat` nothing passes an unresolved action, the same action under way, or one done of late; each row stays."""
    account = f"account {next(ACCOUNTS)}"
    happened: list[tuple[str, str, float, bool]] = []
    written: list[str] = []
    for what, outcome, repeat, later in steps:
        same = [one for one in happened if one[0] == what][-1:]
        repeats = [place for place, one in enumerate(happened) if one[3]]
        blocked = any(one[1] != "done" or clock.now - one[2] < 10 * MINUTE for one in same)
        blocked |= any(one[:2] == (what, "pending") for one in happened)
        blocked |= any(one[1] == "unknown" for one in happened[max(repeats, default=0) :])
        found = sqlite_ledger.begin(new_entry(what, account=account), repeat=repeat, within=DAY)
        assert isinstance(found, int) == (repeat or not blocked)
        if isinstance(found, int):
            written.append(outcome)
            if outcome != "pending":
                sqlite_ledger.settle(found, outcome)
            if outcome != "failed":
                happened.append((what, outcome, clock.now, repeat))
        clock.now += later
    assert [entry.outcome for entry in sqlite_ledger.entries() if entry.account == account] == written
