"""Test wait_for_call and place_call(wait=true): each turn once, and no end that was not seen."""

import json

import anyio
import httpx
import pytest

from agentphone_mcp.sandbox.http.faults import parse
from tests.features.live.scripted_call import SAID, SHOWN, Progress, api, events, follow, spoken, texts
from tests.features.marks import mark, same_code

CALL = {"agent_id": "agt_frontdesk", "confirm": True}
FRIEND, TALKATIVE, UNANSWERED, BUSY = "+14155559999", "+14155550109", "+14155550102", "+14155550101"


async def test_each_turn_of_a_call_is_reported_once_as_it_is_spoken(assistant) -> None:
    progress = Progress()
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=FRIEND, **CALL))["result"]
        result = await follow(ai, progress, call_id=call["id"])
        await progress.reach(len(result["turns"]))
        read = await ai.ask("get_transcript", call_id=call["id"])
    assert (result["ended"], result["status"]) == (True, "completed")
    assert result["turns"] == read["turns"]
    assert progress.counts == list(range(1, len(result["turns"]) + 1))
    assert progress.lines == [f"{turn['role']}: {turn['text']}" for turn in result["turns"]]
    assert result["duration_seconds"] > 0
    assert result["after_turn"] == len(result["turns"])
    assert "next_step" not in result


async def test_a_call_can_be_followed_in_pieces(assistant) -> None:
    heard: list[str] = []
    progress = Progress()
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        after = pieces = 0
        ended = False
        while not ended and pieces < 20:
            result = await follow(ai, progress, call_id=call["id"], max_seconds=1, after_turn=after)
            assert result["after_turn"] == after + len(result["turns"])
            assert ("wait_for_call again" in result.get("next_step", "")) is not result["ended"]
            heard += texts(result)
            after, ended, pieces = result["after_turn"], result["ended"], pieces + 1
        read = await ai.ask("get_transcript", call_id=call["id"])
        await progress.reach(len(heard))
    assert ended
    assert pieces > 1
    assert heard == [turn["text"] for turn in read["turns"]]
    assert progress.counts == list(range(1, len(heard) + 1))


async def test_a_call_can_be_followed_as_soon_as_it_is_placed(assistant) -> None:
    progress = Progress()
    async with assistant() as ai:
        with anyio.fail_after(60):
            called = await ai.client.call_tool(
                "place_call", {"to_number": FRIEND, "wait": True, **CALL}, progress_callback=progress
            )
        result = json.loads(same_code(called.content[0].text))
        read = await ai.ask("get_transcript", call_id=result["result"]["id"])
        await progress.reach(len(read["turns"]))
    assert result["status"] == "done"
    assert (result["followed"]["ended"], result["followed"]["status"]) == (True, "completed")
    assert result["followed"]["turns"] == read["turns"]
    assert "next_step" not in result


async def test_placing_never_reports_an_end_that_was_not_seen(assistant) -> None:
    async with assistant() as ai:
        result = await ai.ask("place_call", to_number=TALKATIVE, wait=True, max_seconds=1, **CALL)
        again = await ai.ask("place_call", to_number=TALKATIVE, wait=True, max_seconds=30, **CALL)
    assert (result["status"], result["followed"]["ended"]) == ("done", False)
    assert "wait_for_call again" in result["next_step"]
    assert again["replayed"] is True
    assert again["followed"]["ended"] is True
    assert again["followed"]["call_id"] == result["result"]["id"]


async def test_a_preview_has_nothing_to_follow(assistant, writes) -> None:
    async with assistant() as ai:
        result = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=FRIEND, wait=True)
    assert result["status"] == "needs_confirmation"
    assert "followed" not in result
    assert writes() == []


async def test_a_call_that_cannot_be_followed_was_still_placed(assistant, sandbox) -> None:
    sandbox.faults.rules.append(parse("GET /v1/calls/* status=403 always"))
    async with assistant() as ai:
        result = await ai.ask("place_call", to_number=FRIEND, wait=True, **CALL)
    assert (result["status"], "followed" in result) == ("done", False)
    assert "It was placed but cannot be followed" in result["next_step"]


async def test_time_that_runs_out_is_no_end(assistant) -> None:
    async with assistant(timeout=5) as ai:
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        result = await follow(ai, call_id=call["id"], max_seconds=1)
    assert result["ended"] is False
    assert result["status"] in ("ringing", "in-progress")
    assert "wait_for_call again with this after_turn" in result["next_step"]
    assert "duration_seconds" not in result


