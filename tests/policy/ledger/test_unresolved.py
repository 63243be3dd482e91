"""An action whose outcome is unknown blocks the same one, until it is looked up or repeated knowingly."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from threading import Thread
from typing import Any

import pytest

from agentphone_mcp.policy.ledger import checks
from agentphone_mcp.policy.ledger import ledger as ledger_module
from agentphone_mcp.policy.ledger.records import Entry, LookupResult
from agentphone_mcp.policy.ledger.store import Store
from tests.policy.conftest import MakesEntry

MINUTE, DAY = 60, 86_400


def an_ended_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("what", ["Call Ada", "Call Ada again, in other words"], ids=["same", "reworded"])
def test_an_unknown_outcome_blocks_its_target_whatever_its_age(
    ledger: Any, clock: Any, new_entry: MakesEntry, what: str
) -> None:
    row = ledger.unknown(new_entry())
    clock.now += 400 * DAY
    earlier = ledger.begin(new_entry(what))
    assert isinstance(earlier, Entry)
    assert (earlier.id, earlier.outcome, earlier.reason) == (row, "unknown", "timed out")
    assert isinstance(ledger.begin(new_entry("Call Bob", target="+14155550101")), int)


def test_an_unresolved_action_is_not_hidden_by_what_was_done_beside_it(ledger: Any, new_entry: MakesEntry) -> None:
    lost = ledger.begin(new_entry("Buy one in 212", target=""))
    ledger.done(new_entry("Buy one in 415", target=""))
    assert isinstance(lost, int)
    ledger.settle(lost, "unknown", reason="timed out")
    earlier = ledger.begin(new_entry("Buy any", target=""))
    assert isinstance(earlier, Entry)
    assert earlier.id == lost


def test_a_repeat_supersedes_what_was_unresolved(ledger: Any, new_entry: MakesEntry) -> None:
    ledger.unknown(new_entry("Text one"))
    ledger.done(new_entry("Text two"), repeat=True)
    assert isinstance(ledger.begin(new_entry("Text three")), int)


@pytest.mark.parametrize("what", ["Text one", "Text three"], ids=["same", "reworded"])
def test_an_unresolved_action_is_not_superseded_by_a_repeat_that_came_before_it(
    ledger: Any, clock: Any, new_entry: MakesEntry, what: str
) -> None:
    """The row of its question is older than the repeat, but the action became unresolved after it."""
    question = ledger.record_question(new_entry("Text one"))
    ledger.done(new_entry("Text one"), repeat=True)
    ledger.done(new_entry("Text two"), repeat=True)
    clock.now += 11 * MINUTE
    lost = ledger.unknown(new_entry("Text one", question=question.id))
    clock.now += 11 * MINUTE
    earlier = ledger.begin(new_entry(what))
    assert isinstance(earlier, Entry)
    assert (earlier.id, earlier.outcome) == (lost, "unknown")


def test_a_repeat_that_was_asked_about_before_does_not_supersede_an_unresolved_action(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    """The person who agreed to it may not have known of the unresolved action."""
    question = ledger.record_question(new_entry("Text two"), repeat=True)
    lost = ledger.unknown(new_entry("Text one"))
    clock.now += 1
    ledger.done(new_entry("Text two", question=question.id), repeat=True)
    earlier = ledger.begin(new_entry("Text three"))
    assert isinstance(earlier, Entry)
    assert earlier.id == lost


def test_a_superseded_action_does_not_block_the_same_one(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """This holds even if it becomes unknown only after the repeat, and whatever a look-up finds later."""
    ledger.begin(new_entry())
    ledger.unknown(new_entry(), repeat=True)
    ledger.done(new_entry(), repeat=True)
    clock.now += 11 * MINUTE
    released, again = ledger.unresolved("a" * 16)
    ledger.settle_unresolved(again, LookupResult("done", {"id": "call_2"}))
    assert released.outcome == "unknown"
    assert isinstance(ledger.begin(new_entry()), int)


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_a_repeat_that_came_to_nothing_supersedes_nothing(ledger: Any, new_entry: MakesEntry, outcome: Any) -> None:
    lost = ledger.unknown(new_entry("Text one"))
    row = ledger.begin(new_entry("Text two"), repeat=True)
    assert isinstance(row, int)
    ledger.settle(row, outcome, reason="no")
    earlier = ledger.begin(new_entry("Text three"))
    assert isinstance(earlier, Entry)
    assert earlier.id == lost


def test_a_repeat_that_is_lost_itself_blocks_again(ledger: Any, new_entry: MakesEntry) -> None:
    ledger.unknown(new_entry("Text one"))
    second = ledger.unknown(new_entry("Text two"), repeat=True)
    earlier = ledger.begin(new_entry("Text three"))
    assert isinstance(earlier, Entry)
    assert earlier.id == second


def test_an_action_that_a_look_up_settled_is_replayed_from_then_on(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    """It is replayed to reworded actions too, until it was reported to somebody and for ten minutes more."""
    ledger.unknown(new_entry())
    clock.now += DAY
    (unresolved,) = ledger.unresolved("a" * 16)
    ledger.settle_unresolved(unresolved, LookupResult("done", {"id": "call_1"}, {"id": "call_1"}))
    clock.now += 10 * MINUTE - 1
    for what in ("Call Ada", "Call Ada, in other words"):
        earlier = ledger.begin(new_entry(what))
        assert isinstance(earlier, Entry)
        assert (earlier.outcome, earlier.ids) == ("done", {"id": "call_1"})
    clock.now += DAY
    reported = ledger.begin(new_entry())
    ledger.mark_reported(reported)
    clock.now += 10 * MINUTE - 1
    assert isinstance(ledger.begin(new_entry()), Entry)
    clock.now += 1
    assert isinstance(ledger.begin(new_entry()), int)


def test_an_action_that_was_settled_meanwhile_stays_as_it_is(ledger: Any, new_entry: MakesEntry) -> None:
    row = ledger.unknown(new_entry())
    (unresolved,) = ledger.unresolved("a" * 16)
    ledger.settle(row, "done", ids={"id": "call_1"})
    ledger.settle_unresolved(unresolved, LookupResult("failed"))
    assert [(entry.outcome, entry.ids) for entry in ledger.entries()] == [("done", {"id": "call_1"})]


def test_what_came_of_an_action_is_found_for_no_other(ledger: Any, new_entry: MakesEntry) -> None:
    ledger.unknown(new_entry())
    late = ledger.begin(new_entry(), repeat=True, within=-1)
    first, _ = ledger.unresolved("a" * 16)
    assert ledger.settle_unresolved(first, LookupResult("done", {"id": "call_1"}))
    ledger.settle(late, "done", ids={"call_id": "call_1"})
    assert [(entry.outcome, entry.ids) for entry in ledger.entries()] == [
        ("unknown", None),
        ("done", {"call_id": "call_1"}),
    ]
    assert not ledger.settle_unresolved(first, LookupResult("done", {"id": "call_1"}))
    assert [entry.outcome for entry in ledger.entries()] == ["unknown", "done"]


def test_a_settlement_waits_for_a_look_up_that_is_being_written(
    ledger: Any, ledger_location: str, new_entry: MakesEntry
) -> None:
    """Otherwise neither transaction would see what the other writes, and both actions would get the same id."""
    row = ledger.begin(new_entry())
    reconciling = Thread(target=ledger.settle, args=(row, "done"), kwargs={"ids": {"id": "call_1"}})
    with closing(Store(ledger_location)) as elsewhere, elsewhere.transaction("a" * 16):
        reconciling.start()
        reconciling.join(0.3)
        assert reconciling.is_alive()
    reconciling.join(20)
    assert [entry.outcome for entry in ledger.entries()] == ["done"]


def test_an_action_that_was_never_settled_becomes_unknown_in_the_end(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    ledger.begin(new_entry(), within=180)
    clock.now += 180
    assert ledger.unresolved("a" * 16) == []
    clock.now += 1
    (unresolved,) = ledger.unresolved("a" * 16)
    assert unresolved.outcome == "unknown"
    assert "ended before the answer" in (unresolved.reason or "")


@pytest.mark.skipif(os.name != "posix", reason="elsewhere its time decides")
def test_an_action_whose_process_ended_becomes_unknown_at_once(
    ledger: Any, new_entry: MakesEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a process on another machine runs is not known, so its time decides."""
    gone = an_ended_process()
    monkeypatch.setattr(ledger_module, "this_process", lambda: f"{socket.gethostname()}:{gone}")
    here = ledger.begin(new_entry("here"))
    monkeypatch.setattr(ledger_module, "this_process", lambda: f"elsewhere:{gone}")
    ledger.begin(new_entry("elsewhere"))
    assert [entry.id for entry in ledger.unresolved("a" * 16)] == [here]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere its time decides")
