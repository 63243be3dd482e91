"""Take calls, texts and their words away from whom they reach today only with a yes, a row, and one at a time."""

from typing import Any

import anyio
import pytest

URL, THEIRS = "https://example.com/hook", "https://elsewhere.example/hook"
DESK, LINE, NUMBER, HUMAN = "agt_frontdesk", "num_frontdesk", "+14155550100", "+14155550177"
DIVERTED = "a change of who gets calls or texts without a yes"


class Diversion:
    """Describe how something is taken from somebody: what is set up first, the call, its proof, and who is named."""

    def __init__(self, tool: str, arguments: dict[str, Any], yes: str, *named: str, first: Any = None) -> None:
        self.tool, self.arguments, self.yes, self.named, self.first = tool, arguments, yes, named, first

    async def prepare(self, ai: Any, sandbox: Any) -> None:
        """Set what is there before."""
        sandbox.context.account.agents["agt_orderline"].settings["systemPrompt"] = "Take orders."
        if self.first:
            await ai.ask("set_webhook", url=URL, **self.first)
        sandbox.requests.clear()


TO_AGENT = {"url": THEIRS, "agent_id": DESK}
MOVED = {"agent_id": "agt_orderline", "number_id": LINE}
PROJECT, AGENT = {"context_limit": 5}, {"agent_id": DESK}
DIVERSIONS = {
    "a-webhook-of-the-agents-own": Diversion("set_webhook", TO_AGENT, URL, URL, "'Front Desk'", first=PROJECT),
    "another-webhook-of-the-agent": Diversion("set_webhook", TO_AGENT, URL, URL, "'Front Desk'", first=AGENT),
    "another-webhook-of-the-project": Diversion("set_webhook", {"url": THEIRS}, URL, URL, first=PROJECT),
    "without-the-agents-webhook": Diversion("delete_webhook", AGENT, URL, "nobody gets its events", first=AGENT),
    "the-number-of-another-agent": Diversion("attach_number", MOVED, NUMBER, NUMBER, "'Front Desk'", "'Order Line'"),
    "a-number-for-nobody": Diversion("detach_number", AGENT | {"number_id": LINE}, NUMBER, "'Front Desk'", "nobody"),
    "a-human-to-transfer-to": Diversion("update_agent", AGENT | {"transfer_number": HUMAN}, "Front Desk", HUMAN),
    "webhook-mode-with-a-webhook": Diversion(
        "update_agent", AGENT | {"voice_mode": "webhook"}, "Front Desk", "the built-in AI", URL, first=PROJECT
    ),
    "webhook-mode-without-one": Diversion("update_agent", AGENT | {"voice_mode": "webhook"}, "Front Desk", "silence"),
    "the-built-in-ai-for-a-webhook": Diversion(
        "update_agent", {"agent_id": "agt_orderline", "voice_mode": "hosted"}, "Order Line", URL, first=PROJECT
    ),
    "texts-no-longer": Diversion(
        "update_agent", AGENT | {"tuning": {"enable_messaging": False}}, "Front Desk", "texts"
    ),
}
EACH = pytest.mark.parametrize("diversion", DIVERSIONS.values(), ids=DIVERSIONS.keys())


@pytest.mark.attack("5", DIVERTED)
@EACH
async def test_nothing_is_taken_from_anybody_without_a_yes(
    assistant, sandbox, writes, ledger, diversion: Diversion
) -> None:
    async with assistant() as ai:
        await diversion.prepare(ai, sandbox)
        preview = await ai.ask(diversion.tool, **diversion.arguments)
        await ai.refused(diversion.tool, **diversion.arguments, confirm="yes")
        assert writes() == []
        done = await ai.ask(diversion.tool, **diversion.arguments, confirm=diversion.yes)
    assert preview["status"] == "needs_confirmation"
    assert all(name in preview["what"] for name in diversion.named), preview["what"]
    assert (done["status"], len(writes())) == ("done", 1)
    row = ledger()[-1]
    assert (row.tool, row.outcome, row.approved_how) == (diversion.tool, "done", "confirm")
    assert row.summary == preview["what"]


@pytest.mark.attack("5", DIVERTED)
@EACH
async def test_a_person_is_asked_where_persons_are_asked(
    assistant, sandbox, writes, person, diversion: Diversion
) -> None:
    user = person("decline")
    async with assistant(asks=user, requires_human_approval=True) as ai:
        await diversion.prepare(ai, sandbox)
        await ai.refused(diversion.tool, **diversion.arguments, confirm=diversion.yes)
    [question] = user.questions
    assert all(name in question for name in diversion.named), question
    assert writes() == []


