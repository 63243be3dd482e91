"""What a look-up found is given to an action only if it cannot belong to another one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentphone_mcp.policy.ledger.records import LookupResult, NewEntry
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.policy.reconciliation import Reconciler

TO = "+14155559999"
CALL = NewEntry("account", "place_call", "f", TO, "Call.", cost=1_100_000, minute_cost=220_000, to_number=TO)
OTHER = replace(CALL, fingerprint="other words")
THEIRS = LookupResult("done", {"id": "call_1"}, may_belong_to=lambda other: other.to_number == CALL.to_number)


@pytest.fixture
def looking(handle) -> Callable[..., Any]:
    """Look up the first unresolved action while something else happens; the look-up finds a call."""

    async def looking(meanwhile: Callable[[], object] = lambda: None) -> LookupResult | None:
        async def look_up(*_: Any) -> LookupResult:
            meanwhile()
            return THEIRS

        return await Reconciler("account", handle, look_up, look_up).reconcile(handle.open().unresolved("account")[0])

    return looking


async def test_what_may_belong_to_a_pending_action_is_given_to_no_other(looking, action, handle) -> None:
    action("unknown", CALL)
    row: list[int] = []
    assert await looking(lambda: row.append(handle.open().reserve(OTHER, Limits(()), repeat=True, within=60))) is None
    assert await looking() is None
    handle.open().settle(row[0], "failed")
    assert await looking() == THEIRS
    assert [entry.outcome for entry in handle.open().entries()] == ["done", "failed"]


async def test_what_came_of_an_action_meanwhile_is_given_to_no_other(looking, action, handle) -> None:
    """The other action was settled after the look-up had read which ids are claimed."""
    action("unknown", CALL)

    def other() -> None:
        row = handle.open().reserve(OTHER, Limits(()), repeat=True, within=60)
        handle.open().settle(row, "done", ids={"call_id": "call_1"})

    assert await looking(other) is None
    assert [entry.outcome for entry in handle.open().entries()] == ["unknown", "done"]


@pytest.mark.parametrize(
    ("other", "outcome"),
    [
        pytest.param(OTHER, "unknown", id="other-words"),
        pytest.param(CALL, "done", id="the-same"),
        pytest.param(replace(OTHER, to_number="+14155550101"), "done", id="cannot-be-its"),
        pytest.param(replace(OTHER, tool="send_message"), "done", id="another-tool"),
        pytest.param(replace(OTHER, account="another"), "done", id="another-account"),
    ],
)
async def test_of_two_unresolved_actions_neither_is_given_what_may_be_the_others(
    looking, action, handle, other: NewEntry, outcome: str
) -> None:
    action("unknown", CALL)
    action("unknown", other)
    await looking()
    assert [entry.outcome for entry in handle.open().entries()] == [outcome, "unknown"]


@pytest.mark.parametrize("is_reported", [True, False], ids=["reported", "unreported"])
async def test_what_was_given_to_another_action_is_taken_back(looking, action, handle, is_reported: bool) -> None:
    action("unknown", CALL)
    late = handle.open().reserve(CALL, Limits(()), repeat=True, within=-1)
    await looking()
    if is_reported:
        handle.open().mark_reported(handle.open().entries()[0])
    handle.open().settle(late, "done", ids={"id": "call_1"})
    unresolved, done = handle.open().entries()
    assert (unresolved.outcome, unresolved.ids, unresolved.reason) == (
        "unknown",
        None,
        "what a look-up found came of row 2",
    )
    assert (done.outcome, done.ids) == ("done", {"id": "call_1"})
    assert [entry.id for entry in handle.open().unresolved("account")] == [unresolved.id]
