"""The gate writes down each action, and does not do it again because it was written down."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from anyio import CancelScope
from pydantic import BaseModel

from agentphone_mcp.api.errors import Conflict, OutcomeUnknown, Unreachable
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.api.provenance import IdText, WordText
from agentphone_mcp.api.redaction import Secret
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from tests.policy.conftest import CALL, LINE, RELEASE


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
    failing_write, gate: Gate, handle: LedgerHandle, failure: Exception, outcome: str
) -> None:
    with suppress(type(failure)):
        await gate.execute(CALL, True, failing_write(failure))
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
    failing_write, gate: Gate, handle: LedgerHandle, failure: Exception, reason: str
) -> None:
    with suppress(type(failure)):
        await gate.execute(CALL, True, failing_write(failure))
    [row] = handle.open().entries()
    assert reason in (row.reason or "")


class Answer(BaseModel):
    """An answer of the API."""

    id: IdText | None = None
    call_id: IdText | None = None
    secret: Secret | None = None
    status: WordText = "ringing"


@pytest.mark.parametrize(
    ("answer", "ids", "is_kept", "named"),
    [
        pytest.param(Answer(id="call_1"), {"id": "call_1"}, True, False, id="all"),
        pytest.param(Answer(call_id="call_1", secret="s"), {"call_id": "call_1"}, False, True, id="a-secret"),
        pytest.param(Answer(secret="s"), None, False, False, id="a-secret-without-an-id"),
    ],
)
async def test_a_replay_names_the_ids_where_the_result_was_not_kept(
    gate: Gate, handle: LedgerHandle, answer: Answer, ids: Any, is_kept: bool, named: bool
) -> None:
    async def do() -> Answer:
        return answer

    await gate.execute(CALL, True, do)
    [row] = handle.open().entries()
    assert (row.ids, row.result is not None) == (ids, is_kept)
    again = await gate.execute(CALL, True, do)
    assert (again.replayed, again.result is not None) == (True, is_kept)
    assert (again.next_step or "").startswith("It has the id call_1. This was done" if named else "This was done")


async def test_a_preview_says_what_is_pending(gate: Gate, write) -> None:
    next_steps: list[str | None] = []

    async def do() -> Acknowledgement:
        next_steps.append((await gate.execute(CALL, None, write)).next_step)
        return await write()

    await gate.execute(CALL, True, do)
    [step] = next_steps
    assert "still under way" in (step or "")
    assert "Ask your user" in (step or "")


@pytest.mark.parametrize(
    ("action", "confirm"),
    [
        pytest.param(CALL, None, id="a-preview"),
        pytest.param(RELEASE, "+14155551235", id="another-confirmation"),
        pytest.param(replace(CALL, is_free=True), True, id="free"),
        pytest.param(replace(CALL, to_number="+442079460000"), True, id="forbidden"),
    ],
)
async def test_a_person_is_not_asked_for_what_the_gate_would_refuse(
    handle: LedgerHandle, gate: Gate, action: Action, confirm: Any
) -> None:
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
    failing_write, gate: Gate, failure: Exception, times: int
) -> None:
    write = failing_write(failure)
    for _ in range(2):
        with suppress(type(failure)):
            await gate.execute(CALL, True, write)
    assert write.times == times


async def test_a_done_action_is_replayed_with_its_result(gate: Gate, write) -> None:
    first = await gate.execute(CALL, True, write)
    again = await gate.execute(CALL, True, write)
    assert (again.status, again.replayed) == ("done", True)
    assert first.result.message == "done"
    assert again.model_dump()["result"] == {"success": True}, "what the API wrote is not kept"
    assert write.times == 1
    assert (await gate.execute(CALL, True, write, repeat=True)).replayed is None
    assert write.times == 2


async def test_a_preview_says_what_was_just_done(gate: Gate, write) -> None:
    await gate.execute(CALL, True, write)
    preview = await gate.execute(CALL, None, write)
    assert preview.status == "needs_confirmation"
    assert "was done" in (preview.next_step or "")
    assert write.times == 1


async def test_what_destroys_is_never_replayed(gate: Gate, write) -> None:
    """A number that was released and bought back can be released again."""
    for _ in range(2):
        assert (await gate.execute(RELEASE, RELEASE.confirmation, write)).status == "done"
    assert write.times == 2


async def test_an_action_that_is_free_needs_no_yes_and_no_ledger(
    failing_write, gate: Gate, handle: LedgerHandle, write
) -> None:
    free = replace(CALL, is_free=True)
    assert (await gate.execute(free, None, write)).status == "done"
    assert (await gate.execute(free, None, failing_write(OutcomeUnknown(LINE, "timed out")))).status == "unknown"
    assert handle.open().entries() == []


@pytest.fixture
def no_folder(state: Path) -> None:
    """Put a file where the ledger's folder should be."""
    state.write_text("no folder")


@pytest.mark.usefixtures("no_folder")
async def test_without_a_ledger_nothing_is_done(gate: Gate, write) -> None:
    assert (await gate.execute(CALL, None, write)).status == "needs_confirmation"
    with pytest.raises(Refused, match="cannot be written"):
        await gate.execute(CALL, True, write)
    assert write.times == 0


async def test_a_ledger_that_breaks_in_between_hides_no_answer(gate: Gate, handle: LedgerHandle, write) -> None:
    async def do() -> Acknowledgement:
        sa.event.listen(handle.open()._store._engine, "begin", fail)
        return await write()

    def fail(_: Any) -> None:
        raise sa.exc.OperationalError("BEGIN", None, OSError("disk full"))

    assert (await gate.execute(CALL, True, do)).status == "done"
    sa.event.remove(handle.open()._store._engine, "begin", fail)
    assert [row.outcome for row in handle.open().entries()] == ["pending"]
    await gate._reconciler.reconcile_all()
    assert [row.outcome for row in handle.open().entries()] == ["done"]


async def test_an_action_that_is_cancelled_before_it_is_sent_can_be_tried_again(
    gate: Gate, handle: LedgerHandle, write
) -> None:
    with CancelScope() as scope:
        handle.after_next = scope.cancel
        await gate.execute(CALL, True, write)
    assert scope.cancelled_caught
    assert write.times == 0
    assert [row.outcome for row in handle.open().entries()] == ["failed"]
    assert (await gate.execute(CALL, True, write)).status == "done"
    assert write.times == 1
