"""Place and end calls, and open calls from a browser."""

import re

import pytest

from agentphone_mcp.api.agents import Agent
from agentphone_mcp.features.tools.agents import numbers_of

FRIEND = "+14155559999"
TALKATIVE = "+14155550109"
MOVED = {"agent_id": "agt_orderline", "number_id": "num_frontdesk"}


async def test_a_call_is_placed_once_confirmed(assistant, sandbox) -> None:
    async with assistant() as ai:
        preview = await ai.ask("place_call", agent_id="agt_frontdesk", to_number="(415) 555-9999")
        done = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=FRIEND, confirm=True)
    assert re.fullmatch(
        r"Call \+14155559999, local time \w{3} \d\d:\d\d \(America/Los_Angeles\), from \+14155550100 as the agent "
        r"'Front Desk', with the built-in AI talking: about \$0\.22 a minute, by the second; it begins with "
        r'"Hello, this is an AI assistant\. Hello, this is the front desk of Lakeside Dental\."; its own prompt: '
        r'"You are the front desk of [^"]+"; to an answering machine it says "This is Lakeside Dental\. [^"]+"\.',
        preview["what"],
    )
    assert (done["status"], done["result"]["to_number"]) == ("done", FRIEND)
    assert done["next_step"].startswith("Accepted is not answered")
    assert "wait_for_call" in done["next_step"]
    assert "get_transcript" in done["next_step"]
    assert sandbox.requests[-1].body["toNumber"] == FRIEND


async def test_a_call_carries_everything_it_was_given(assistant, sandbox) -> None:
    async with assistant(ai_disclosure=False) as ai:
        await ai.ask(
            "place_call",
            agent_id="agt_frontdesk",
            to_number=FRIEND,
            prompt="Ask for {{what}}.",
            greeting="Hello there.",
            from_number_id="num_frontdesk",
            voice="openai-nova",
            model_tier="turbo",
            variables={"what": "the time"},
            disable_recording=True,
            confirm=True,
        )
    assert sandbox.requests[-1].body == {
        "agentId": "agt_frontdesk",
        "toNumber": FRIEND,
        "systemPrompt": "Ask for {{what}}.",
        "initialGreeting": "Hello there.",
        "fromNumberId": "num_frontdesk",
        "voice": "openai-nova",
        "modelTier": "turbo",
        "variables": {"what": "the time"},
        "disableRecording": True,
    }


@pytest.mark.parametrize("confirm", [None, True], ids=["preview", "confirmed"])
async def test_an_agent_without_a_number_is_told_before_it_dials(assistant, writes, confirm) -> None:
    async with assistant() as ai:
        message = await ai.refused(
            "place_call", agent_id="agt_orderline", to_number=FRIEND, prompt="Confirm.", confirm=confirm
        )
    assert message == "Nothing was dialled: the agent 'Order Line' has no number. Use buy_number or attach_number."
    assert writes() == []


async def test_a_webhook_agent_without_a_webhook_is_told_before_it_dials(assistant, writes) -> None:
    async with assistant() as ai:
        await ai.ask("attach_number", **MOVED, confirm="+14155550100")
        message = await ai.refused("place_call", agent_id="agt_orderline", to_number=FRIEND, confirm=True)
    assert "would hear silence" in message
    for way_out in ("set_webhook", "update_agent", "prompt"):
        assert way_out in message
    assert writes() == ["POST /v1/agents/agt_orderline/numbers"]


@pytest.mark.parametrize(
    ("given", "talks"),
    [
        pytest.param({"prompt": "Confirm the order."}, "the built-in AI talking: about $0.22", id="with-a-prompt"),
        pytest.param(
            {"webhook": None},
            "your webhook https://example.com/hook talking: about $0.13",
            id="with-the-projects-webhook",
        ),
        pytest.param(
            {"webhook": "agt_orderline"},
            "your webhook https://example.com/hook talking: about $0.13",
            id="with-its-own-webhook",
        ),
    ],
)
async def test_a_webhook_agent_calls_with_a_prompt_or_a_webhook(assistant, given, talks) -> None:
    prompt = {name: value for name, value in given.items() if name == "prompt"}
    async with assistant() as ai:
        await ai.ask("attach_number", **MOVED, confirm="+14155550100")
        if "webhook" in given:
            await ai.ask("set_webhook", url="https://example.com/hook", agent_id=given["webhook"])
        preview = await ai.ask("place_call", agent_id="agt_orderline", to_number=FRIEND, **prompt)
    assert talks in preview["what"]


