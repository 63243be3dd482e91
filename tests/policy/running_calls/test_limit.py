"""Calls that run count while they run, and are hung up once the limit of dollars is used up."""

import logging
from dataclasses import replace

import pytest

from agentphone_mcp.policy.limits import LimitExceeded
from tests.policy.running_calls.stand_ins import CALL, WEB_CALL

attack = pytest.mark.attack("8", "what runs costs more than was reserved for it")


@attack
async def test_nine_calls_at_ten_dollars_a_day_end_when_ten_dollars_are_spent(
    server, place, api, clock, rows, caplog
) -> None:
    caplog.set_level(logging.WARNING)
    assert [place() for _ in range(9)] == [*range(1, 10)]
    assert isinstance(place(), LimitExceeded)
    watching = server()
    clock.now += 300
    assert 0 < await watching.check() < 4
    assert not api.hung_up
    assert not api.asked
    clock.now += 4
    await watching.check()
    assert sorted(api.hung_up) == [f"call_{row}" for row in range(1, 10)]
    said = "hung up by the server, as the limit spend=$10.00/day was used up"
    assert [row.reason for row in rows()] == [said] * 9
    assert caplog.text.count("was hung up, as the limit spend=$10.00/day is used up") == 9
    clock.now += 2
    await watching.check()
    assert len(api.hung_up) == 9
    assert [(row.cost, row.minute_cost) for row in rows()] == [(1_111_000, None)] * 9
    assert isinstance(place(), LimitExceeded)


@attack
async def test_web_calls_are_hung_up_as_well(server, place, api, clock) -> None:
    for _ in range(9):
        place(WEB_CALL)
    clock.now += 305
    await server().check()
    assert len(api.hung_up) == 9


@attack
async def test_a_running_call_leaves_less_for_the_next_one(place, clock) -> None:
    """A call of 50 minutes counts as such although the API was never asked, and though it began before the window."""
    place()
    clock.now += 3_000
    assert isinstance(place(), LimitExceeded)
    clock.now += 90_000
    assert isinstance(place(), LimitExceeded)


@attack
async def test_a_purchase_brings_the_end_of_running_calls_nearer(server, place, api, clock) -> None:
    place()
    watching = server()
    assert await watching.check() == 10
    clock.now += 1_600
    assert await watching.check() == 10
    place(replace(CALL, tool="buy_number", cost=3_000_000, minute_cost=None))
    assert await watching.check() == 10
    clock.now += 310
    await watching.check()
    assert api.hung_up == ["call_1"]


async def test_what_is_reserved_and_not_spent_ends_no_call(server, place, api, clock) -> None:
    """One call is in its sixth minute as eight others begin: about two dollars are spent."""
    place()
    clock.now += 300
    for _ in range(8):
        place()
    clock.now += 60
    await server().check()
    assert not api.hung_up


async def test_a_call_that_ended_meanwhile_costs_what_it_lasted(server, place, api, clock, rows) -> None:
    """Nine calls of ten seconds: the estimates give way, and the one that runs on may."""
    for _ in range(9):
        place()
    api.over = {f"call_{row}": 10.0 for row in range(1, 9)}
    clock.now += 304
    assert await server().check() == 10
    assert not api.hung_up
    assert [row.cost for row in rows()][:8] == [36_667] * 8
    assert isinstance(place(), int)
