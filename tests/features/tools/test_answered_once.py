"""Answer a question between two calls: a yes counts once, for what was question, and in time."""

from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult, InputRequiredResult

from agentphone_mcp.policy.destinations import Destinations

TEXT = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "body": "See you.", "confirm": True}
YES = ElicitResult(action="accept", content={"allow": True})


class Host:
    """Send the calls of a host that handles questions by hand."""

    def __init__(self, session: Any) -> None:
        self.session = session

    async def call(self, tool: str, arguments: Any, state: str | None = None, **answers: ElicitResult) -> Any:
        """Call a tool, for the first time or with answers."""
        return await self.session.call_tool(
            tool, arguments, request_state=state, input_responses=answers or None, allow_input_required=True
        )

    async def ask(self, tool: str, arguments: Any) -> InputRequiredResult:
        """Call a tool that must ask, and return its question."""
        question = await self.call(tool, arguments)
        assert isinstance(question, InputRequiredResult)
        return question

    async def answer(self, tool: str, arguments: Any, question: InputRequiredResult, answer: ElicitResult = YES) -> Any:
        """Repeat the call with an answer to its one question."""
        [key] = question.input_requests
        return await self.call(tool, arguments, question.request_state, **{key: answer})


def text_of(question: InputRequiredResult) -> str:
    """Return the text that the person reads."""
    [request] = question.input_requests.values()
    return request.params.message


@pytest.fixture
def hosting(connect, person):
    """Connect a client that can ask its user; settings are those of `Config`."""

    def hosting(**settings: Any) -> Any:
        return connect(asks=person(), requires_human_approval=True, **settings)

    return hosting


async def test_a_yes_is_carried_out(hosting, writes) -> None:
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        assert writes() == []
        done = await host.answer("send_message", TEXT, question)
    assert done.structured_content["status"] == "done"
    assert writes() == ["POST /v1/messages"]


async def test_a_retried_answer_is_replayed(hosting, writes) -> None:
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        first = await host.answer("send_message", TEXT, question)
        again = await host.answer("send_message", TEXT, question)
    assert again.structured_content["replayed"] is True
    assert again.structured_content["result"] == first.structured_content["result"]
    assert len(writes()) == 1


async def test_a_retried_answer_counts_once_also_with_repeat(hosting, writes, ledger) -> None:
    repeated = TEXT | {"repeat": True}
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", repeated)
        await host.answer("send_message", repeated, question)
        again = await host.answer("send_message", repeated, question)
    assert again.is_error
    assert "A yes counts once" in again.content[0].text
    assert len(writes()) == 1
    assert [row.outcome for row in ledger()] == ["done"]


async def test_two_answers_at_once_count_once(hosting, writes) -> None:
    repeated = TEXT | {"repeat": True}
    results: list[Any] = []
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", repeated)

        async def answer() -> None:
            results.append(await host.answer("send_message", repeated, question))

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(answer)
    assert len(writes()) == 1
    assert len({answer.structured_content["result"]["id"] for answer in results if not answer.is_error}) == 1


@pytest.mark.parametrize("repeat", [False, True], ids=["plain", "repeat"])
@pytest.mark.parametrize("left_open", ["before", "after"])
async def test_a_yes_answers_no_other_question_in_the_same_words(hosting, writes, left_open: str, repeat: bool) -> None:
    arguments = TEXT | {"repeat": repeat}
    async with hosting() as client:
        host = Host(client.session)
        first, second = await host.ask("send_message", arguments), await host.ask("send_message", arguments)
        question = second if left_open == "before" else first
        for _ in range(3):
            again = await host.answer("send_message", arguments, question)
            assert len(writes()) <= 1
    assert isinstance(again, InputRequiredResult) or again.is_error or again.structured_content["replayed"]