FIRST: dict[str, tuple[str, dict[str, Any]]] = {
    "the-first-webhook": ("set_webhook", {"url": URL}),
    "an-agents-first-webhook": ("set_webhook", TO_AGENT),
    "a-number-that-nobody-answers": ("attach_number", MOVED),
    "the-built-in-ai-where-nobody-answers": ("update_agent", {"agent_id": "agt_orderline", "voice_mode": "hosted"}),
    "the-mode-that-it-has": ("update_agent", AGENT | {"voice_mode": "hosted"}),
}


@pytest.mark.attack("5", "a first setting that leaves no row")
@pytest.mark.parametrize(("tool", "arguments"), FIRST.values(), ids=FIRST.keys())
async def test_a_first_setting_needs_no_yes_and_is_a_row(
    assistant, sandbox, ledger, person, tool: str, arguments: dict[str, Any]
) -> None:
    sandbox.context.account.numbers[LINE].agent_id = None
    sandbox.context.account.agents["agt_orderline"].settings["systemPrompt"] = "Take orders."
    user = person("decline")
    async with assistant(asks=user, requires_human_approval=True) as ai:
        assert (await ai.ask(tool, **arguments))["status"] == "done"
    assert user.questions == []
    [row] = ledger()
    assert (row.tool, row.outcome, row.approved_how) == (tool, "done", "not needed")


async def test_the_words_of_an_agent_are_changed_freely(assistant, sandbox, writes, ledger) -> None:
    async with assistant() as ai:
        changed = await ai.ask("update_agent", agent_id=DESK, system_prompt="Be brief.", voice="openai-nova")
    assert (changed["status"], writes(), ledger()) == ("done", [f"PATCH /v1/agents/{DESK}"], [])
    assert len(sandbox.requests) == 1


RACES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "first-webhooks": ("set_webhook", [{"url": f"https://example.com/{number}"} for number in range(5)]),
    "replaced-webhooks": (
        "set_webhook",
        [{"url": f"https://example.com/{number}", "confirm": URL} for number in range(5)],
    ),
    "the-same-webhook-again": ("set_webhook", [{"url": URL, "confirm": URL}] * 5),
    "one-free-number": ("attach_number", [{"agent_id": agent, "number_id": LINE} for agent in (DESK, "agt_orderline")]),
    "transfer-numbers": (
        "update_agent",
        [AGENT | {"transfer_number": f"+1415555017{number}", "confirm": "Front Desk"} for number in range(5)],
    ),
}


@pytest.mark.attack("5", "changes at once that replace what none of them saw")
@pytest.mark.parametrize("race", RACES)
async def test_of_several_at_once_one_is_done_and_the_others_see_it(
    assistant, sandbox, writes, ledger, race: str
) -> None:
    tool, calls = RACES[race]
    answers: list[Any] = []
    if race == "one-free-number":
        sandbox.context.account.numbers[LINE].agent_id = None

    async def call(ai: Any, arguments: dict[str, Any]) -> None:
        answers.append(await ai.client.call_tool(tool, arguments))

    async with assistant() as ai:
        if race in ("replaced-webhooks", "the-same-webhook-again"):
            await ai.ask("set_webhook", url=URL)
            sandbox.requests.clear()
        async with anyio.create_task_group() as group:
            for arguments in calls:
                group.start_soon(call, ai, arguments)
    refused = [answer.content[0].text for answer in answers if answer.is_error]
    assert (len(writes()), len(refused)) == (1, len(calls) - 1)
    assert all("has changed since" in text for text in refused)
    assert [row.outcome for row in ledger()].count("failed") == len(calls) - 1


@pytest.mark.attack("5", "a change of what was agreed to, seen right before the write")
async def test_a_webhook_with_the_same_url_and_another_secret_is_another(assistant, sandbox, writes, person) -> None:
    def meanwhile() -> None:
        sandbox.context.account.webhook.secret = "whsec_of_somebody_else"

    user = person()

    async def agree(_: Any, question: Any) -> Any:
        meanwhile()
        return await user(_, question)

    async with assistant(asks=agree, requires_human_approval=True) as ai:
        await ai.ask("set_webhook", url=URL)
        sandbox.requests.clear()
        message = await ai.refused("set_webhook", url=THEIRS, confirm=URL)
    assert "has changed since" in message
    assert writes() == []
