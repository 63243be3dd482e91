"""Place and end calls, and open calls from a browser."""

import re

import pytest

from agentphone_mcp.api.agents import Agent
from agentphone_mcp.features.tools.call_previews import numbers_of
from agentphone_mcp.policy.untrusted import mark

FRIEND = "+14155559999"
UNANSWERED = "+14155550102"


async def test_a_call_is_placed_once_confirmed(assistant, sandbox) -> None:
    """The preview names both ends, who talks and the price; the answer says that nobody has picked up yet."""
    async with assistant() as ai:
        preview = await ai.ask("place_call", agent_id="agt_frontdesk", to_number="(415) 555-9999")
        done = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=FRIEND, confirm=True)
    assert re.fullmatch(
        r"Call \+14155559999, local time \w{3} \d\d:\d\d \(America/Los_Angeles\), from \+14155550100 as the agent "
        r"'Front Desk', with the built-in AI talking: about \$0\.22 a minute, by the second; it begins with "
        r'"Hello, this is an AI assistant\. Hello, this is the front desk of Lakeside Dental\."\.',
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
        said = await ai.refused(
            "place_call", agent_id="agt_orderline", to_number=FRIEND, prompt="Confirm.", confirm=confirm
        )
    assert said == "Nothing was dialled: the agent 'Order Line' has no number. Use buy_number or attach_number."
    assert writes() == []


async def test_a_webhook_agent_without_a_webhook_is_told_before_it_dials(assistant, writes) -> None:
    """The message names three ways out."""
    async with assistant() as ai:
        await ai.ask("attach_number", agent_id="agt_orderline", number_id="num_frontdesk")
        said = await ai.refused("place_call", agent_id="agt_orderline", to_number=FRIEND, confirm=True)
    assert "would hear silence" in said
    for way_out in ("set_webhook", "update_agent", "prompt"):
        assert way_out in said
    assert writes() == ["POST /v1/agents/agt_orderline/numbers"]


@pytest.mark.parametrize(
    ("given", "talks"),
    [
        pytest.param({"prompt": "Confirm the order."}, "the built-in AI talking: about $0.22", id="with-a-prompt"),
        pytest.param({"webhook": None}, "your webhook talking: about $0.13", id="with-the-projects-webhook"),
        pytest.param({"webhook": "agt_orderline"}, "your webhook talking: about $0.13", id="with-its-own-webhook"),
    ],
)
async def test_a_webhook_agent_calls_with_a_prompt_or_a_webhook(assistant, given, talks) -> None:
    prompt = {name: value for name, value in given.items() if name == "prompt"}
    async with assistant() as ai:
        await ai.ask("attach_number", agent_id="agt_orderline", number_id="num_frontdesk")
        if "webhook" in given:
            await ai.ask("set_webhook", url="https://example.com/hook", agent_id=given["webhook"])
        preview = await ai.ask("place_call", agent_id="agt_orderline", to_number=FRIEND, **prompt)
    assert talks in preview["what"]


async def test_a_call_from_a_number_the_agent_does_not_have_is_refused(assistant, writes) -> None:
    async with assistant() as ai:
        said = await ai.refused(
            "place_call", agent_id="agt_frontdesk", to_number=FRIEND, from_number_id="num_other", confirm=True
        )
    assert said == "Nothing was dialled: from_number_id is none of this agent's numbers: num_frontdesk."
    assert writes() == []


async def test_a_preview_shows_the_words_a_call_would_begin_with(assistant) -> None:
    async with assistant() as ai:
        preview = await ai.ask(
            "place_call", agent_id="agt_frontdesk", to_number=FRIEND, prompt="Cancel the visit.", greeting="Good day."
        )
    assert "Cancel the visit." in preview["what"]
    assert "Good day." in preview["what"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        pytest.param({}, 1, id="all"),
        pytest.param({"agent_id": "agt_frontdesk"}, 1, id="of-an-agent"),
        pytest.param({"agent_id": "agt_orderline"}, 0, id="of-an-idle-agent"),
        pytest.param({"number_id": "num_frontdesk"}, 1, id="of-a-number"),
        pytest.param({"status": "completed"}, 1, id="completed"),
        pytest.param({"status": "failed"}, 0, id="failed"),
        pytest.param({"direction": "inbound"}, 1, id="inbound"),
        pytest.param({"direction": "web"}, 0, id="web"),
        pytest.param({"search": "0142"}, 1, id="part-of-a-number"),
        pytest.param({"search": "777"}, 0, id="another-number"),
    ],
)
async def test_calls_are_narrowed(assistant, filters, found) -> None:
    async with assistant() as ai:
        told = await ai.ask("list_calls", **filters)
    assert len(told["rows"]) == found
    assert ("next_step" in told) is (found == 0)


