"""The gate writes nothing without exactly the confirmation that the action asks for."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentphone_mcp.api.errors import (
    ApiError,
    Conflict,
    KeyMissing,
    NotFound,
    OutcomeUnknown,
    ServerError,
    Unreachable,
)
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.untrusted import without_marks
from tests.policy.conftest import CALL, LINE, RELEASE

BOTH = pytest.mark.parametrize("action", [pytest.param(CALL, id="spends"), pytest.param(RELEASE, id="destroys")])


@BOTH
@pytest.mark.parametrize("confirm", [pytest.param(None, id="none"), pytest.param(False, id="false")])
async def test_without_a_confirmation_it_is_only_explained(
    failing_write, gate: Gate, action: Action, confirm: Any, write
) -> None:
    outcome = await gate.execute(action, confirm, write)
    assert write.times == 0
    assert (outcome.status, outcome.what, outcome.result) == ("needs_confirmation", action.summary, None)
    assert outcome.next_step
    assert "Ask your user" in outcome.next_step
    value = json.dumps(action.confirmation) if action.confirmation else "true"
    assert f"confirm={value}" in outcome.next_step


@pytest.mark.parametrize(
    ("action", "confirm"), [pytest.param(CALL, True, id="spends"), pytest.param(RELEASE, "+14155551234", id="destroys")]
)
async def test_with_its_confirmation_it_is_done_once(gate: Gate, action: Action, confirm: Any, write) -> None:
    outcome = await gate.execute(action, confirm, write)
    assert write.times == 1
    assert (outcome.status, outcome.what, outcome.next_step) == ("done", action.summary, action.next_step)
    assert outcome.model_dump()["result"]["message"] == "done"


WRONG_FOR_A_CALL = {
    "one": 1,
    "one-point": 1.0,
    "zero": 0,
    "true-in-words": "true",
    "True-in-words": "True",
    "yes": "yes",
    "empty-text": "",
    "the-number": "+14155559999",
    "list": [True],
    "object": {"confirm": True},
}
WRONG_FOR_A_RELEASE = {
    "true": True,
    "one": 1,
    "true-in-words": "true",
    "yes": "yes",
    "empty-text": "",
    "another-number": "+14155551235",
    "beginning": "+1415555123",
    "in-a-sentence": "NO, do not release +14155551234",
    "twice": "+14155551234 +14155551234",
    "id": "pn_1",
    "list": ["+14155551234"],
    "as-json": '"+14155551234"',
}


@pytest.mark.parametrize(
    ("action", "confirm"),
    [
        *[pytest.param(CALL, confirm, id=f"call-{name}") for name, confirm in WRONG_FOR_A_CALL.items()],
        *[pytest.param(RELEASE, confirm, id=f"release-{name}") for name, confirm in WRONG_FOR_A_RELEASE.items()],
    ],
)
async def test_anything_but_the_exact_confirmation_is_refused(gate: Gate, action: Action, confirm: Any, write) -> None:
    with pytest.raises(Refused) as refused:
        await gate.execute(action, confirm, write)
    assert write.times == 0
    assert "Nothing was done" in str(refused.value)
    assert action.summary in str(refused.value)


async def test_an_empty_confirmation_confirms_nothing(gate: Gate, write) -> None:
    nameless = Action("Delete the agent ''.", verify_with="list_agents", confirmation="")
    with pytest.raises(Refused):
        await gate.execute(nameless, "", write)
    assert write.times == 0


@pytest.mark.parametrize(
    "confirmation",
    [
        pytest.param('Ada\'s "best" agent', id="quotes"),
        pytest.param("Zahnärztin 🦷", id="unicode"),
        pytest.param("two\nlines", id="newline"),
        pytest.param("true", id="the-word-true"),
    ],
)
async def test_an_odd_confirmation_is_asked_for_as_json_and_then_accepted(gate: Gate, confirmation: str, write) -> None:
    action = Action("Delete it.", verify_with="list_agents", confirmation=confirmation)
    next_step = (await gate.execute(action, None, write)).next_step or ""
    confirm = json.loads(next_step.partition("confirm=")[2].removesuffix("."))
    assert confirm == confirmation
    assert (await gate.execute(action, confirm, write)).status == "done"


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        pytest.param(OutcomeUnknown(LINE, "timed out"), "timed out", id="time-out"),
        pytest.param(OutcomeUnknown(LINE, "Bad gateway", status=502), "502 Bad gateway", id="server-error"),
        pytest.param(OutcomeUnknown(LINE, "", status=502), "502", id="nothing-said"),
        pytest.param(
            OutcomeUnknown(LINE, "Not confirmed.", status=409, code="DELIVERY_UNCONFIRMED"), "409", id="unconfirmed"
        ),
    ],
)
@BOTH
async def test_a_lost_answer_is_reported_as_unknown(
    failing_write, gate: Gate, action: Action, exc: OutcomeUnknown, text: str
) -> None:
    write = failing_write(exc)
    outcome = await gate.execute(action, action.confirmation or True, write)
    assert write.times == 1
    assert (outcome.status, outcome.what, outcome.result) == ("unknown", action.summary, None)
    assert outcome.next_step
    assert text in without_marks(outcome.next_step)
    assert action.verify_with in outcome.next_step


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Conflict(LINE, "in use", status=409), id="conflict"),
        pytest.param(NotFound(LINE, "gone", status=404), id="not-found"),
        pytest.param(ServerError(LINE, "broken", status=500), id="server-error"),
        pytest.param(Unreachable(LINE, "no connection"), id="unreachable"),
        pytest.param(KeyMissing(LINE), id="no-key"),
        pytest.param(RuntimeError("a bug"), id="bug"),
    ],
)
async def test_another_failure_is_passed_on(failing_write, gate: Gate, failure: Exception) -> None:
    write = failing_write(failure)
    with pytest.raises(type(failure)) as raised:
        await gate.execute(CALL, True, write)
    assert raised.value is failure
    assert write.times == 1


def test_a_refusal_is_no_error_of_the_api() -> None:
    assert not issubclass(Refused, ApiError)


async def test_the_gate_takes_any_async_function(gate: Gate) -> None:
    """The tools pass a lambda that returns a coroutine."""

    async def release(number_id: str) -> Acknowledgement:
        return Acknowledgement(message=number_id)

    do: Callable[[], Awaitable[Acknowledgement]] = lambda: release("pn_1")  # noqa: E731 - as the tools do
    outcome = await gate.execute(RELEASE, RELEASE.confirmation, do)
    assert outcome.result
    assert outcome.result.message == "pn_1"
