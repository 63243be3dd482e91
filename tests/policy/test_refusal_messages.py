"""A refusal says what was not done, why, until when, and what a person can change."""

import math

import pytest

from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Action, Approval, ApprovalAnswer
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import Entry, LedgerOutcome
from agentphone_mcp.policy.limits import Limit, LimitExceeded

NOW = 1_790_000_000.25
TEXT = Action("Text Ada", "list_messages", tool="send_message", to_number="+14155550100")
RELEASE = Action("Release it", "list_numbers", confirmation="+14155550100", tool="release_number")


def earlier(action: Action, outcome: LedgerOutcome, *, ago: float = 90, fingerprint: str | None = None) -> Entry:
    """What the ledger holds of an action."""
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


def test_a_cap_says_when_it_frees_and_how_to_raise_it() -> None:
    """To the second, and in UTC."""
    reached = LimitExceeded(Limit("calls", 20, "hour"), NOW + 1_799.5, 0)
    assert refusals.limit_exceeded(reached, 0, NOW) == (
        "Nothing was done: the limit calls=20/hour is reached. There is room again in 30 minutes, at 2026-09-21 14:43:20 "
        "UTC. To raise it, your user can set AGENTPHONE_LIMITS=calls=… in this server's entry and restart it."
    )


def test_a_cap_on_dollars_says_how_many_are_spent() -> None:
    """About, as estimates are among them."""
    said = refusals.limit_exceeded(
        LimitExceeded(Limit("spend", 10_000_000, "day"), NOW + 7_200, 9_500_000), 1_100_000, NOW
    )
    assert "the limit spend=$10.00/day is reached (about $9.50 so far, and this is about $1.10)" in said
    assert "in 2 hours" in said


@pytest.mark.parametrize("limit", [Limit("calls", 0, "hour"), Limit("spend", 1, "day")], ids=["calls", "dollars"])
def test_a_cap_that_never_frees_does_not_say_to_wait(limit: Limit) -> None:
    """It says that not even one fits."""
    said = refusals.limit_exceeded(LimitExceeded(limit, math.inf, 0), 5_000_000, NOW)
    assert f"the limit {limit} does not allow even one" in said
    assert "room again" not in said
    assert f"AGENTPHONE_LIMITS={limit.name}=" in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        pytest.param(-1, "1 second", id="past"),
        pytest.param(0.2, "1 second", id="at-once"),
        pytest.param(1.1, "2 seconds", id="rounded-up"),
        pytest.param(119, "119 seconds", id="under-two-minutes"),
        pytest.param(120, "2 minutes", id="minutes"),
        pytest.param(7_199, "120 minutes", id="under-two-hours"),
        pytest.param(86_400, "24 hours", id="a-day"),
        pytest.param(604_800, "7 days", id="a-week"),
    ],
)
def test_lengths_of_time_read_as_a_person_says_them(seconds: float, said: str) -> None:
    """Coarser the longer they are."""
    reached = LimitExceeded(Limit("calls", 1, "week"), NOW + seconds, 0)
    assert f"There is room again in {said}, at" in refusals.limit_exceeded(reached, 0, NOW)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param("declined", "said no", id="declined"),
        pytest.param("cancelled", "closed the question", id="cancelled"),
        pytest.param("timed out", "did not answer in time", id="timed-out"),
        pytest.param("cannot be asked", "AGENTPHONE_APPROVAL=human", id="cannot-be-asked"),
        pytest.param("not asked", "was not asked", id="not-asked"),
    ],
)
def test_a_missing_yes_says_why_it_is_missing(answer: ApprovalAnswer, said: str) -> None:
    """Each in its own words."""
    refusal = refusals.not_approved(Approval(answer=answer))
    assert refusal.startswith("Nothing was done: ")
    assert said in refusal


def test_a_broken_ledger_says_where_it_is_and_what_works() -> None:
    """And which variable names another place."""
    said = refusals.ledger_unavailable(LedgerUnavailable("/state/ledger.sqlite3", "disk full"), to_operator=True)
    for part in ("Nothing was done", "/state/ledger.sqlite3", "disk full", "AGENTPHONE_STATE", "Reading works"):
        assert part in said


def test_a_broken_ledger_tells_others_than_the_operator_nothing_of_the_house() -> None:
    """Where a team's database is and what is wrong with it is no business of a caller's model."""
    said = refusals.ledger_unavailable(
        LedgerUnavailable("postgresql://ledger.internal/x", "no route"), to_operator=False
    )
    assert said.startswith("Nothing was done")
    assert "Reading works" in said
    assert not any(part in said for part in ("internal", "no route", "AGENTPHONE_STATE"))


def test_a_replay_says_when_it_was_and_how_to_have_it_twice() -> None:
    """`repeat` is for what can be repeated."""
    assert refusals.replayed(earlier(TEXT, "done"), TEXT, NOW) == (
        "This was done 90 seconds ago and not again. Only if your user wants it nevertheless, add repeat=true."
    )
    assert "repeat" not in refusals.replayed(earlier(RELEASE, "done"), RELEASE, NOW)


def test_a_replay_of_other_words_shows_them() -> None:
    """So that nobody takes the one for the other."""
    said = refusals.replayed(earlier(TEXT, "done", fingerprint="other"), TEXT, NOW)
    assert said.startswith("Nothing was done now: something like it was done")
    assert "(Text Ada" in said


def test_what_is_under_way_says_to_come_back() -> None:
    """It is not failed, and not done."""
    said = refusals.under_way(earlier(TEXT, "pending", ago=3), NOW)
    assert "3 seconds ago and is still under way" in said
    assert "Call again in a moment" in said


@pytest.mark.parametrize(("action", "repeats"), [(TEXT, True), (RELEASE, False)], ids=["spends", "destroys"])
def test_a_doubt_names_the_look_up_that_settles_it(action: Action, repeats: bool) -> None:
    """And what was lost, and how."""
    said = refusals.still_unknown(earlier(action, "unknown"), action, NOW)
    assert f"look with {action.verify_with}" in said
    assert "its answer was lost (timed out)" in said
    assert ("repeat=true" in said) is repeats
    other = refusals.still_unknown(earlier(action, "unknown", fingerprint="other"), action, NOW)
    assert f"something like it ({action.summary})" in other
