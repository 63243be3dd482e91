"""What the gate writes down of an action, and what it does not do again because it was written down."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from anyio import CancelScope
from pydantic import BaseModel

from agentphone_mcp.api.errors import Conflict, OutcomeUnknown, RequestLine, Unreachable
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.api.redaction import Secret
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.ledger.handle import LedgerHandle

LINE = RequestLine("DELETE", "/v1/numbers/{number_id}", {"number_id": "pn_1"})
CALL = Action("Call +14155559999 from +14155551234.", verify_with="list_calls", next_step="wait_for_call follows it.")
RELEASE = Action("Release +14155551234 for good.", verify_with="list_numbers", confirmation="+14155551234")


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        pytest.param(Conflict(LINE, "in use", status=409), "failed", id="refused-by-the-api"),
        pytest.param(Unreachable(LINE, "no connection"), "failed", id="never-sent"),
        pytest.param(OutcomeUnknown(LINE, "timed out"), "unknown", id="lost"),
        pytest.param(OutcomeUnknown(LINE, "odd \ud800 words", status=502), "unknown", id="lost-in-odd-words"),
        pytest.param(RuntimeError("a bug"), "unknown", id="bug"),
    ],
)
async def test_what_came_of_it_is_written_down(
    writing, gate: Gate, handle: LedgerHandle, failure: Exception, outcome: str
) -> None:
    """Of a bug of ours nobody knows when it struck."""
    with suppress(type(failure)):
        await gate.execute(CALL, True, writing(failure))
    assert [row.outcome for row in handle.open().entries()] == [outcome]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        pytest.param(Conflict(LINE, "in use", status=409), "in use", id="by-the-api"),
        pytest.param(RuntimeError("a bug"), "a bug", id="bug"),
        pytest.param(RuntimeError(), "RuntimeError", id="nothing-said"),
    ],
)
async def test_why_it_failed_is_written_down(
    writing, gate: Gate, handle: LedgerHandle, failure: Exception, reason: str
) -> None:
    """In its words, or else by its kind."""
    with suppress(type(failure)):
        await gate.execute(CALL, True, writing(failure))
    [row] = handle.open().entries()
    assert reason in (row.reason or "")


class Told(BaseModel):
    """What an API could answer."""

    id: str | None = None
    call_id: str | None = None
    secret: Secret | None = None
    status: str = "ringing"


@pytest.mark.parametrize(
    ("told", "ids", "is_kept", "named"),
    [
        pytest.param(Told(id="call_1"), {"id": "call_1"}, True, False, id="all"),
        pytest.param(Told(call_id="call_1", secret="s"), {"call_id": "call_1"}, False, True, id="a-secret"),
        pytest.param(Told(secret="s"), None, False, False, id="a-secret-without-an-id"),
    ],
)
async def test_a_replay_names_the_ids_where_the_result_was_not_kept(
    gate: Gate, handle: LedgerHandle, told: Told, ids: Any, is_kept: bool, named: bool
) -> None:
    """What holds a secret is shown once; of the rest only ids are kept as such."""

    async def do() -> Told:
        return told

    await gate.execute(CALL, True, do)
    [row] = handle.open().entries()
    assert (row.ids, row.result is not None) == (ids, is_kept)
    again = await gate.execute(CALL, True, do)
    assert (again.replayed, again.result is not None) == (True, is_kept)
    assert (again.next_step or "").startswith("It has the id call_1. This was done" if named else "This was done")


async def test_a_preview_tells_of_what_is_under_way(gate: Gate, write) -> None:
    """Whoever is asked knows that the same may just be happening."""
    told: list[str | None] = []

    async def do() -> Acknowledgement:
        told.append((await gate.execute(CALL, None, write)).next_step)
        return await write()

    await gate.execute(CALL, True, do)
    [step] = told
    assert "still under way" in (step or "")
    assert "Ask your user" in (step or "")


@pytest.mark.parametrize(
    ("action", "confirm"),
    [
        pytest.param(CALL, None, id="a-preview"),
        pytest.param(RELEASE, "+14155551235", id="another-proof"),
        pytest.param(replace(CALL, is_free=True), True, id="free"),
        pytest.param(replace(CALL, to_number="+442079460000"), True, id="forbidden"),
    ],
)
async def test_nobody_is_asked_for_what_the_gate_would_not_do(
    handle: LedgerHandle, gate: Gate, action: Action, confirm: Any
) -> None:
    """What stands against it is told when it is carried out, and written down then."""
    asking = Gate(replace(gate.policy, requires_human_approval=True), gate._reconciler)
    assert await asking.confirmation_request(action, confirm, repeat=False, is_answering=False) is None
    assert handle.open().entries() == []


@pytest.mark.parametrize(
    ("failure", "times"),
    [
        pytest.param(Conflict(LINE, "in use", status=409), 2, id="refused-by-the-api"),
        pytest.param(Unreachable(LINE, "no connection"), 2, id="never-sent"),
        pytest.param(OutcomeUnknown(LINE, "timed out"), 1, id="lost"),
        pytest.param(RuntimeError("a bug"), 1, id="bug"),
    ],
)
async def test_only_what_did_not_happen_is_done_at_the_next_try(
    writing, gate: Gate, failure: Exception, times: int
) -> None:
    """An unresolved outcome is told instead."""
    write = writing(failure)
    for _ in range(2):
        with suppress(type(failure)):
            await gate.execute(CALL, True, write)
    assert write.times == times


async def test_a_done_action_is_replayed_with_its_result(gate: Gate, write) -> None:
    """And done again where that is wanted."""
    first = await gate.execute(CALL, True, write)
    again = await gate.execute(CALL, True, write)
    assert (again.status, again.replayed) == ("done", True)
    assert again.model_dump()["result"] == first.model_dump(exclude_none=True)["result"]
    assert write.times == 1
    assert (await gate.execute(CALL, True, write, repeat=True)).replayed is None
    assert write.times == 2


async def test_a_preview_tells_of_what_was_just_done(gate: Gate, write) -> None:
    """The user is asked in full knowledge."""
    await gate.execute(CALL, True, write)
    preview = await gate.execute(CALL, None, write)
    assert preview.status == "needs_confirmation"
    assert "was done" in (preview.next_step or "")
    assert write.times == 1


async def test_what_destroys_is_never_replayed(gate: Gate, write) -> None:
    """A number that was bought back can be released again."""
    for _ in range(2):
        assert (await gate.execute(RELEASE, RELEASE.confirmation, write)).status == "done"
    assert write.times == 2


async def test_a_action_that_is_free_needs_no_yes_and_no_ledger(
    writing, gate: Gate, handle: LedgerHandle, write
) -> None:
    """It is no matter of the gate."""
    free = replace(CALL, is_free=True)
    assert (await gate.execute(free, None, write)).status == "done"
    lost = await gate.execute(free, None, writing(OutcomeUnknown(LINE, "timed out")))
    assert lost.status == "unknown"
    assert handle.open().entries() == []


@pytest.fixture
def no_folder(state: Path) -> None:
    """Something is where the ledger's folder should be."""
    state.write_text("no folder")