def test_reading_the_ledger_changes_nothing(
    ledger: Any, new_entry: MakesEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "this_process", lambda: f"{socket.gethostname()}:{an_ended_process()}")
    ledger.begin(new_entry())
    assert [entry.outcome for entry in ledger.entries()] == ["unknown"]
    monkeypatch.setattr(checks, "is_gone", lambda _: False)
    assert [entry.outcome for entry in ledger.entries()] == ["pending"]


def test_one_yes_is_one_action(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """Two processes come with the same answer of a person, and the second gets the outcome of the first."""
    question = ledger.record_question(new_entry())
    assert [entry.outcome for entry in ledger.entries()] == ["refused"]
    clock.now += 5
    agreed = new_entry(question=question.id, approved_how="person")
    assert ledger.open_question(new_entry()) == question
    assert ledger.begin(agreed, repeat=True) == question.id
    assert ledger.open_question(new_entry()) is None
    earlier = ledger.begin(agreed, repeat=True)
    assert isinstance(earlier, Entry)
    assert (earlier.id, earlier.outcome, earlier.at) == (question.id, "pending", clock.now)


def test_a_refusal_does_not_overwrite_what_the_same_yes_did(ledger: Any, new_entry: MakesEntry) -> None:
    agreed = new_entry(question=ledger.record_question(new_entry()).id)
    ledger.begin(agreed)
    ledger.refuse(agreed, "still under way")
    assert [entry.outcome for entry in ledger.entries()] == ["pending", "refused"]


def test_a_question_that_was_declined_is_one_refused_row(ledger: Any, new_entry: MakesEntry) -> None:
    question = ledger.record_question(new_entry())
    ledger.refuse(new_entry(question=question.id), "the user said no")
    assert [(entry.outcome, entry.reason) for entry in ledger.entries()] == [("refused", "the user said no")]
    assert ledger.open_question(new_entry()) is None


def test_only_what_is_under_way_in_an_account_is_pending_there(ledger: Any, new_entry: MakesEntry) -> None:
    ledger.begin(new_entry(account="b" * 16))
    row = ledger.begin(new_entry())
    assert ledger.has_pending("a" * 16)
    ledger.settle(row, "failed")
    assert not ledger.has_pending("a" * 16)
