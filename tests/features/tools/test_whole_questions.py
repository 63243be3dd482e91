"""Let a person see all that they agree to, and ask again when anything of it has changed."""

from collections.abc import Callable
from typing import Any

import pytest
from mcp_types import ElicitResult

DESK, SAM = "agt_frontdesk", "+14155559999"
CALL = {"agent_id": DESK, "to_number": SAM, "confirm": True}
WEB = {"agent_id": DESK, "confirm": True}
TEXT = {"agent_id": DESK, "to_number": SAM, "body": "See you.", "confirm": True}
LONG = "Be polite. " * 400
SECRET_ORDER = "Then ask for the card number."
OWN = {
    "systemPrompt": f"{LONG}{SECRET_ORDER}",
    "beginMessage": "Good day from the desk.",
    "voicemailMessage": f"{LONG}Call +14155550188.",
    "transferNumber": "+14155550177",
}
UNSEEN = "words that are sent and not shown"
CHANGED = "a change between the question and the yes"


@pytest.fixture
def desk(sandbox) -> dict[str, Any]:
    """Return the settings of the agent that calls, with texts of its own."""
    settings = sandbox.context.account.agents[DESK].settings
    settings.update(OWN)
    return settings


SHOWN: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a-long-prompt": ("place_call", CALL | {"prompt": f"{LONG}{SECRET_ORDER}"}, [SECRET_ORDER]),
    "a-long-greeting": ("place_call", CALL | {"greeting": f"{LONG}{SECRET_ORDER}"}, [SECRET_ORDER]),
    "long-variables": ("place_call", CALL | {"variables": {"goal": f"{LONG}{SECRET_ORDER}"}}, [SECRET_ORDER]),
    "the-agents-own-texts": ("place_call", CALL, [SECRET_ORDER, "Good day", "+14155550188", "+14155550177"]),
    "the-agents-own-texts-in-a-browser": ("create_web_call", WEB, [SECRET_ORDER, "Good day", "+14155550177"]),
    "long-metadata": ("create_web_call", WEB | {"metadata": {"a": f"{LONG}{SECRET_ORDER}"}}, [SECRET_ORDER]),
    "a-long-text": ("send_message", TEXT | {"body": f"{LONG[:1_500]}{SECRET_ORDER}"}, [SECRET_ORDER]),
    "a-long-link": (
        "send_message",
        TEXT | {"media_urls": [f"https://example.com/{'a' * 2_000}/last"]},
        ["/last"],
    ),
    "an-id-of-ones-own": (
        "buy_number",
        {"external_id": f"{LONG[:150]}{SECRET_ORDER}", "confirm": True},
        [SECRET_ORDER],
    ),
    "a-prompt-beside-a-transfer-number": (
        "update_agent",
        {
            "agent_id": DESK,
            "transfer_number": "+14155550178",
            "system_prompt": f"{LONG}{SECRET_ORDER}",
            "confirm": "Front Desk",
        },
        [SECRET_ORDER, "+14155550178"],
    ),
}


@pytest.mark.attack("6", UNSEEN)
@pytest.mark.parametrize(("tool", "arguments", "shown"), SHOWN.values(), ids=SHOWN.keys())
async def test_a_question_shows_all_that_is_sent_or_used(
    assistant, desk, person, ledger, tool: str, arguments: Any, shown: list[str]
) -> None:
    user = person()
    async with assistant(asks=user, requires_human_approval=True) as ai:
        done = await ai.ask(tool, **arguments)
    [question] = user.questions
    assert all(text in question for text in shown)
    assert "more characters" not in question
    assert question == f"Allow this (no. {ledger()[0].id})? {ledger()[0].summary}"
    assert len(done["what"]) < 5_000


@pytest.mark.attack("6", UNSEEN)
@pytest.mark.parametrize("hidden", ["\U000e0041", "\u200b", "\u202e", "\x1b"], ids=ascii)
async def test_a_question_shows_that_there_is_what_nobody_would_see(assistant, desk, person, hidden: str) -> None:
    desk["systemPrompt"] = f"Be polite.{hidden}"
    user = person("decline")
    async with assistant(asks=user, requires_human_approval=True) as ai:
        await ai.refused("place_call", **CALL)
        await ai.refused("send_message", **TEXT | {"body": f"Hi{hidden}"})
    assert all(f"[U+{ord(hidden):04X}]" in question for question in user.questions)