@pytest.mark.parametrize(
    "filters",
    [{"status": "failed"}, {"direction": "outbound"}, {"search": "777"}],
    ids=["status", "direction", "search"],
)
@pytest.mark.parametrize(
    "whose", [{"agent_id": "agt_frontdesk"}, {"number_id": "num_frontdesk"}], ids=["agent", "number"]
)
async def test_a_filter_is_never_dropped_in_silence(assistant, whose, filters) -> None:
    """The API does not filter the calls of one agent or number, so the tool does."""
    async with assistant() as ai:
        result = await ai.client.call_tool("list_calls", whose | filters)
    assert result.is_error or result.structured_content["rows"] == []


async def test_calls_of_an_agent_and_a_number_at_once_are_refused(assistant, sandbox) -> None:
    async with assistant() as ai:
        said = await ai.refused("list_calls", agent_id="agt_frontdesk", number_id="num_frontdesk")
    assert said == "Give agent_id or number_id, not both."
    assert sandbox.requests == []


async def test_a_page_of_calls_says_where_the_next_begins(assistant, rows_of) -> None:
    async with assistant() as ai:
        placed = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=UNANSWERED, confirm=True)
        first = await ai.ask("list_calls", limit=1)
        second = await ai.ask("list_calls", limit=1, offset=first["next_offset"])
    assert (rows_of(first)[0]["id"], rows_of(second)[0]["id"]) == (placed["result"]["id"], "call_past01")
    assert "next_offset" not in second


async def test_one_call_is_shown_with_what_was_said(assistant) -> None:
    async with assistant() as ai:
        told = await ai.ask("get_call", call_id="call_past01")
    assert (told["status"], told["direction"], told["duration_seconds"]) == ("completed", "inbound", 42)
    assert [turn["role"] for turn in told["transcript"]] == ["agent", "caller"] * 3 + ["agent"]
    assert told["recording_available"] is True


async def test_a_very_long_call_says_where_the_rest_of_its_transcript_is(assistant, answering) -> None:
    pairs = [{"transcript": f"turn {number}"} for number in range(450)]
    async with assistant(answering({"id": "call_1", "transcripts": pairs, "transcript": pairs})) as ai:
        told = await ai.ask("get_call", call_id="call_1")
        rest = await ai.ask("get_transcript", call_id="call_1", after_turn=200)
    assert (len(told["transcript"]), told["total_turns"]) == (200, 450)
    assert told["next_step"] == "For the rest call get_transcript with after_turn=200."
    assert (told["transcript"][-1]["text"], rest["turns"][0]["text"]) == (mark("turn 199"), mark("turn 200"))