async def test_a_call_from_a_number_the_agent_does_not_have_is_refused(assistant, writes) -> None:
    async with assistant() as ai:
        message = await ai.refused(
            "place_call", agent_id="agt_frontdesk", to_number=FRIEND, from_number_id="num_other", confirm=True
        )
    assert message == "Nothing was dialled: from_number_id is none of this agent's numbers: num_frontdesk."
    assert writes() == []


async def test_a_preview_shows_the_words_a_call_would_begin_with(assistant) -> None:
    async with assistant() as ai:
        preview = await ai.ask(
            "place_call", agent_id="agt_frontdesk", to_number=FRIEND, prompt="Cancel the visit.", greeting="Good day."
        )
    assert "Cancel the visit." in preview["what"]
    assert "Good day." in preview["what"]


async def test_a_call_is_hung_up_once(assistant) -> None:
    async with assistant() as ai:
        placed = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=TALKATIVE, confirm=True)
        ended = await ai.ask("end_call", call_id=placed["result"]["id"])
        message = await ai.refused("end_call", call_id=placed["result"]["id"])
    assert ended["success"] is True
    assert "409 CALL_NOT_IN_PROGRESS" in message


async def test_a_browser_gets_its_token_once_confirmed(assistant, sandbox) -> None:
    wanted = {"agent_id": "agt_frontdesk", "metadata": {"user": 7}, "variables": {"day": "Friday"}}
    async with assistant() as ai:
        preview = await ai.ask("create_web_call", **wanted)
        done = await ai.ask("create_web_call", **wanted, confirm=True)
    assert "'Front Desk'" in preview["what"]
    assert "about $0.22 a minute" in preview["what"]
    assert done["result"]["access_token"].startswith("sandbox.")
    assert done["result"]["call_id"] in sandbox.context.account.calls
    assert "within 30 seconds" in done["next_step"]
    assert sandbox.requests[-1].body == {
        "agentId": "agt_frontdesk",
        "metadata": {"user": 7},
        "variables": {"day": "Friday"},
    }


async def test_a_browser_call_to_a_silent_agent_is_refused(assistant, writes) -> None:
    """It is in webhook mode without a webhook; unlike a call, it needs no number."""
    async with assistant() as ai:
        message = await ai.refused("create_web_call", agent_id="agt_orderline", confirm=True)
        assert writes() == []
        await ai.ask("set_webhook", url="https://example.com/hook")
        done = await ai.ask("create_web_call", agent_id="agt_orderline", confirm=True)
    assert "would hear silence" in message
    assert "place_call" not in message
    assert done["status"] == "done"


@pytest.mark.parametrize("prompt", ["", "   "], ids=["empty", "blank"])
async def test_a_blank_prompt_is_none(assistant, sandbox, prompt) -> None:
    """It would hand the call to a built-in AI without a goal."""
    async with assistant(ai_disclosure=False) as ai:
        result = await ai.client.call_tool(
            "place_call", {"agent_id": "agt_frontdesk", "to_number": FRIEND, "prompt": prompt, "confirm": True}
        )
    assert result.is_error or "systemPrompt" not in sandbox.requests[-1].body


async def test_the_numbers_of_an_agent_are_looked_up_where_it_names_none(answering, api_over) -> None:
    """The API may leave them out; numbers of other agents are not used."""
    mine = {"id": "num_1", "phoneNumber": "+14155550100", "agentId": "agt_1"}
    others = mine | {"id": "num_2", "agentId": "agt_2"}, mine | {"id": "num_3", "agentId": None}
    async with api_over(answering({"data": [*others, mine], "hasMore": False})) as api:
        assert await numbers_of(api, Agent.model_validate({"id": "agt_1", "name": "Ada"})) == {"num_1": "+14155550100"}