@pytest.mark.usefixtures("no_folder")
async def test_without_a_ledger_nothing_is_done(gate: Gate, write) -> None:
    """A preview is given all the same."""
    assert (await gate.execute(CALL, None, write)).status == "needs_confirmation"
    with pytest.raises(Refused, match="cannot be written"):
        await gate.execute(CALL, True, write)
    assert write.times == 0


async def test_a_ledger_that_breaks_in_between_hides_no_answer(gate: Gate, handle: LedgerHandle, write) -> None:
    """What was done is told, and written down as soon as that can be done."""

    async def do() -> Acknowledgement:
        sa.event.listen(handle.open()._store._engine, "begin", broken)
        return await write()

    def broken(_: Any) -> None:
        raise sa.exc.OperationalError("BEGIN", None, OSError("disk full"))

    assert (await gate.execute(CALL, True, do)).status == "done"
    sa.event.remove(handle.open()._store._engine, "begin", broken)
    assert [row.outcome for row in handle.open().entries()] == ["pending"]
    await gate._reconciler.reconcile_all()
    assert [row.outcome for row in handle.open().entries()] == ["done"]


async def test_who_gives_up_before_it_is_sent_can_try_again(gate: Gate, handle: LedgerHandle, write) -> None:
    """The reservation was made, and nothing else."""
    with CancelScope() as scope:
        handle.after_next = scope.cancel
        await gate.execute(CALL, True, write)
    assert scope.cancelled_caught
    assert write.times == 0
    assert [row.outcome for row in handle.open().entries()] == ["failed"]
    assert (await gate.execute(CALL, True, write)).status == "done"
    assert write.times == 1
