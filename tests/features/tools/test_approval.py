"""Do nothing without a person's yes if AGENTPHONE_APPROVAL=human, whichever protocol the host speaks."""

from collections.abc import Callable
from typing import Any

import pytest
from mcp_types import ElicitResult, ErrorData

from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.policy.limits import Limits

URL, OTHER_URL = "https://example.com/hook", "https://example.org/hook"
CALL = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "prompt": "Confirm the visit.", "confirm": True}
BUY = {"area_code": "212", "confirm": True}
TEXT = {"agent_id": "agt_frontdesk", "to_number": "+14155559999", "body": "See you.", "confirm": True}
GATED = {
    "buy_number": (BUY, "POST /v1/numbers", ["area code 212", "$3.00"]),
    "place_call": (CALL, "POST /v1/calls", ["+14155559999", "+14155550100", "'Front Desk'", "$0.22", "local time"]),
    "create_web_call": (
        {"agent_id": "agt_frontdesk", "confirm": True},
        "POST /v1/calls/web",
        ["'Front Desk'", "$0.22"],
    ),
    "send_message": (
        TEXT,
        "POST /v1/messages",
        ["+14155559999", "'Front Desk'", "See you.", "$0.02", "local time"],
    ),
    "release_number": (
        {"number_id": "num_frontdesk", "confirm": "+14155550100"},
        "DELETE /v1/numbers/num_frontdesk",
        ["+14155550100", "cannot be reclaimed"],
    ),
    "delete_agent": (
        {"agent_id": "agt_frontdesk", "confirm": "Front Desk"},
        "DELETE /v1/agents/agt_frontdesk",
        ["'Front Desk'"],
    ),
    "delete_contact": (
        {"contact_id": "con_ada", "confirm": "+14155550142"},
        "DELETE /v1/contacts/con_ada",
        ["'Ada Byron'", "+14155550142"],
    ),
    "delete_webhook": ({"confirm": URL}, "DELETE /v1/webhooks", [URL]),
    "set_webhook": ({"url": OTHER_URL, "confirm": URL}, "POST /v1/webhooks", [URL, OTHER_URL]),
}
EACH = pytest.mark.parametrize("tool", GATED)


async def with_its_webhook(ai: Any, tool: str, sandbox: Any) -> None:
    """Set what the tool would replace or delete; a first webhook replaces nothing and needs no approval."""
    if tool.endswith("_webhook"):
        await ai.ask("set_webhook", url=URL)
        sandbox.requests.clear()


def last_of(ledger: Callable[[], list[Entry]], tool: str) -> Entry:
    """Return the one row of a tool, besides that of the first webhook."""
    *first, row = ledger()
    assert [entry.approved_how for entry in first] == ["not needed"] * tool.endswith("_webhook")
    return row


@EACH
async def test_a_yes_is_carried_out_once_and_says_whose_it_was(
    assistant, sandbox, writes, person, ledger, tool: str, mode: str
) -> None:
    arguments, write, named = GATED[tool]
    user = person()
    async with assistant(mode=mode, asks=user, requires_human_approval=True) as ai:
        await with_its_webhook(ai, tool, sandbox)
        result = await ai.ask(tool, **arguments)
    assert result["status"] == "done"
    assert writes() == [write]
    [question] = user.questions
    assert all(name in question for name in named), question
    row = last_of(ledger, tool)
    assert (row.tool, row.outcome, row.approved_by, row.approved_how) == (tool, "done", "Test Host 4.2", "person")
    assert question == f"Allow this (no. {row.id})? {row.summary}"


NO = {"not-allowed": ("accept", {"allow": False}), "declined": ("decline", {})}
NO_ANSWER = {
    "cancelled": ("cancel", {}),
    "text-for-a-yes": ("accept", {"allow": "true"}),
    "one-for-a-yes": ("accept", {"allow": 1}),
    "another-field": ("accept", {"approve": True}),
    "a-list": ("accept", {"allow": ["true"]}),
}


@EACH
@pytest.mark.parametrize(("action", "content"), NO.values(), ids=NO.keys())
async def test_a_no_is_refused_and_recorded(
    assistant, sandbox, writes, person, ledger, tool: str, mode: str, action: str, content: Any
) -> None:
    async with assistant(mode=mode, asks=person(action, **content), requires_human_approval=True) as ai:
        await with_its_webhook(ai, tool, sandbox)
        message = await ai.refused(tool, **GATED[tool][0])
    assert writes() == []
    assert message.startswith("Nothing was done: your user was asked and said no")
    row = last_of(ledger, tool)
    assert (row.tool, row.outcome, row.reason) == (tool, "refused", message)


@pytest.mark.parametrize("tool", ["place_call", "release_number"])
@pytest.mark.parametrize(("action", "content"), NO_ANSWER.values(), ids=NO_ANSWER.keys())
async def test_anything_but_a_yes_is_none(
    assistant, writes, person, ledger, tool: str, mode: str, action: str, content: Any
) -> None:
    """A closed window is no yes, nor is an answer of another shape than the form."""
    async with assistant(mode=mode, asks=person(action, **content), requires_human_approval=True) as ai:
        message = await ai.refused(tool, **GATED[tool][0])
    assert writes() == []
    assert message.startswith("Nothing was done: your user was asked and closed the question")
    assert [(row.outcome, row.reason) for row in ledger()] == [("refused", message)]


async def test_a_form_sent_back_empty_is_no_yes(assistant, writes, person, ledger, mode: str) -> None:
    empty = person("accept")
    empty._answer.content = None
    async with assistant(mode=mode, asks=empty, requires_human_approval=True) as ai:
        message = await ai.refused("place_call", **CALL)
    assert (writes(), message.startswith("Nothing was done: your user was asked")) == ([], True)
    assert [row.reason for row in ledger()] == [message]


