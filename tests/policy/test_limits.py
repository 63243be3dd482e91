"""Limits are parsed strictly, and no window ever holds more than its limit."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry, NewEntry
from agentphone_mcp.policy.limits import DEFAULT_LIMITS, Limit, LimitExceeded, Limits
from tests.policy.conftest import MakesEntry

HOUR, DAY = 3_600, 86_400
DOLLAR = 1_000_000
NOW = 1_790_000_000.25
SETTLED = ("done", "unknown", "pending")
FORGOTTEN = ("failed", "refused")


def limits(text: str) -> dict[str, str]:
    """Return the limits in force by name."""
    return {limit.name: str(limit).partition("=")[2] for limit in Limits.parse(text).limits}


def test_the_default_limits_are_those_that_are_written_down() -> None:
    written = dict(part.split("=") for part in DEFAULT_LIMITS.split(","))
    assert limits("") == written | {"spend": "$10.00/day"}


@pytest.mark.parametrize(
    ("text", "name", "limit"),
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
def test_a_limit_that_is_named_replaces_the_default_one(text: str, name: str, limit: str | None) -> None:
    in_force = limits(text)
    assert in_force.pop(name, None) == limit
    assert in_force.items() <= limits("").items()
    assert len(in_force) == len(limits("")) - 1


@pytest.mark.parametrize(
    ("text", "quoted"),
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
def test_what_is_no_limit_is_refused_by_its_part(text: str, quoted: str) -> None:
    with pytest.raises(ValueError, match=r"is no limit|given twice") as refused:
        Limits.parse(text)
    assert quoted in str(refused.value)


def test_an_action_meets_the_limits_of_its_tool_and_of_money() -> None:
    limits = Limits.parse("")
    assert [limit.name for limit in limits.applicable_to("place_call", 1)] == ["calls", "calls_to_one_number", "spend"]
    assert [limit.name for limit in limits.applicable_to("send_message", 0)] == ["messages", "messages_to_one_number"]
    assert [limit.name for limit in limits.applicable_to("buy_number", 1)] == ["numbers", "spend"]
    assert [limit.name for limit in limits.applicable_to("create_web_call", 1)] == ["web_calls", "spend"]
    assert limits.applicable_to("release_number", 0) == []


def attempt(ledger: Ledger, new_entry: NewEntry, *limits: Limit, outcome: str = "done") -> LimitExceeded | int:
    """Do an action under limits, or return the limit that it would exceed."""
    reserved = ledger.reserve(new_entry, Limits(limits), repeat=True, within=DAY)
    assert not isinstance(reserved, Entry)
    if isinstance(reserved, int) and outcome != "pending":
        ledger.settle(reserved, outcome)  # pyright: ignore[reportArgumentType] - the names come from a parameter
    return reserved


def test_a_window_slides_to_the_second(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    limit = Limit("calls", 2, "hour")
    began = clock.now
    assert isinstance(attempt(ledger, new_entry(), limit), int)
    clock.now += 100
    assert isinstance(attempt(ledger, new_entry(), limit), int)
    clock.now += 100
    exceeded = attempt(ledger, new_entry(), limit)
    assert isinstance(exceeded, LimitExceeded)
    assert (exceeded.limit, exceeded.frees_at) == (limit, began + HOUR)
    clock.now = began + HOUR - 0.001
    assert isinstance(attempt(ledger, new_entry(), limit), LimitExceeded)
    clock.now = began + HOUR
    assert isinstance(attempt(ledger, new_entry(), limit), int)
    exceeded = attempt(ledger, new_entry(), limit)
    assert isinstance(exceeded, LimitExceeded)
    assert exceeded.frees_at == began + 100 + HOUR


def test_dollars_are_free_when_enough_of_them_are_old(ledger: Any, clock: Any, new_entry: MakesEntry) -> None:
    limit, began = Limit("spend", 10 * DOLLAR, "day"), clock.now
    for dollars in (2, 3, 5):
        assert isinstance(attempt(ledger, new_entry(cost=dollars * DOLLAR), limit), int)
        clock.now += 60
    for dollars, actions_before in ((1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (10, 2)):
        exceeded = attempt(ledger, new_entry(cost=dollars * DOLLAR), limit)
        assert isinstance(exceeded, LimitExceeded)
        assert exceeded.frees_at == began + 60 * actions_before + DAY
        assert exceeded.used_micros == 10 * DOLLAR
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
    exceeded = attempt(ledger, new_entry(cost=cost), limit)
    assert isinstance(exceeded, LimitExceeded)
    assert math.isinf(exceeded.frees_at)


@pytest.mark.parametrize("outcome", SETTLED)
def test_what_may_have_happened_counts(ledger: Any, new_entry: MakesEntry, outcome: str) -> None:
    limit = Limit("calls", 1, "hour")
    attempt(ledger, new_entry(), limit, outcome=outcome)
    assert isinstance(attempt(ledger, new_entry("Call Bob"), limit), LimitExceeded)


@pytest.mark.parametrize("outcome", FORGOTTEN)
def test_what_did_not_happen_does_not_count(ledger: Any, new_entry: MakesEntry, outcome: str) -> None:
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
def test_a_limit_counts_its_own_tool_account_and_number(
    ledger: Any, new_entry: MakesEntry, limit: str, other: dict[str, str], fits: bool
) -> None:
    only = Limit(limit, DOLLAR if limit == "spend" else 1, "day")
    attempt(ledger, new_entry(cost=DOLLAR), only)
    assert isinstance(attempt(ledger, new_entry(**{"cost": DOLLAR} | other), only), int) is fits


def test_a_call_that_was_shorter_than_thought_gives_room_back(ledger: Any, new_entry: MakesEntry) -> None:
    limit = Limit("spend", 2 * DOLLAR, "day")
    attempt(ledger, new_entry(cost=2 * DOLLAR, minute_cost=DOLLAR), limit)
    assert isinstance(attempt(ledger, new_entry(cost=DOLLAR), limit), LimitExceeded)
    ledger.settle_call_cost(ledger.estimates("a" * 16)[0], 60)
    assert isinstance(attempt(ledger, new_entry(cost=DOLLAR), limit), int)


def test_an_action_counts_from_when_it_is_done_and_not_from_the_question(
    ledger: Any, clock: Any, new_entry: MakesEntry
) -> None:
    """A person took five minutes to say yes."""
    limit = Limit("calls", 1, "minute")
    question = ledger.record_question(new_entry())
    clock.now += 300
    attempt(ledger, new_entry(question=question.id), limit)
    clock.now += 59
    assert isinstance(attempt(ledger, new_entry("Call Bob"), limit), LimitExceeded)


def test_a_limit_says_when_it_frees_and_how_to_raise_it() -> None:
    exceeded = LimitExceeded(Limit("calls", 20, "hour"), NOW + 1_799.5, 0, 0)
    assert exceeded.message(NOW) == (
        "Nothing was done: the limit calls=20/hour is reached. There is room again in 30 minutes, at 2026-09-21 "
        "14:43:20 UTC. To raise it, your user can set AGENTPHONE_LIMITS=calls=… in this server's entry and restart it."
    )


def test_a_limit_on_dollars_says_how_many_are_spent() -> None:
    message = LimitExceeded(Limit("spend", 10 * DOLLAR, "day"), NOW + 7_200, 9_500_000, 1_100_000).message(NOW)
    assert "the limit spend=$10.00/day is reached (about $9.50 so far, and this is about $1.10)" in message
    assert "in 2 hours" in message


@pytest.mark.parametrize("limit", [Limit("calls", 0, "hour"), Limit("spend", 1, "day")], ids=["calls", "dollars"])
def test_a_limit_that_never_frees_does_not_say_to_wait(limit: Limit) -> None:
    message = LimitExceeded(limit, math.inf, 0, 5 * DOLLAR).message(NOW)
    assert f"the limit {limit} does not allow even one" in message
    assert "room again" not in message
    assert f"AGENTPHONE_LIMITS={limit.name}=" in message


@pytest.mark.parametrize(
    ("seconds", "text"),
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
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    exceeded = LimitExceeded(Limit("calls", 1, "week"), NOW + seconds, 0, 0)
    assert f"There is room again in {text}, at" in exceeded.message(NOW)


ACCOUNTS = itertools.count()
STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 6), st.sampled_from([*SETTLED, *FORGOTTEN])), min_size=1, max_size=30
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, most=st.integers(0, 4), dollars=st.integers(0, 12))
def test_no_window_ever_holds_more_than_its_limit(
    sqlite_ledger: Any, clock: Any, new_entry: MakesEntry, steps: list[tuple[int, int, str]], most: int, dollars: int
) -> None:
    both = Limit("calls", most, "minute"), Limit("spend", dollars, "minute")
    account = f"account {next(ACCOUNTS)}"
    counted: list[tuple[float, int]] = []
    for later, cost, outcome in steps:
        clock.now += later
        wanted = new_entry(account=account, cost=cost)
        attempted = attempt(sqlite_ledger, wanted, *both, outcome=outcome)
        costs = [cost for at, cost in counted if at > clock.now - 60]
        fits = len(costs) + 1 <= most and sum(costs) + cost <= dollars
        assert isinstance(attempted, int) == fits
        if isinstance(attempted, int) and outcome in SETTLED:
            counted.append((clock.now, cost))
        if isinstance(attempted, LimitExceeded) and not math.isinf(attempted.frees_at):
            limits = Limits((attempted.limit,))
            present, clock.now = clock.now, attempted.frees_at - 1
            assert isinstance(sqlite_ledger.find_conflict(wanted, limits, repeat=True), LimitExceeded)
            clock.now += 1
            assert sqlite_ledger.find_conflict(wanted, limits, repeat=True) is None
            clock.now = present