async def test_a_transcript_is_read_from_a_turn_on(assistant) -> None:
    async with assistant() as ai:
        whole = await ai.ask("get_transcript", call_id="call_past01")
        rest = await ai.ask("get_transcript", call_id="call_past01", after_turn=5)
        nothing = await ai.ask("get_transcript", call_id="call_past01", after_turn=7)
        beyond = await ai.ask("get_transcript", call_id="call_past01", after_turn=99)
    assert (len(whole["turns"]), "total_turns" in whole) == (7, False)
    assert (rest["turns"], rest["total_turns"]) == (whole["turns"][5:], 7)
    assert (nothing["turns"], beyond["turns"], nothing["total_turns"]) == ([], [], 7)
    assert not any("next_after_turn" in page for page in (whole, rest, nothing, beyond))


async def test_a_very_long_transcript_comes_in_pages(assistant, answering) -> None:
    turns = [{"role": "user", "content": f"turn {number}"} for number in range(450)]
    read: list[str] = []
    async with assistant(answering({"transcript": turns})) as ai:
        after: int | None = 0
        while after is not None:
            page = await ai.ask("get_transcript", call_id="call_1", after_turn=after)
            assert page["total_turns"] == 450
            read += [turn["text"] for turn in page["turns"]]
            after = page.get("next_after_turn")
    assert read == [mark(turn["content"]) for turn in turns]


async def test_a_call_nobody_spoke_in_yet_says_so(assistant) -> None:
    async with assistant() as ai:
        placed = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=UNANSWERED, confirm=True)
        told = await ai.ask("get_transcript", call_id=placed["result"]["id"])
    assert (told["turns"], "total_turns" in told) == ([], False)
    assert "get_call" in told["next_step"]


async def test_a_recording_is_linked_and_not_carried(assistant) -> None:
    async with assistant() as ai:
        result = await ai.client.call_tool("get_recording", {"call_id": "call_past01"})
    told, link = result.structured_content, result.content[1]
    assert (told["recording_available"], told["uri"]) == (True, "agentphone://calls/call_past01/recording")
    assert (link.type, str(link.uri)) == ("resource_link", told["uri"])


async def test_a_call_without_a_recording_says_why(assistant, sandbox) -> None:
    async with assistant() as ai:
        placed = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=UNANSWERED, confirm=True)
        live = await ai.ask("get_recording", call_id=placed["result"]["id"])
        await ai.ask("end_call", call_id=placed["result"]["id"])
        ended = await ai.ask("get_recording", call_id=placed["result"]["id"])
    assert (live["recording_available"], live["next_step"]) == (False, "The call has not ended yet.")
    assert ended["next_step"] == "Recording is an add-on, off by default."
    assert "uri" not in live | ended


@pytest.mark.parametrize(
    ("told_by_the_api", "available", "words"),
    [
        pytest.param({"recordingAvailable": True, "recordingUrl": None}, True, "add-on is not active", id="add-on-off"),
        pytest.param({}, None, "does not say whether", id="newer-api"),
    ],
)
async def test_a_recording_without_an_address_is_not_denied(
    assistant, answering, told_by_the_api, available, words
) -> None:
    """It may exist while the add-on is off, and the newer API does not say."""
    ended = {"id": "call_1", "status": "completed", **told_by_the_api}
    async with assistant(answering(ended)) as ai:
        told = await ai.ask("get_recording", call_id="call_1")
    assert (told.get("recording_available"), told["uri"]) == (available, "agentphone://calls/call_1/recording")
    assert words in told["next_step"]


async def test_a_call_is_hung_up_once(assistant) -> None:
    async with assistant() as ai:
        placed = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=UNANSWERED, confirm=True)
        ended = await ai.ask("end_call", call_id=placed["result"]["id"])
        said = await ai.refused("end_call", call_id=placed["result"]["id"])
    assert ended["success"] is True
    assert "409 CALL_NOT_IN_PROGRESS" in said


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
        said = await ai.refused("create_web_call", agent_id="agt_orderline", confirm=True)
        assert writes() == []
        await ai.ask("set_webhook", url="https://example.com/hook")
        done = await ai.ask("create_web_call", agent_id="agt_orderline", confirm=True)
    assert "would hear silence" in said
    assert "place_call" not in said
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