@EACH
async def test_a_host_that_cannot_ask_is_refused(assistant, sandbox, writes, ledger, tool: str, mode: str) -> None:
    async with assistant(mode=mode, requires_human_approval=True) as ai:
        await with_its_webhook(ai, tool, sandbox)
        message = await ai.refused(tool, **GATED[tool][0])
    assert writes() == []
    assert "this host cannot ask its user" in message
    row = last_of(ledger, tool)
    assert (row.outcome, row.reason) == ("refused", message)


async def test_a_host_that_fails_to_ask_is_refused(assistant, writes, person, ledger) -> None:
    failing = person()
    failing._answer = ErrorData(code=-32603, message="no window")
    async with assistant(mode="legacy", asks=failing, requires_human_approval=True) as ai:
        message = await ai.refused("place_call", **CALL)
    assert (writes(), "this host cannot ask its user" in message) == ([], True)
    assert [row.reason for row in ledger()] == [message]


async def test_whoever_does_not_answer_in_time_is_not_taken_to_agree(assistant, writes, nobody, ledger) -> None:
    """In the older protocol the call waits until its timeout."""
    async with assistant(mode="legacy", asks=nobody, requires_human_approval=True, approval_timeout=0.05) as ai:
        message = await ai.refused("place_call", **CALL)
    assert len(nobody.questions) == 1
    assert (writes(), "did not answer in time" in message) == ([], True)
    [row] = ledger()
    assert (row.outcome, row.reason) == ("refused", message)


async def test_nobody_is_asked_for_what_would_not_be_done(assistant, sandbox, person, writes, mode: str) -> None:
    user = person()
    limits = Limits.parse("numbers=1/day")
    async with assistant(mode=mode, asks=user, requires_human_approval=True, limits=limits) as ai:
        assert (await ai.ask("set_webhook", url=URL))["status"] == "done"
        assert (await ai.ask("buy_number", area_code="212"))["status"] == "needs_confirmation"
        assert (await ai.ask("buy_number", area_code="212", confirm=False))["status"] == "needs_confirmation"
        await ai.refused("release_number", number_id="num_frontdesk", confirm="+14155550142")
        await ai.refused("delete_agent", agent_id="agt_frontdesk", confirm="Front")
        assert "AGENTPHONE_ALLOWED_COUNTRIES" in await ai.refused("place_call", **CALL | {"to_number": "+442079460000"})
        assert user.questions == []
        assert (await ai.ask("buy_number", **BUY))["status"] == "done"
        assert (await ai.ask("buy_number", **BUY))["replayed"] is True
        assert "the limit numbers=1/day is reached" in await ai.refused("buy_number", **BUY | {"area_code": "415"})
    assert len(user.questions) == 1
    assert writes() == ["POST /v1/webhooks", "POST /v1/numbers"]


async def test_two_approvals_are_two_actions_only_with_repeat(assistant, writes, person, mode: str) -> None:
    user = person()
    async with assistant(mode=mode, asks=user, requires_human_approval=True) as ai:
        await ai.ask("send_message", **TEXT)
        again = await ai.ask("send_message", **TEXT, repeat=True)
    assert "replayed" not in again
    assert (len(user.questions), len(writes())) == (2, 2)


async def test_a_no_can_be_followed_by_a_yes(assistant, writes, person, ledger, mode: str) -> None:
    user = person("decline")
    async with assistant(mode=mode, asks=user, requires_human_approval=True) as ai:
        await ai.refused("buy_number", **BUY)
        user._answer = person()._answer
        assert (await ai.ask("buy_number", **BUY))["status"] == "done"
    assert len(writes()) == 1
    assert [row.outcome for row in ledger()] == ["refused", "done"]


async def test_without_that_setting_nobody_is_asked(assistant, person, ledger) -> None:
    user = person("decline")
    async with assistant(asks=user) as ai:
        assert (await ai.ask("buy_number", **BUY))["status"] == "done"
    assert user.questions == []
    [row] = ledger()
    assert (row.approved_by, row.approved_how) == ("Test Host 4.2", "confirm")


class Thinking:
    """Say yes, after something happened while the person was thinking."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    async def __call__(self, _: Any, question: Any) -> ElicitResult:
        """Answer a question."""
        self._meanwhile()
        return ElicitResult(action="accept", content={"allow": True})


@pytest.mark.parametrize("tool", ["delete_webhook", "delete_agent", "place_call"])
async def test_a_yes_is_to_what_was_shown(assistant, sandbox, writes, ledger, tool: str, mode: str) -> None:
    """Minutes may have passed, in which another thing got the same name."""

    def meanwhile() -> None:
        account = sandbox.context.account
        settings = account.agents["agt_frontdesk"].settings
        match tool:
            case "delete_webhook":
                account.webhook.url = OTHER_URL
            case "delete_agent":
                settings["name"] = "Payroll"
            case _:
                settings["beginMessage"] = "You owe us money."

    arguments = GATED[tool][0] | ({"prompt": None} if tool == "place_call" else {})
    async with assistant(mode=mode, asks=Thinking(meanwhile), requires_human_approval=True) as ai:
        await with_its_webhook(ai, tool, sandbox)
        message = await ai.refused(tool, **arguments)
    assert "Nothing was done" in message
    assert writes() == []
    assert {row.outcome for row in ledger() if row.approved_how != "not needed"} <= {"failed", "refused"}