@pytest.mark.parametrize(("number", "status"), [(BUSY, "busy"), (UNANSWERED, "no-answer")], ids=["busy", "unanswered"])
async def test_a_call_nobody_answers_ends_with_its_own_status(assistant, number, status) -> None:
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=number, **CALL))["result"]
        result = await follow(ai, call_id=call["id"])
    assert (result["ended"], result["status"], result["turns"], result["answered"]) == (True, status, [], False)


async def test_a_past_call_is_returned_at_once(assistant) -> None:
    async with assistant() as ai:
        result = await follow(ai, call_id="call_past01", after_turn=5)
    assert (result["ended"], len(result["turns"]), result["after_turn"]) == (True, 2, 7)


async def test_a_stream_that_breaks_five_times_loses_no_turn_and_repeats_none(assistant, sandbox) -> None:
    progress = Progress()
    async with assistant() as ai:
        for events_heard in (2, 6, 11, 17, 24):
            sandbox.faults.rules.append(parse(f"GET /v1/calls/*/stream cut-after={events_heard}"))
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        result = await follow(ai, progress, call_id=call["id"])
        read = await ai.ask("get_transcript", call_id=call["id"])
        await progress.reach(len(result["turns"]))
    assert sandbox.faults.rules == []
    assert sum(request.path.endswith("/stream") for request in sandbox.requests) == 6
    assert (result["ended"], result["status"], result["answered"]) == (True, "completed", True)
    assert result["turns"] == read["turns"]
    assert progress.counts == list(range(1, len(result["turns"]) + 1))
    assert progress.lines == [f"{turn['role']}: {turn['text']}" for turn in result["turns"]]


async def test_an_unknown_call_is_an_error(assistant) -> None:
    async with assistant() as ai:
        message = await ai.refused("wait_for_call", call_id="call_nobody")
    assert "list_calls gives a valid call_id" in message


async def test_a_wrong_key_is_an_error_at_once(assistant, answering) -> None:
    recorder = answering({"detail": "Invalid key."}, 401)
    async with assistant(recorder) as ai:
        assert "AGENTPHONE_API_KEY" in await ai.refused("wait_for_call", call_id="call_1")
    assert len(recorder.requests) == 1


async def test_a_slow_api_does_not_stretch_the_waiting(assistant, answering) -> None:
    """`max_seconds` bounds the whole tool, because hosts give up at sixty seconds."""

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return spoken(2)
        await anyio.sleep_forever()
        raise AssertionError

    async with assistant(answering(answer), timeout=30) as ai:
        with anyio.fail_after(25):
            result = await follow(ai, call_id="call_1", max_seconds=1)
    assert (result["ended"], texts(result)) == (False, SHOWN[:2])


async def test_cancelling_closes_the_stream_at_once(assistant, sandbox, eventually) -> None:
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(ai.client.call_tool, "wait_for_call", {"call_id": call["id"]})
            await eventually(lambda: sandbox.context.simulator.listeners(call["id"]) > 0)
            waiting.cancel_scope.cancel()
        await eventually(lambda: sandbox.context.simulator.listeners(call["id"]) == 0)
        assert sandbox.context.account.calls[call["id"]].is_live


async def test_after_turn_beyond_the_last_turn_is_corrected(assistant, answering) -> None:
    """Continuing from there would skip the next turns."""
    async with assistant(answering(api(spoken(3)))) as ai:
        result = await follow(ai, call_id="call_1", max_seconds=1, after_turn=50)
    assert (result["turns"], result["after_turn"]) == ([], len(SAID))


async def test_a_very_long_call_is_returned_in_pieces(assistant, answering) -> None:
    said = [{"role": "user", "content": f"turn {number}"} for number in range(450)]
    whole = events(*(("turn", turn) for turn in said), ("ended", {"status": "completed"}))
    async with assistant(answering(api(whole))) as ai:
        result = await follow(ai, call_id="call_1", max_seconds=60, after_turn=100)
    assert (result["ended"], result["after_turn"], result["turns"][-1]["text"]) == (True, 300, mark("turn 299"))
    assert result["next_step"] == "450 turns were heard: read on with get_transcript and this after_turn."
