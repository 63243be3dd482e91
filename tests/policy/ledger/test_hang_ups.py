"""The ledger knows which calls may run, what they cost so far, and that the server hangs one up."""

import os
import socket
from dataclasses import replace

import pytest

from agentphone_mcp.policy.limits import LimitExceeded, Limits

PRICES = {"cost": 1_100_000, "minute_cost": 220_000}
LIMIT = "spend=$2.00/hour"
HOUR = Limits.parse("spend=2/hour,calls=off,calls_to_one_number=off")


def test_a_running_call_counts_by_the_second_and_a_settled_one_as_what_it_cost(ledger, new_entry, clock) -> None:
    ledger.done(new_entry("Call Ada", **PRICES))
    clock.now += 600
    used = ledger.reserve(new_entry("Call Bob", **PRICES), HOUR, repeat=False, within=60)
    assert isinstance(used, LimitExceeded)
    assert used.used_micros == 2_200_000
    [call] = ledger.calls.running(call_account := "a" * 16)
    ledger.settle_call_cost(call, 30)
    assert ledger.calls.running(call_account) == []
    assert ledger.calls.settled_cost(call_account, clock.now - 3_600) == 110_000
    assert isinstance(ledger.reserve(new_entry("Call Bob", **PRICES), HOUR, repeat=False, within=60), int)


@pytest.mark.attack("8", "a call that began before the window costs within it")
def test_a_call_that_began_before_the_window_counts_as_the_whole_window(ledger, new_entry, clock) -> None:
    ledger.done(new_entry("Call Ada", **PRICES))
    clock.now += 7_200
    used = ledger.reserve(new_entry("Text Bob", tool="send_message", cost=20_000), HOUR, repeat=False, within=60)
    assert isinstance(used, LimitExceeded)
    assert (used.used_micros, used.frees_at) == (13_200_000, clock.now + 3_600)


def test_a_plan_that_lets_no_call_run_so_long_bounds_what_one_counts(ledger, new_entry, clock) -> None:
    ledger.done(new_entry("Call Ada", **PRICES))
    clock.now += 3_000
    short = replace(new_entry("Call Bob", **PRICES | {"cost": 660_000}), longest_call=180.0)
    assert isinstance(ledger.reserve(short, HOUR, repeat=False, within=60), int)


def test_one_process_claims_a_hang_up_until_its_time_is_over(ledger, new_entry, clock) -> None:
    row = ledger.done(new_entry("Call Ada", **PRICES))
    [call] = ledger.calls.running("a" * 16)
    claims = [ledger.calls.claim_hang_up(call, LIMIT, 60) for _ in range(2)]
    clock.now += 61
    claims.append(ledger.calls.claim_hang_up(call, LIMIT, 60))
    # The clock is set back.
    clock.now -= 86_400
    claims.append(ledger.calls.claim_hang_up(call, LIMIT, 60))
    ledger.calls.release_hang_up(call)
    claims.append(ledger.calls.claim_hang_up(call, LIMIT, 60))
    assert claims == [True, False, True, True, True]
    assert ledger.calls.hang_up_of("a" * 16, f"id_{row}").startswith("to be hung up by the server")
    ledger.calls.note_hung_up(call, LIMIT)
    ledger.settle_call_cost(call, 600)
    assert not ledger.calls.claim_hang_up(call, LIMIT, 60)
    assert ledger.calls.hang_up_of("a" * 16, f"id_{row}") == f"hung up by the server, as the limit {LIMIT} was used up"
    assert ledger.calls.hang_up_of("a" * 16, "another") is None


@pytest.mark.skipif(os.name != "posix", reason="whether another process runs is not known there")
@pytest.mark.attack("8", "a stricter limit of one server ends the calls of another")
@pytest.mark.parametrize(
    ("owner", "claimed"),
    [
        pytest.param(f"{socket.gethostname()}:{os.getppid()}", False, id="runs"),
        pytest.param(f"{socket.gethostname()}:{2**22 + 1}", True, id="is-gone"),
        pytest.param("another-machine:1", True, id="on-another-machine"),
    ],
)
def test_a_call_of_another_server_that_runs_is_left_to_it(ledger, new_entry, monkeypatch, owner, claimed) -> None:
    monkeypatch.setattr("agentphone_mcp.policy.ledger.ledger.this_process", lambda: owner)
    ledger.done(new_entry("Call Ada", **PRICES))
    [call] = ledger.calls.running("a" * 16)
    assert ledger.calls.claim_hang_up(call, LIMIT, 60) is claimed