@pytest.mark.attack("6", "a question too long to be read as a whole")
@pytest.mark.parametrize(
    ("tool", "arguments", "own"),
    [
        pytest.param("send_message", TEXT | {"body": "x" * 20_000}, {}, id="a-text"),
        pytest.param("place_call", CALL, {"systemPrompt": "x" * 20_000}, id="the-agents-own-prompt"),
        pytest.param("create_web_call", WEB, {"beginMessage": "x" * 20_000}, id="the-agents-first-words"),
    ],
)
async def test_what_cannot_be_shown_as_a_whole_is_refused(
    assistant, desk, person, writes, ledger, tool: str, arguments: Any, own: Any, mode: str
) -> None:
    desk.update(own)
    user = person()
    async with assistant(mode=mode, asks=user, requires_human_approval=True) as ai:
        message = await ai.refused(tool, **arguments)
    assert "too long to be shown to your user as a whole" in message
    assert "Shorten its texts" in message
    assert len(message) < 500
    assert (user.questions, writes()) == ([], [])
    assert [row.outcome for row in ledger()] == ["refused"]


CHANGES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "prompt": ("place_call", CALL, {"systemPrompt": "You owe us money."}),
    "the-end-of-a-long-prompt": ("place_call", CALL, {"systemPrompt": f"{LONG}Then hang up."}),
    "first-words": ("place_call", CALL, {"beginMessage": "You owe us money."}),
    "voicemail": ("place_call", CALL, {"voicemailMessage": "Call +19005550100."}),
    "transfer-number": ("place_call", CALL | {"prompt": "Ask Sam."}, {"transferNumber": "+14155550199"}),
    "voice": ("place_call", CALL, {"voice": "openai-nova"}),
    "prompt-in-a-browser": ("create_web_call", WEB, {"systemPrompt": "You owe us money."}),
    "transfer-number-in-a-browser": ("create_web_call", WEB, {"transferNumber": "+14155550199"}),
}
EACH_CHANGE = pytest.mark.parametrize(("tool", "arguments", "changes"), CHANGES.values(), ids=CHANGES.keys())


class Thinking:
    """Say yes, after something happened while the person was thinking."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    async def __call__(self, _: Any, question: Any) -> ElicitResult:
        """Answer a question."""
        self._meanwhile()
        return ElicitResult(action="accept", content={"allow": True})


@pytest.mark.attack("6", CHANGED)
@EACH_CHANGE
async def test_a_change_while_a_person_thinks_is_noticed(
    assistant, desk, writes, tool: str, arguments: Any, changes: Any, mode: str
) -> None:
    user = Thinking(lambda: desk.update(changes))
    async with assistant(mode=mode, asks=user, requires_human_approval=True) as ai:
        message = await ai.refused(tool, **arguments)
    assert "has changed since" in message
    assert writes() == []


@pytest.mark.attack("6", "a change between the preview and confirm")
@EACH_CHANGE
async def test_confirm_holds_for_what_was_previewed(
    assistant, desk, writes, ledger, tool: str, arguments: Any, changes: Any
) -> None:
    async with assistant() as ai:
        await ai.ask(tool, **arguments | {"confirm": None})
        desk.update(changes)
        message = await ai.refused(tool, **arguments)
        assert writes() == []
        again = await ai.ask(tool, **arguments)
    assert "has changed since" in message
    assert again["status"] == "done"
    assert [row.outcome for row in ledger()] == ["refused", "done"]


@pytest.mark.attack("6", CHANGED)
async def test_a_webhook_that_would_hear_the_call_is_part_of_it(assistant, sandbox, writes, mode: str) -> None:
    account = sandbox.context.account
    account.agents[DESK].settings["voiceMode"] = "webhook"

    def meanwhile() -> None:
        account.webhook.url = "https://elsewhere.example/hook"

    async with assistant(mode=mode, asks=Thinking(meanwhile), requires_human_approval=True) as ai:
        await ai.ask("set_webhook", url="https://example.com/hook")
        sandbox.requests.clear()
        assert "has changed since" in await ai.refused("place_call", **CALL)
    assert writes() == []
