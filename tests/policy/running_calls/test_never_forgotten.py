"""No call that runs is forgotten: over processes, failures, lost answers and clocks that jump."""

import anyio
import pytest

from agentphone_mcp.api.errors import RequestLine, ServerError
from agentphone_mcp.policy.ledger.records import LookupResult
from agentphone_mcp.policy.limits import LimitExceeded, Limits

FAILS = ServerError(RequestLine("POST", "/v1/calls/{call_id}/end", {"call_id": "call_1"}), "oops", status=500)
attack = pytest.mark.attack("8", "what runs is forgotten by who has to end it")


@attack
async def test_the_next_server_takes_up_the_calls_of_an_earlier_one(server, place, api, clock) -> None:
    place()
    await server().check()
    clock.now += 3_000
    await server().check()
    assert api.hung_up == ["call_1"]


@attack
async def test_two_servers_at_once_hang_up_once(server, place, api, clock) -> None:
    for _ in range(9):
        place()
    clock.now += 305
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(server().check)
    assert len(api.hung_up) == len(set(api.hung_up)) == 9


@attack
async def test_a_hang_up_that_fails_is_tried_again(server, place, api, clock, rows) -> None:
    place()
    clock.now += 3_000
    watching, api.failures = server(), [FAILS] * 3
    pauses = [await watching.check() for _ in range(4)]
    assert pauses == [2, 4, 8, 16]
    assert api.hung_up == ["call_1"]
    assert "hung up by the server" in rows()[0].reason


async def test_a_call_that_runs_on_after_its_hang_up_is_hung_up_again(server, place, api, clock) -> None:
    place()
    clock.now += 3_000
    watching = server()
    await watching.check()
    api.over.clear()
    await watching.check()
    assert len(api.hung_up) == 1
    clock.now += 31
    await watching.check()
    assert len(api.hung_up) == 2


async def test_a_server_that_ends_while_it_hangs_up_stops_no_other(server, place, api, clock, ledger_of) -> None:
    place()
    clock.now += 3_000
    rows = ledger_of().open().calls
    assert rows.claim_hang_up(rows.running("account")[0], "spend=$10.00/day", 60)
    await server().check()
    assert not api.hung_up
    clock.now += 61
    await server().check()
    assert api.hung_up == ["call_1"]


@attack
async def test_a_call_whose_answer_was_lost_counts_and_is_hung_up_once_found(server, place, api, clock) -> None:
    place(outcome="unknown")
    clock.now += 3_000
    assert isinstance(place(), LimitExceeded)
    api.found = LookupResult("done", {"id": "call_lost"})
    await server().check()
    assert api.hung_up == ["call_lost"]


async def test_a_lost_call_that_the_api_never_lists_ends_to_count(server, place, api, clock, rows) -> None:
    place(outcome="unknown")
    clock.now += 3_000
    await server().check()
    assert [(row.outcome, row.cost, row.minute_cost) for row in rows()] == [("unknown", 1_100_000, None)]
    assert isinstance(place(), int)


@attack
async def test_a_clock_that_is_set_back_gives_no_time(server, place, api, clock, steady) -> None:
    place()
    watching = server()
    await watching.check()
    clock.now -= 86_400
    steady.now += 2_800
    await watching.check()
    assert api.hung_up == ["call_1"]


async def test_a_clock_that_jumps_ahead_counts_a_call_no_longer_than_the_plan_lets_it_run(
    server, place, api, clock
) -> None:
    place()
    watching, api.longest = server(), 1_800.0
    await watching.check()
    clock.now += 40_000
    assert await watching.check() == 10
    assert not api.hung_up


async def test_without_calls_that_run_nothing_is_asked(server, place, api, clock, rows, state) -> None:
    watching = server()
    assert await watching.check() == 60
    row = place()
    clock.now += 3_000
    api.over[f"call_{row}"] = 60.0
    await watching.check()
    asked = api.asked
    assert not watching.may_have_any
    clock.now += 3_000
    assert await watching.check() == 60
    assert api.asked == asked


async def test_without_a_limit_of_dollars_no_call_is_hung_up(server, place, api, clock) -> None:
    place()
    clock.now += 80_000
    assert await server(Limits.parse("spend=off")).check() == float("inf")
    assert not api.hung_up


async def test_what_a_look_up_found_is_reported_though_hung_up(server, place, api, clock, ledger_of, rows) -> None:
    place(outcome="unknown")
    clock.now += 3_000
    api.found = LookupResult("done", {"id": "call_lost"})
    await server().check()
    [row] = rows()
    ledger_of().open().mark_reported(row)
    assert rows()[0].reason.startswith("found by a look-up, and reported; hung up by the server")
