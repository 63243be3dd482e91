"""Caps are read as they were meant, and hold exactly: no action too many, and none refused too long."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import NewEntry
from agentphone_mcp.policy.limits import DEFAULT_LIMITS, Limit, LimitExceeded, Limits

MakesEntry = Callable[..., NewEntry]
HOUR, DAY = 3_600, 86_400
DOLLAR = 1_000_000
SETTLED = ("done", "unknown", "pending")
FORGOTTEN = ("failed", "refused")


def limits(said: str) -> dict[str, str]:
    """The limits in force, by name."""
    return {limit.name: str(limit).partition("=")[2] for limit in Limits.parse(said).limits}


def test_the_default_caps_are_those_that_are_written_down() -> None:
    """They stop a runaway loop and not a working day."""
    written = dict(part.split("=") for part in DEFAULT_LIMITS.split(","))
    assert limits("") == written | {"spend": "$10.00/day"}


@pytest.mark.parametrize(
    ("said", "name", "limit"),
    [
        pytest.param("calls=50/hour", "calls", "50/hour", id="count"),
        pytest.param(" Calls = 50/Hour , ", "calls", "50/hour", id="spaces-and-capitals"),
        pytest.param("spend=25/day", "spend", "$25.00/day", id="dollars"),
        pytest.param("spend=$0.50/week", "spend", "$0.50/week", id="cents"),
        pytest.param("numbers=0/day", "numbers", "0/day", id="none-at-all"),
        pytest.param("messages=1/minute", "messages", "1/minute", id="minute"),
        pytest.param("numbers=off", "numbers", None, id="off"),
        pytest.param("numbers=unlimited", "numbers", None, id="unlimited"),
    ],
)
def test_a_cap_that_is_named_takes_the_place_of_the_default(said: str, name: str, limit: str | None) -> None:
    """The others stay."""
    given_caps = limits(said)
    assert given_caps.pop(name, None) == limit
    assert given_caps.items() <= limits("").items()
    assert len(given_caps) == len(limits("")) - 1


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        pytest.param("fax=5/hour", "'fax'", id="no-such-limit"),
        pytest.param("calls", "'calls'", id="no-amount"),
        pytest.param("calls=", "'calls='", id="empty"),
        pytest.param("calls=5", "'calls=5'", id="no-window"),
        pytest.param("calls=5/fortnight", "'calls=5/fortnight'", id="no-such-window"),
        pytest.param("calls=-5/hour", "'calls=-5/hour'", id="negative"),
        pytest.param("calls=1.5/hour", "'calls=1.5/hour'", id="half-a-call"),
        pytest.param("calls=$5/hour", "'calls=$5/hour'", id="dollars-for-calls"),
        pytest.param("calls=٥/hour", "'calls=٥/hour'", id="other-digits"),
        pytest.param("spend=1.234/day", "'spend=1.234/day'", id="less-than-a-cent"),
        pytest.param("spend=nan/day", "'spend=nan/day'", id="no-number"),
        pytest.param("spend=10000000000/day", "'spend=10000000000/day'", id="endless"),
        pytest.param("calls=1/hour,calls=5/day", "calls is given twice", id="twice"),
        pytest.param("calls=5/hour,fax", "'fax'", id="second-part"),
    ],
)
def test_what_is_no_cap_is_refused_by_its_part(said: str, quoted: str) -> None:
    """A limit that is read wrong is worse than none."""
    with pytest.raises(ValueError, match=r"is no limit|given twice") as refused:
        Limits.parse(said)
    assert quoted in str(refused.value)


def test_a_action_meets_the_caps_of_its_tool_and_of_money() -> None:
    """What is free meets no dollars, and what destroys meets nothing."""
    limits = Limits.parse("")
    assert [limit.name for limit in limits.applicable_to("place_call", 1)] == ["calls", "calls_to_one_number", "spend"]
    assert [limit.name for limit in limits.applicable_to("send_message", 0)] == ["messages", "messages_to_one_number"]
    assert [limit.name for limit in limits.applicable_to("buy_number", 1)] == ["numbers", "spend"]
    assert [limit.name for limit in limits.applicable_to("create_web_call", 1)] == ["web_calls", "spend"]
    assert limits.applicable_to("release_number", 0) == []


def attempt(ledger: Ledger, new_entry: NewEntry, *limits: Limit, outcome: str = "done") -> LimitExceeded | int:
    """Do an action under limits, or say which one is reached."""
    try:
        row = ledger.reserve(new_entry, limits, repeat=True, within=DAY)
    except LimitExceeded as reached:
        return reached
    assert isinstance(row, int)
    if outcome != "pending":
        ledger.settle(row, outcome)  # pyright: ignore[reportArgumentType] - the names come from a parameter
    return row


def test_a_window_slides_to_the_second(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """There is room again when the refusal said, and not a moment before."""
    limit = Limit("calls", 2, "hour")
    began = clock.now
    assert isinstance(attempt(ledger, new_entry(), limit), int)
    clock.now += 100
    assert isinstance(attempt(ledger, new_entry(), limit), int)
    clock.now += 100
    reached = attempt(ledger, new_entry(), limit)
    assert isinstance(reached, LimitExceeded)
    assert (reached.limit, reached.frees_at) == (limit, began + HOUR)
    clock.now = began + HOUR - 0.001
    assert isinstance(attempt(ledger, new_entry(), limit), LimitExceeded)
    clock.now = began + HOUR
    assert isinstance(attempt(ledger, new_entry(), limit), int)
    reached = attempt(ledger, new_entry(), limit)
    assert isinstance(reached, LimitExceeded)
    assert reached.frees_at == began + 100 + HOUR


def test_dollars_are_free_when_enough_of_them_are_old(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    """A dear action waits for more than a cheap one."""
    limit, began = Limit("spend", 10 * DOLLAR, "day"), clock.now
    for dollars in (2, 3, 5):
        assert isinstance(attempt(ledger, new_entry(cost=dollars * DOLLAR), limit), int)
        clock.now += 60
    for dollars, actions_before in ((1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (10, 2)):
        reached = attempt(ledger, new_entry(cost=dollars * DOLLAR), limit)
        assert isinstance(reached, LimitExceeded)
        assert reached.frees_at == began + 60 * actions_before + DAY
        assert reached.used_micros == 10 * DOLLAR
    clock.now = began + DAY
    assert isinstance(attempt(ledger, new_entry(cost=2 * DOLLAR), limit), int)


@pytest.mark.parametrize(
    ("limit", "cost"),
    [
        pytest.param(Limit("spend", 10 * DOLLAR, "day"), 10 * DOLLAR + 1, id="dearer-than-the-limit"),
        pytest.param(Limit("spend", 0, "day"), 1, id="no-dollars"),
        pytest.param(Limit("calls", 0, "hour"), 0, id="no-calls"),
    ],
)
def test_what_never_fits_never_frees(ledger: Any, new_entry: MakesEntry, limit: Limit, cost: int) -> None:
    """Waiting would not help."""
    reached = attempt(ledger, new_entry(cost=cost), limit)
    assert isinstance(reached, LimitExceeded)
    assert math.isinf(reached.frees_at)


@pytest.mark.parametrize("outcome", SETTLED)
def test_what_may_have_happened_counts(ledger: Any, new_entry: MakesEntry, outcome: str) -> None:
    """Nobody knows that it cost nothing."""
    limit = Limit("calls", 1, "hour")
    attempt(ledger, new_entry(), limit, outcome=outcome)
    assert isinstance(attempt(ledger, new_entry("Call Bob"), limit), LimitExceeded)


@pytest.mark.parametrize("outcome", FORGOTTEN)
def test_what_did_not_happen_does_not_count(ledger: Any, new_entry: MakesEntry, outcome: str) -> None:
    """Neither as an action nor in dollars."""
    both = Limit("calls", 1, "hour"), Limit("spend", DOLLAR, "day")
    attempt(ledger, new_entry(cost=DOLLAR), *both, outcome=outcome)
    assert isinstance(attempt(ledger, new_entry("Call Bob", cost=DOLLAR), *both), int)


@pytest.mark.parametrize(
    ("limit", "other", "fits"),
    [
        pytest.param("calls", {"account": "b" * 16}, True, id="account"),
        pytest.param("spend", {"account": "b" * 16}, True, id="money-of-another-account"),
        pytest.param("messages", {"tool": "send_message"}, True, id="tool"),
        pytest.param("spend", {"tool": "buy_number"}, False, id="money-of-another-tool"),
        pytest.param("calls", {"to_number": "+14155550101"}, False, id="calls-to-anybody"),
        pytest.param("calls_to_one_number", {"to_number": "+14155550101"}, True, id="one-number"),
        pytest.param("calls_to_one_number", {"summary": "Call Ada again"}, False, id="the-same-number"),
    ],
)
def test_a_cap_counts_what_it_is_about(
    ledger: Any, new_entry: MakesEntry, limit: str, other: dict[str, str], fits: bool
) -> None:
    """Its own tool, its own account, and the number it speaks of; dollars of every tool."""
    one = Limit(limit, DOLLAR if limit == "spend" else 1, "day")
    attempt(ledger, new_entry(cost=DOLLAR), one)
    assert isinstance(attempt(ledger, new_entry(**{"cost": DOLLAR} | other), one), int) is fits


def test_a_call_that_was_shorter_than_thought_gives_room_back(ledger: Any, new_entry: MakesEntry) -> None:
    """Its estimate counted until its seconds were known."""
    limit = Limit("spend", 2 * DOLLAR, "day")
    attempt(ledger, new_entry(cost=2 * DOLLAR, minute_cost=DOLLAR), limit)
    assert isinstance(attempt(ledger, new_entry(cost=DOLLAR), limit), LimitExceeded)
    ledger.settle_call_cost(ledger.estimates("a" * 16)[0], 60)
    assert isinstance(attempt(ledger, new_entry(cost=DOLLAR), limit), int)


def test_a_action_counts_from_when_it_is_done_and_not_from_the_question(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    """A person took some minutes to say yes."""
    limit = Limit("calls", 1, "minute")
    question = ledger.record_question(new_entry())
    clock.now += 300
    attempt(ledger, new_entry(question=question.id), limit)
    clock.now += 59
    assert isinstance(attempt(ledger, new_entry("Call Bob"), limit), LimitExceeded)


ACCOUNTS = itertools.count()
STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 6), st.sampled_from([*SETTLED, *FORGOTTEN])), min_size=1, max_size=30
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, most=st.integers(0, 4), dollars=st.integers(0, 12))
def test_no_window_ever_holds_more_than_its_cap(
    sqlite_ledger: Any, clock: Any, new_entry: MakesEntry, steps: list[tuple[int, int, str]], most: int, dollars: int
) -> None:
    """By any order of actions, outcomes and waits; and each refusal says the first moment at which there is room."""
    both = Limit("calls", most, "minute"), Limit("spend", dollars, "minute")
    account = f"account {next(ACCOUNTS)}"
    counted: list[tuple[float, int]] = []
    for later, cost, outcome in steps:
        clock.now += later
        wanted = new_entry(account=account, cost=cost)
        found = attempt(sqlite_ledger, wanted, *both, outcome=outcome)
        window = [one for one in counted if one[0] > clock.now - 60]
        fits = len(window) + 1 <= most and sum(one[1] for one in window) + cost <= dollars
        assert isinstance(found, int) == fits
        if isinstance(found, int) and outcome in SETTLED:
            counted.append((clock.now, cost))
        if isinstance(found, LimitExceeded) and not math.isinf(found.frees_at):
            present, clock.now = clock.now, found.frees_at - 1
            assert isinstance(sqlite_ledger.find_conflict(wanted, [found.limit], repeat=True), LimitExceeded)
            clock.now += 1
            assert sqlite_ledger.find_conflict(wanted, [found.limit], repeat=True) is None
            clock.now = present
