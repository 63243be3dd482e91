"""An action is reserved only if the policy, the limits and the earlier actions allow it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from agentphone_mcp.policy.actions import Action, Approval
from agentphone_mcp.policy.destinations import Destinations
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.records import CallDuration, Entry, LookupResult
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.pricing import Cost
from agentphone_mcp.policy.reconciliation import Reconciler
from agentphone_mcp.policy.reservations import Reservations

CALL = Action(
    "Call.", "list_calls", tool="place_call", to_number="+14155559999", cost=Cost.of_call(0.22), arguments={"a": 1}
)
NO = pytest.mark.parametrize("answer", ["not asked", "declined", "cancelled", "timed out", "cannot be asked"])


@pytest.fixture
def reservations(handle: LedgerHandle) -> Callable[..., Reservations]:
    """Make reservations under a policy, with an API that answers every look-up with `found`."""

    def reservations(found: Any = None, seconds: float | None = None, limits: str = "", **policy: Any) -> Reservations:
        async def look_up(*_: Any) -> LookupResult | None:
            return found

        async def call_duration(_: Entry) -> CallDuration:
            return CallDuration(seconds, is_over=seconds is not None)

        made = Policy(Limits.parse(limits), Destinations(), **policy)
        return Reservations(made, Reconciler("account", handle, look_up, call_duration))

    return reservations


async def test_the_second_waits_for_the_first(reservations, handle) -> None:
    replayed: list[int | Entry] = []
    ours = reservations()
    row = await ours.reserve(CALL, repeat=False)

    async def second() -> None:
        replayed.append(await ours.reserve(CALL, repeat=False))

    async with anyio.create_task_group() as group:
        group.start_soon(second)
        await anyio.wait_all_tasks_blocked()
        handle.open().settle(row, "done", ids={"id": "call_1"})
    [entry] = replayed
    assert isinstance(entry, Entry)
    assert (entry.id, entry.outcome, entry.ids) == (row, "done", {"id": "call_1"})


async def test_the_second_goes_ahead_when_the_first_failed(reservations, handle) -> None:
    ours = reservations()
    row = await ours.reserve(CALL, repeat=False)
    handle.open().settle(row, "failed")
    assert await ours.reserve(CALL, repeat=False) == row + 1


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        pytest.param(LookupResult("done", {"id": "call_1"}), "done", id="found"),
        pytest.param(LookupResult("failed"), None, id="not-done"),
        pytest.param(None, "unknown", id="unclear"),
    ],
)
async def test_an_unresolved_action_is_looked_up_first(reservations, handle, found: Any, outcome: str | None) -> None:
    ours = reservations(found)
    handle.open().settle(await ours.reserve(CALL, repeat=False), "unknown", reason="timed out")
    made = await ours.reserve(CALL, repeat=False)
    assert (made.outcome if isinstance(made, Entry) else None) == outcome
    reason = "found by a look-up, and reported" if outcome == "done" else "found by a look-up" if found else "timed out"
    assert handle.open().entries()[0].reason == reason


@NO
async def test_without_a_persons_yes_nothing_is_reserved(reservations, handle, answer: Any) -> None:
    action = Action("Call.", "list_calls", tool="place_call", approval=Approval("Host 1", answer))
    with pytest.raises(Refused, match="Nothing was done") as refused:
        await reservations(requires_human_approval=True).reserve(action, repeat=True)
    [row] = handle.open().entries()
    assert (row.outcome, row.reason, row.approved_by) == ("refused", str(refused.value), "Host 1")


async def test_a_limit_on_money_looks_for_true_costs_once(reservations, handle) -> None:
    ours = reservations(seconds=60, limits="spend=1.50/day")
    other = Action("Call.", "list_calls", tool="place_call", to_number="+14155559998", cost=Cost.of_call(0.22))
    handle.open().settle(await ours.reserve(CALL, repeat=False), "done", ids={"id": "call_1"})
    assert await ours.reserve(other, repeat=False) == 2
    with pytest.raises(Refused, match=r"spend=\$1.50/day is reached \(about \$1.32 so far"):
        await ours.reserve(other, repeat=True)
    assert [row.outcome for row in handle.open().entries()] == ["done", "pending", "refused"]


async def test_a_limit_on_actions_looks_for_no_costs(reservations, handle) -> None:
    ours = reservations(seconds=60, limits="calls=1/day")
    handle.open().settle(await ours.reserve(CALL, repeat=False), "done", ids={"id": "call_1"})
    with pytest.raises(Refused, match="the limit calls=1/day is reached"):
        await ours.reserve(CALL, repeat=True)
    assert handle.open().entries()[0].minute_cost == CALL.cost.minute_micros


async def test_a_yes_to_what_was_done_meanwhile_is_used_up(reservations, handle) -> None:
    """It must not approve another action later, and its row says what became of it."""
    ours = reservations(requires_human_approval=True)
    first, second = [await ours.record_question(CALL, repeat=False) for _ in range(2)]
    row = await ours.reserve(replace(CALL, approval=Approval("Host 1", "yes", first.id)), repeat=False)
    handle.open().settle(row, "done", ids={"id": "call_1"})
    found = await ours.reserve(replace(CALL, approval=Approval("Host 1", "yes", second.id)), repeat=False)
    assert isinstance(found, Entry)
    assert handle.open().entries()[-1].reason == f"agreed to, but row {row} is the same and done"
    assert await ours.open_question(CALL) is None