async def test_a_yes_given_after_a_no_to_the_same_question_is_none(hosting, writes) -> None:
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        await host.answer("send_message", TEXT, question, ElicitResult(action="decline"))
        again = await host.answer("send_message", TEXT, question)
    assert again.is_error
    assert writes() == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(("send_message", TEXT | {"body": "Pay now."}), id="another-text"),
        pytest.param(("send_message", TEXT | {"to_number": "+14155559998"}), id="another-person"),
        pytest.param(("send_message", TEXT | {"repeat": True}), id="repeat"),
        pytest.param(("buy_number", {"confirm": True}), id="another-tool"),
        pytest.param(("delete_agent", {"agent_id": "agt_frontdesk", "confirm": "Front Desk"}), id="destruction"),
    ],
)
async def test_a_yes_to_one_action_is_none_to_another(hosting, writes, other: Any) -> None:
    """`requestState` is sealed over the tool and its arguments."""
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        with pytest.raises(MCPError, match="requestState"):
            await host.answer(*other, question)
    assert writes() == []


async def test_an_answer_without_its_question_is_asked_for_again(hosting, writes) -> None:
    async with hosting() as client:
        host = Host(client.session)
        [key] = (await host.ask("send_message", TEXT)).input_requests
        assert isinstance(await host.call("send_message", TEXT, **{key: YES}), InputRequiredResult)
    assert writes() == []


@pytest.mark.parametrize(
    "spoil", [lambda s: s[:-2], lambda s: "v1." + s[:2:-1], lambda _: "yes"], ids=["redact", "turned", "made-up"]
)
async def test_a_forged_state_is_refused(hosting, writes, spoil: Any) -> None:
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        forged = question.model_copy(update={"request_state": spoil(question.request_state)})
        with pytest.raises(MCPError, match="requestState"):
            await host.answer("send_message", TEXT, forged)
    assert writes() == []


async def test_the_state_of_another_server_is_refused(hosting, writes) -> None:
    async with hosting() as client:
        question = await Host(client.session).ask("send_message", TEXT)
    async with hosting() as client:
        with pytest.raises(MCPError, match="requestState"):
            await Host(client.session).answer("send_message", TEXT, question)
    assert writes() == []


async def test_the_question_keeps_its_words_while_the_clock_goes_on(hosting, writes, a_clock, ledger) -> None:
    """The ledger has the local time that the person read, not that of the answer."""
    async with hosting(destinations=Destinations(now=a_clock)) as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        assert "local time Fri 12:00" in text_of(question)
        a_clock.pass_(minutes=2)
        done = await host.answer("send_message", TEXT, question)
    assert done.structured_content["status"] == "done"
    assert len(writes()) == 1
    [row] = ledger()
    assert "local time Fri 12:00" in row.summary


async def test_quiet_hours_that_began_since_the_question_hold(hosting, writes, a_clock, quiet_from_one) -> None:
    async with hosting(destinations=Destinations(now=a_clock, quiet_hours=quiet_from_one)) as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        a_clock.pass_(minutes=61)
        result = await host.answer("send_message", TEXT, question)
    assert "AGENTPHONE_QUIET_HOURS" in result.content[0].text
    assert writes() == []


@pytest.mark.parametrize("minutes", [6, 60, 60 * 20], ids=["six-minutes", "an-hour", "most-of-a-day"])
async def test_an_answer_that_comes_too_late_is_refused(hosting, writes, ledger, wait, minutes: int) -> None:
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("send_message", TEXT)
        wait(minutes)
        result = await host.answer("send_message", TEXT, question)
    assert result.is_error
    assert "did not answer in time" in result.content[0].text
    assert writes() == []
    assert [row.outcome for row in ledger()] == ["refused"]
    assert ledger()[0].reason == result.content[0].text


async def test_a_yes_holds_for_the_words_that_were_read(hosting, sandbox, writes, ledger) -> None:
    """The greeting was changed after the question, which makes it another action."""
    call = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "confirm": True}
    async with hosting() as client:
        host = Host(client.session)
        question = await host.ask("place_call", call)
        await host.call("update_agent", {"agent_id": "agt_frontdesk", "begin_message": "You owe us money."})
        sandbox.requests.clear()
        result = await host.answer("place_call", call, question)
    assert result.is_error
    assert "has changed since" in result.content[0].text
    assert "You owe us money." in result.content[0].text
    assert writes() == []
    assert [row.outcome for row in ledger()] == ["refused"]
