"""No write without exactly the confirmation that the deed asks for."""

import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from anyio import CancelScope

from agentphone_mcp.api.errors import (
    ApiError,
    Conflict,
    KeyMissing,
    NotFound,
    OutcomeUnknown,
    RequestLine,
    ServerError,
    Unreachable,
)
from agentphone_mcp.api.models import Done
from agentphone_mcp.guard.books import Books
from agentphone_mcp.guard.deeds import Deed
from agentphone_mcp.guard.destinations import Destinations
from agentphone_mcp.guard.gate import Gate
from agentphone_mcp.guard.limits import Limits
from agentphone_mcp.guard.refused import Refused
from agentphone_mcp.guard.reservations import Rules
from agentphone_mcp.guard.settling import Settler

LINE = RequestLine("DELETE", "/v1/numbers/{number_id}", {"number_id": "pn_1"})
CALL = Deed("Call +14155559999 from +14155551234.", look_up="list_calls", then="wait_for_call follows it.")
RELEASE = Deed("Release +14155551234 for good.", look_up="list_numbers", proof="+14155551234")
BOTH = pytest.mark.parametrize("deed", [pytest.param(CALL, id="spends"), pytest.param(RELEASE, id="destroys")])


class Write:
    """A write that counts how often it was done, and then answers or fails as told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.times = 0
        self._failure = failure

    async def __call__(self) -> Done:
        """Do it."""
        self.times += 1
        if self._failure:
            raise self._failure
        return Done(message="done")


@pytest.fixture
def write() -> Write:
    """A write that works."""
    return Write()


class InterruptedBooks(Books):
    """A ledger after whose next answer something happens."""

    after_next: Callable[[], object] | None = None

    async def ask(self, what: Any) -> Any:
        """Read or write, and then let it happen."""
        told = await super().ask(what)
        if self.after_next:
            self.after_next()
            self.after_next = None
        return told


@pytest.fixture
def books(state: Path) -> Generator[InterruptedBooks]:
    """A ledger of the test's own."""
    books = InterruptedBooks(str(state))
    yield books
    books.close()


@pytest.fixture
def gate(books: Books) -> Gate:
    """A gate with that ledger, whose look-ups find nothing."""

    async def nothing(*_: Any) -> None:
        return None

    return Gate(Rules(Limits.parse(""), Destinations()), Settler("account", books, nothing, nothing))


@BOTH
@pytest.mark.parametrize("confirm", [pytest.param(None, id="none"), pytest.param(False, id="false")])
async def test_without_a_confirmation_it_is_only_explained(gate: Gate, deed: Deed, confirm: Any, write: Write) -> None:
    """Nothing is done; the outcome says what would be, and how to confirm it."""
    outcome = await gate.carry_out(deed, confirm, write)
    assert write.times == 0
    assert (outcome.status, outcome.what, outcome.result) == ("needs_confirmation", deed.what, None)
    assert outcome.next_step
    assert "Ask your user" in outcome.next_step
    value = json.dumps(deed.proof) if deed.proof else "true"
    assert f"confirm={value}" in outcome.next_step


@pytest.mark.parametrize(
    ("deed", "confirm"), [pytest.param(CALL, True, id="spends"), pytest.param(RELEASE, "+14155551234", id="destroys")]
)
async def test_with_its_confirmation_it_is_done_once(gate: Gate, deed: Deed, confirm: Any, write: Write) -> None:
    """The outcome has the result and says what to do next."""
    outcome = await gate.carry_out(deed, confirm, write)
    assert write.times == 1
    assert (outcome.status, outcome.what, outcome.next_step) == ("done", deed.what, deed.then)
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
    "without-plus": "14155551234",
    "with-spaces": "+1 415 555 1234",
    "trailing-space": "+14155551234 ",
    "trailing-newline": "+14155551234\n",
    "fullwidth": "＋14155551234",
    "id": "pn_1",
    "list": ["+14155551234"],
    "as-json": '"+14155551234"',
}


