"""List and show calls, with their transcripts and recordings."""

import pytest

from tests.features.marks import mark

UNANSWERED, TALKATIVE = "+14155550102", "+14155550109"


@pytest.mark.parametrize(
    ("filters", "count"),
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
async def test_calls_are_narrowed(assistant, filters, count) -> None:
    async with assistant() as ai:
        result = await ai.ask("list_calls", **filters)
    assert len(result["rows"]) == count
    assert ("next_step" in result) is (count == 0)


@pytest.mark.parametrize(
    "filters",
    [{"status": "failed"}, {"direction": "outbound"}, {"search": "777"}],
    ids=["status", "direction", "search"],
)
@pytest.mark.parametrize(
    "owner", [{"agent_id": "agt_frontdesk"}, {"number_id": "num_frontdesk"}], ids=["agent", "number"]
)
async def test_a_filter_is_never_dropped_in_silence(assistant, owner, filters) -> None:
    """The API does not filter the calls of one agent or number, so the tool does."""
    async with assistant() as ai:
        result = await ai.client.call_tool("list_calls", owner | filters)
    assert result.is_error or result.structured_content["rows"] == []


async def test_calls_of_an_agent_and_a_number_at_once_are_refused(assistant, sandbox) -> None:
    async with assistant() as ai:
        message = await ai.refused("list_calls", agent_id="agt_frontdesk", number_id="num_frontdesk")
    assert message == "Give agent_id or number_id, not both."
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
        result = await ai.ask("get_call", call_id="call_past01")
    assert (result["status"], result["direction"], result["duration_seconds"]) == ("completed", "inbound", 42)
    assert [turn["role"] for turn in result["transcript"]] == ["agent", "caller"] * 3 + ["agent"]
    assert result["recording_available"] is True


async def test_a_very_long_call_says_where_the_rest_of_its_transcript_is(assistant, answering) -> None:
    pairs = [{"transcript": f"turn {number}"} for number in range(450)]
    async with assistant(answering({"id": "call_1", "transcripts": pairs, "transcript": pairs})) as ai:
        result = await ai.ask("get_call", call_id="call_1")
        rest = await ai.ask("get_transcript", call_id="call_1", after_turn=200)
    assert (len(result["transcript"]), result["total_turns"]) == (200, 450)
    assert result["next_step"] == "For the rest call get_transcript with after_turn=200."
    assert (result["transcript"][-1]["text"], rest["turns"][0]["text"]) == (mark("turn 199"), mark("turn 200"))


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
        result = await ai.ask("get_transcript", call_id=placed["result"]["id"])
    assert (result["turns"], "total_turns" in result) == ([], False)
    assert "get_call" in result["next_step"]


async def test_a_recording_is_linked_and_not_carried(assistant) -> None:
    async with assistant() as ai:
        result = await ai.client.call_tool("get_recording", {"call_id": "call_past01"})
    content, link = result.structured_content, result.content[1]
    assert (content["recording_available"], content["uri"]) == (True, "agentphone://calls/call_past01/recording")
    assert (link.type, str(link.uri)) == ("resource_link", content["uri"])


async def test_a_call_without_a_recording_says_why(assistant, sandbox) -> None:
    async with assistant() as ai:
        call = {"agent_id": "agt_frontdesk", "to_number": TALKATIVE, "disable_recording": True, "confirm": True}
        placed = await ai.ask("place_call", **call)
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
        result = await ai.ask("get_recording", call_id="call_1")
    assert (result.get("recording_available"), result["uri"]) == (available, "agentphone://calls/call_1/recording")
    assert words in result["next_step"]
