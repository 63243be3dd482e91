"""A refusal says what was not done, why, and what a person can change."""

import pytest

from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Action, Approval, ApprovalAnswer
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import Entry, LedgerOutcome
from agentphone_mcp.policy.untrusted import without_marks

NOW = 1_790_000_000.25
TEXT = Action("Text Ada", "list_messages", tool="send_message", to_number="+14155550100")
RELEASE = Action("Release it", "list_numbers", confirmation="+14155550100", tool="release_number")


def earlier(action: Action, outcome: LedgerOutcome, *, ago: float = 90, fingerprint: str | None = None) -> Entry:
    """Return the entry of an action in the ledger."""
    return Entry(
        id=1,
        at=NOW - ago,
        settled_at=None,
        account="a",
        tool=action.tool,
        summary=action.summary,
        to_number=None,
        cost=0,
        minute_cost=None,
        outcome=outcome,
        reason="timed out",
        ids=None,
        result=None,
        match_on=None,
        approved_by=None,
        approved_how=None,
        fingerprint=fingerprint or action.fingerprint,
    )


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        pytest.param("declined", "said no", id="declined"),
        pytest.param("cancelled", "closed the question", id="cancelled"),
        pytest.param("timed out", "did not answer in time", id="timed-out"),
        pytest.param("cannot be asked", "AGENTPHONE_APPROVAL=human", id="cannot-be-asked"),
        pytest.param("not asked", "was not asked", id="not-asked"),
    ],
)
def test_a_missing_yes_says_why_it_is_missing(answer: ApprovalAnswer, text: str) -> None:
    refusal = refusals.not_approved(Approval(answer=answer))
    assert refusal.startswith("Nothing was done: ")
    assert text in refusal


def test_a_broken_ledger_says_where_it_is_and_what_works() -> None:
    message = refusals.ledger_unavailable(LedgerUnavailable("/state/ledger.sqlite3", "disk full"), to_operator=True)
    for part in ("Nothing was done", "/state/ledger.sqlite3", "disk full", "AGENTPHONE_STATE", "Reading works"):
        assert part in message


def test_a_broken_ledger_shows_its_location_to_the_operator_alone() -> None:
    """Where the database of a team is must not be told to the model of a caller."""
    message = refusals.ledger_unavailable(
        LedgerUnavailable("postgresql://ledger.internal/x", "no route"), to_operator=False
    )
    assert message.startswith("Nothing was done")
    assert "Reading works" in message
    assert not any(part in message for part in ("internal", "no route", "AGENTPHONE_STATE"))


def test_a_replay_says_when_it_was_and_how_to_have_it_twice() -> None:
    assert refusals.replayed(earlier(TEXT, "done"), TEXT, NOW) == (
        "This was done 90 seconds ago and not again. Only if your user wants it nevertheless, add repeat=true."
    )
    assert "repeat" not in refusals.replayed(earlier(RELEASE, "done"), RELEASE, NOW)


def test_a_replay_of_other_words_shows_them() -> None:
    message = refusals.replayed(earlier(TEXT, "done", fingerprint="other"), TEXT, NOW)
    assert message.startswith("Nothing was done now: something like it was done")
    assert "(Text Ada" in message


def test_what_is_under_way_says_to_come_back() -> None:
    message = refusals.under_way(earlier(TEXT, "pending", ago=3), TEXT, NOW)
    assert "3 seconds ago and is still under way" in message
    assert "Call again in a moment" in message


def test_another_change_that_is_under_way_is_named() -> None:
    message = refusals.under_way(earlier(TEXT, "pending", ago=3, fingerprint="other"), TEXT, NOW)
    assert message.startswith("Nothing was done: another change of who gets calls and texts was begun 3 seconds ago")
    assert "(Text Ada" in message


@pytest.mark.parametrize(("action", "repeats"), [(TEXT, True), (RELEASE, False)], ids=["spends", "destroys"])
def test_an_unknown_outcome_names_the_look_up_that_settles_it(action: Action, repeats: bool) -> None:
    message = refusals.still_unknown(earlier(action, "unknown"), action, NOW)
    assert f"look with {action.verify_with}" in message
    assert "its answer was lost (timed out)" in without_marks(message)
    assert ("repeat=true" in message) is repeats
    other = refusals.still_unknown(earlier(action, "unknown", fingerprint="other"), action, NOW)
    assert f"something like it ({action.summary})" in other