@pytest.mark.parametrize(
    ("deed", "confirm"),
    [
        *[pytest.param(CALL, confirm, id=f"call-{name}") for name, confirm in WRONG_FOR_A_CALL.items()],
        *[pytest.param(RELEASE, confirm, id=f"release-{name}") for name, confirm in WRONG_FOR_A_RELEASE.items()],
    ],
)
async def test_anything_but_the_exact_confirmation_is_refused(
    gate: Gate, deed: Deed, confirm: Any, write: Write
) -> None:
    """Nothing was done, and the refusal says what it would take."""
    with pytest.raises(Refused) as refused:
        await gate.carry_out(deed, confirm, write)
    assert write.times == 0
    assert "Nothing was done" in str(refused.value)
    assert deed.what in str(refused.value)


async def test_an_empty_proof_confirms_nothing(gate: Gate, write: Write) -> None:
    """A thing without a name cannot be confirmed by repeating no name."""
    nameless = Deed("Delete the agent ''.", look_up="list_agents", proof="")
    with pytest.raises(Refused):
        await gate.carry_out(nameless, "", write)
    assert write.times == 0


@pytest.mark.parametrize(
    "proof",
    [
        pytest.param('Ada\'s "best" agent', id="quotes"),
        pytest.param("Zahnärztin 🦷", id="unicode"),
        pytest.param("two\nlines", id="newline"),
        pytest.param("true", id="the-word-true"),
    ],
)
async def test_an_odd_proof_is_asked_for_as_json_and_then_accepted(gate: Gate, proof: str, write: Write) -> None:
    """What the next step asks for is what confirms."""
    deed = Deed("Delete it.", look_up="list_agents", proof=proof)
    asked = (await gate.carry_out(deed, None, write)).next_step or ""
    wanted = json.loads(asked.partition("confirm=")[2].removesuffix("."))
    assert wanted == proof
    assert (await gate.carry_out(deed, wanted, write)).status == "done"


@pytest.mark.parametrize(
    ("lost", "said"),
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
async def test_a_lost_answer_is_reported_as_unknown(gate: Gate, deed: Deed, lost: OutcomeUnknown, said: str) -> None:
    """It was done once at most, and the next step names the tool that shows whether."""
    write = Write(lost)
    outcome = await gate.carry_out(deed, deed.proof or True, write)
    assert write.times == 1
    assert (outcome.status, outcome.what, outcome.result) == ("unknown", deed.what, None)
    assert outcome.next_step
    assert said in outcome.next_step
    assert deed.look_up in outcome.next_step


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
async def test_another_failure_is_passed_on(gate: Gate, failure: Exception) -> None:
    """The API said no, or nothing was sent: that is no unknown outcome."""
    write = Write(failure)
    with pytest.raises(type(failure)) as raised:
        await gate.carry_out(CALL, True, write)
    assert raised.value is failure
    assert write.times == 1


def test_a_refusal_is_no_error_of_the_api() -> None:
    """It is ours, and it never left this machine."""
    assert not issubclass(Refused, ApiError)


async def test_the_gate_takes_any_async_function(gate: Gate) -> None:
    """A lambda that gives a coroutine is what the tools pass."""

    async def release(number_id: str) -> Done:
        return Done(message=number_id)

    do: Callable[[], Awaitable[Done]] = lambda: release("pn_1")  # noqa: E731 - as the tools do
    outcome = await gate.carry_out(RELEASE, RELEASE.proof, do)
    assert outcome.result
    assert outcome.result.message == "pn_1"


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
async def test_what_came_of_it_is_written_down(gate: Gate, books: Books, failure: Exception, outcome: str) -> None:
    """Of a bug of ours nobody knows when it struck."""
    with suppress(type(failure)):
        await gate.carry_out(CALL, True, Write(failure))
    assert [row.outcome for row in books.open().entries()] == [outcome]


@pytest.mark.parametrize(
    ("failure", "times"),
    [
        pytest.param(Conflict(LINE, "in use", status=409), 2, id="refused-by-the-api"),
        pytest.param(Unreachable(LINE, "no connection"), 2, id="never-sent"),
        pytest.param(OutcomeUnknown(LINE, "timed out"), 1, id="lost"),
        pytest.param(RuntimeError("a bug"), 1, id="bug"),
    ],
)
async def test_only_what_did_not_happen_is_done_at_the_next_try(gate: Gate, failure: Exception, times: int) -> None:
    """A doubt is told instead."""
    write = Write(failure)
    for _ in range(2):
        with suppress(type(failure)):
            await gate.carry_out(CALL, True, write)
    assert write.times == times


async def test_a_done_deed_is_replayed_with_its_result(gate: Gate, write: Write) -> None:
    """And done again where that is wanted."""
    first = await gate.carry_out(CALL, True, write)
    again = await gate.carry_out(CALL, True, write)
    assert (again.status, again.replayed) == ("done", True)
    assert again.model_dump()["result"] == first.model_dump(exclude_none=True)["result"]
    assert write.times == 1
    assert (await gate.carry_out(CALL, True, write, repeat=True)).replayed is None
    assert write.times == 2


async def test_a_preview_tells_of_what_was_just_done(gate: Gate, write: Write) -> None:
    """The user is asked in full knowledge."""
    await gate.carry_out(CALL, True, write)
    preview = await gate.carry_out(CALL, None, write)
    assert preview.status == "needs_confirmation"
    assert "was done" in (preview.next_step or "")
    assert write.times == 1


async def test_what_destroys_is_never_replayed(gate: Gate, write: Write) -> None:
    """A number that was bought back can be released again."""
    for _ in range(2):
        assert (await gate.carry_out(RELEASE, RELEASE.proof, write)).status == "done"
    assert write.times == 2


async def test_a_deed_that_is_free_needs_no_yes_and_no_ledger(gate: Gate, books: Books, write: Write) -> None:
    """It is no matter of the gate."""
    free = replace(CALL, is_free=True)
    assert (await gate.carry_out(free, None, write)).status == "done"
    lost = await gate.carry_out(free, None, Write(OutcomeUnknown(LINE, "timed out")))
    assert lost.status == "unknown"
    assert books.open().entries() == []


@pytest.fixture
def no_folder(state: Path) -> None:
    """Something is where the ledger's folder should be."""
    state.write_text("no folder")


@pytest.mark.usefixtures("no_folder")
async def test_without_a_ledger_nothing_is_done(gate: Gate, write: Write) -> None:
    """A preview is given all the same."""
    assert (await gate.carry_out(CALL, None, write)).status == "needs_confirmation"
    with pytest.raises(Refused, match="cannot be written"):
        await gate.carry_out(CALL, True, write)
    assert write.times == 0


async def test_a_ledger_that_breaks_in_between_hides_no_answer(gate: Gate, books: Books, write: Write) -> None:
    """What was done is told; the row is in doubt later."""

    async def do() -> Done:
        sa.event.listen(books.open()._store._engine, "begin", broken)
        return await write()

    def broken(_: Any) -> None:
        raise sa.exc.OperationalError("BEGIN", None, OSError("disk full"))

    assert (await gate.carry_out(CALL, True, do)).status == "done"
    sa.event.remove(books.open()._store._engine, "begin", broken)
    assert [row.outcome for row in books.open().entries()] == ["pending"]


async def test_who_gives_up_before_it_is_sent_can_try_again(gate: Gate, books: Books, write: Write) -> None:
    """The reservation was made, and nothing else."""
    with CancelScope() as scope:
        books.after_next = scope.cancel
        await gate.carry_out(CALL, True, write)
    assert scope.cancelled_caught
    assert write.times == 0
    assert [row.outcome for row in books.open().entries()] == ["failed"]
    assert (await gate.carry_out(CALL, True, write)).status == "done"
    assert write.times == 1
