"""wait_for_call: each turn once, and never more than was seen."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from agentphone_mcp.policy.untrusted import mark
from agentphone_mcp.sandbox.http.faults import parse

CALL = {"agent_id": "agt_frontdesk", "confirm": True}
FRIEND, TALKATIVE, UNANSWERED, BUSY = "+14155559999", "+14155550109", "+14155550102", "+14155550101"
EVENT_STREAM = {"Content-Type": "text/event-stream"}
SAID = ["Hello, this is Desk.", "Hi.", "How can I help?", "Bye."]
TOLD = [SAID[0], mark(SAID[1]), SAID[2], mark(SAID[3])]


def events(*told: tuple[str, dict[str, Any]]) -> httpx.Response:
    """An answer that streams these events and then closes."""
    text = "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in told)
    return httpx.Response(200, text=": heartbeat\n\n" + text, headers=EVENT_STREAM)


def turns(count: int = len(SAID)) -> list[dict[str, str]]:
    """The first turns of a call, as the API writes them."""
    return [{"role": "user" if number % 2 else "agent", "content": text} for number, text in enumerate(SAID[:count])]


def api(stream: Any, status: str = "in-progress", said: int = len(SAID)) -> Any:
    """An API with one call, of which the stream answers as told."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return stream(request) if callable(stream) else stream
        if request.url.path.endswith("/transcript"):
            return httpx.Response(200, json={"transcript": turns(said)})
        return httpx.Response(200, json={"id": "call_1", "status": status})

    return answer


class Progress:
    """Keeps the notifications that a client got."""

    def __init__(self) -> None:
        self.counts: list[float] = []
        self.lines: list[str] = []
        self._news = asyncio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        """Take in one."""
        self.counts.append(progress)
        self.lines.append(message or "")
        self._news.set()

    async def reach(self, count: int) -> None:
        """Let those that are under way arrive."""
        async with asyncio.timeout(60):
            while len(self.lines) < count:
                self._news.clear()
                await self._news.wait()


async def follow(ai: Any, progress: Progress | None = None, **arguments: Any) -> dict[str, Any]:
    """What wait_for_call told, within bounded time."""
    async with asyncio.timeout(60):
        result = await ai.client.call_tool("wait_for_call", arguments, progress_callback=progress)
    assert not result.is_error, result.content[0].text
    return result.structured_content


async def test_each_turn_of_a_call_is_reported_once_as_it_is_spoken(assistant) -> None:
    """Progress grows by one for each, and the answer has them all."""
    progress = Progress()
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=FRIEND, **CALL))["result"]
        told = await follow(ai, progress, call_id=call["id"])
        await progress.reach(len(told["turns"]))
        read = await ai.ask("get_transcript", call_id=call["id"])
    assert (told["ended"], told["status"]) == (True, "completed")
    assert told["turns"] == read["turns"]
    assert progress.counts == list(range(1, len(told["turns"]) + 1))
    assert progress.lines == [f"{turn['role']}: {turn['text']}" for turn in told["turns"]]
    assert told["duration_seconds"] > 0
    assert told["after_turn"] == len(told["turns"])
    assert "next_step" not in told


async def test_a_call_can_be_followed_in_pieces(assistant) -> None:
    """No turn is lost between them, and none is told twice."""
    heard: list[str] = []
    progress = Progress()
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        after = pieces = 0
        ended = False
        while not ended and pieces < 20:
            told = await follow(ai, progress, call_id=call["id"], max_seconds=1, after_turn=after)
            assert told["after_turn"] == after + len(told["turns"])
            assert ("wait_for_call again" in told.get("next_step", "")) is not told["ended"]
            heard += [turn["text"] for turn in told["turns"]]
            after, ended, pieces = told["after_turn"], told["ended"], pieces + 1
        read = await ai.ask("get_transcript", call_id=call["id"])
        await progress.reach(len(heard))
    assert ended
    assert pieces > 1
    assert heard == [turn["text"] for turn in read["turns"]]
    assert progress.counts == list(range(1, len(heard) + 1))


async def test_a_call_can_be_followed_as_soon_as_it_is_placed(assistant) -> None:
    """One tool does both, and says what each came to."""
    progress = Progress()
    async with assistant() as ai:
        async with asyncio.timeout(60):
            result = await ai.client.call_tool(
                "place_call", {"to_number": FRIEND, "wait": True, **CALL}, progress_callback=progress
            )
        told = result.structured_content
        read = await ai.ask("get_transcript", call_id=told["result"]["id"])
        await progress.reach(len(read["turns"]))
    assert told["status"] == "done"
    assert (told["followed"]["ended"], told["followed"]["status"]) == (True, "completed")
    assert told["followed"]["turns"] == read["turns"]
    assert "next_step" not in told


async def test_placing_never_reports_an_end_that_was_not_seen(assistant) -> None:
    """The time ran out while it went on, and the way to go on is told."""
    async with assistant() as ai:
        told = await ai.ask("place_call", to_number=TALKATIVE, wait=True, max_seconds=1, **CALL)
        again = await ai.ask("place_call", to_number=TALKATIVE, wait=True, max_seconds=30, **CALL)
    assert (told["status"], told["followed"]["ended"]) == ("done", False)
    assert "wait_for_call again" in told["next_step"]
    assert again["replayed"] is True
    assert again["followed"]["ended"] is True
    assert again["followed"]["call_id"] == told["result"]["id"]


async def test_a_preview_has_nothing_to_follow(assistant, writes) -> None:
    """Waiting is for a call that was placed."""
    async with assistant() as ai:
        told = await ai.ask("place_call", agent_id="agt_frontdesk", to_number=FRIEND, wait=True)
    assert told["status"] == "needs_confirmation"
    assert "followed" not in told
    assert writes() == []


async def test_a_call_that_cannot_be_followed_was_still_placed(assistant, sandbox) -> None:
    """What was done is told, whatever happens afterwards."""
    sandbox.faults.rules.append(parse("GET /v1/calls/* status=403 always"))
    async with assistant() as ai:
        told = await ai.ask("place_call", to_number=FRIEND, wait=True, **CALL)
    assert (told["status"], "followed" in told) == ("done", False)
    assert "It was placed but cannot be followed" in told["next_step"]


async def test_time_that_runs_out_is_no_end(assistant) -> None:
    """It still rings, nobody has spoken, and the way to go on is told."""
    async with assistant(timeout=5) as ai:
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        told = await follow(ai, call_id=call["id"], max_seconds=1)
    assert told["ended"] is False
    assert told["status"] in ("ringing", "in-progress")
    assert "wait_for_call again with this after_turn" in told["next_step"]
    assert "duration_seconds" not in told


@pytest.mark.parametrize(("number", "status"), [(BUSY, "busy"), (UNANSWERED, "no-answer")], ids=["busy", "unanswered"])
async def test_a_call_nobody_answers_ends_with_its_own_status(assistant, number, status) -> None:
    """And without a word."""
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=number, **CALL))["result"]
        told = await follow(ai, call_id=call["id"])
    assert (told["ended"], told["status"], told["turns"], told["answered"]) == (True, status, [], False)


async def test_a_past_call_is_told_at_once(assistant) -> None:
    """The same address serves live and completed calls."""
    async with assistant() as ai:
        told = await follow(ai, call_id="call_past01", after_turn=5)
    assert (told["ended"], len(told["turns"]), told["after_turn"]) == (True, 2, 7)


@pytest.mark.parametrize("status", [404, 405])
async def test_without_a_stream_the_call_is_polled(assistant, answering, status) -> None:
    """Older servers have none."""
    progress = Progress()
    recorder = answering(api(httpx.Response(status, json={"detail": "no"}), "completed"))
    async with assistant(recorder) as ai:
        told = await follow(ai, progress, call_id="call_1")
        await progress.reach(len(SAID))
    assert (told["ended"], [turn["text"] for turn in told["turns"]]) == (True, TOLD)
    assert progress.counts == [1, 2, 3, 4]


def breaks_off(request: httpx.Request) -> httpx.Response:
    """A stream that tells two turns and then loses its connection."""

    async def body() -> Any:
        for turn in turns(2):
            yield f"event: turn\ndata: {json.dumps(turn)}\n\n".encode()
        raise httpx.ReadError("reset", request=request)

    return httpx.Response(200, content=body(), headers=EVENT_STREAM)


def is_refused(request: httpx.Request) -> httpx.Response:
    """A stream that cannot be opened."""
    raise httpx.ConnectError("refused", request=request)


BROKEN = {
    "breaks-off": breaks_off,
    "refused": is_refused,
    "closes-early": events(*(("turn", turn) for turn in turns(2))),
    "says-nothing": events(),
    "is-no-stream": httpx.Response(200, json={"hello": "there"}),
    "is-no-json": httpx.Response(200, text="event: turn\ndata: {oops\n\n", headers=EVENT_STREAM),
    "is-overloaded": httpx.Response(503, text="<html>busy</html>"),
}  # fmt: skip


@pytest.mark.parametrize("stream", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_stream_is_replaced_by_polling(assistant, answering, stream) -> None:
    """Turns that were heard already are not reported again."""
    progress = Progress()
    async with assistant(answering(api(stream, "completed"))) as ai:
        told = await follow(ai, progress, call_id="call_1", max_seconds=5)
        await progress.reach(len(SAID))
    assert (told["ended"], [turn["text"] for turn in told["turns"]]) == (True, TOLD)
    assert progress.counts == [1, 2, 3, 4]


async def test_a_stream_that_is_redacted_five_times_loses_no_turn_and_repeats_none(assistant, sandbox) -> None:
    """It is opened again each time, and begins with what was heard before."""
    progress = Progress()
    async with assistant() as ai:
        for events_heard in (2, 6, 11, 17, 24):
            sandbox.faults.rules.append(parse(f"GET /v1/calls/*/stream cut-after={events_heard}"))
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        told = await follow(ai, progress, call_id=call["id"])
        read = await ai.ask("get_transcript", call_id=call["id"])
        await progress.reach(len(told["turns"]))
    assert sandbox.faults.rules == []
    assert sum(request.path.endswith("/stream") for request in sandbox.requests) == 6
    assert (told["ended"], told["status"], told["answered"]) == (True, "completed", True)
    assert told["turns"] == read["turns"]
    assert progress.counts == list(range(1, len(told["turns"]) + 1))
    assert progress.lines == [f"{turn['role']}: {turn['text']}" for turn in told["turns"]]


async def test_a_stream_that_closes_is_not_the_end_of_the_call(assistant, answering) -> None:
    """Only the API says that it is over."""
    stream = events(("connected", {"status": "in-progress"}), *(("turn", turn) for turn in turns(2)))
    async with assistant(answering(api(stream, "in-progress", said=2))) as ai:
        told = await follow(ai, call_id="call_1", max_seconds=1)
    assert (told["ended"], told["status"]) == (False, "in-progress")
    assert [turn["text"] for turn in told["turns"]] == TOLD[:2]


@pytest.mark.parametrize("status", ["failed", "busy", "no-answer"])
async def test_an_end_without_a_status_is_not_called_completed(assistant, answering, status) -> None:
    """The call itself knows how it ended."""
    stream = events(("connected", {"status": "in-progress"}), ("ended", {"durationSeconds": 0}))
    async with assistant(answering(api(stream, status, said=0))) as ai:
        told = await follow(ai, call_id="call_1")
    assert (told["ended"], told["status"]) == (True, status)


async def test_an_end_that_only_the_stream_told_does_not_invent_a_status(assistant, answering) -> None:
    """`ended` without a status, while the call still reads as in progress: over, but how is not known."""
    stream = events(*(("turn", turn) for turn in turns(2)), ("ended", {}))
    async with assistant(answering(api(stream, "in-progress", said=2))) as ai:
        told = await follow(ai, call_id="call_1")
    assert told["ended"] is True
    assert told.get("status") != "completed"


async def test_the_duration_the_stream_told_is_kept(assistant, answering) -> None:
    """The call may be a moment behind."""
    stream = events(*(("turn", turn) for turn in turns(2)), ("ended", {"durationSeconds": 12, "status": "completed"}))
    async with assistant(answering(api(stream, "in-progress", said=2))) as ai:
        told = await follow(ai, call_id="call_1")
    assert (told["ended"], told["status"], told["duration_seconds"]) == (True, "completed", 12)


async def test_an_unknown_event_is_passed_over(assistant, answering) -> None:
    """The API may tell more than we know."""
    stream = events(
        ("connected", {"status": "in-progress"}),
        ("mood", {"caller": "cheerful"}),
        ("turn", turns(1)[0]),
        ("ended", {"status": "completed"}),
    )
    async with assistant(answering(api(stream, "completed", said=1))) as ai:
        told = await follow(ai, call_id="call_1")
    assert [turn["text"] for turn in told["turns"]] == TOLD[:1]


async def test_an_unknown_call_is_an_error(assistant) -> None:
    """With the list that gives valid ids."""
    async with assistant() as ai:
        said = await ai.refused("wait_for_call", call_id="call_nobody")
    assert "list_calls gives a valid call_id" in said


async def test_a_wrong_key_is_an_error_at_once(assistant, answering) -> None:
    """Nothing else is tried."""
    recorder = answering({"detail": "Invalid key."}, 401)
    async with assistant(recorder) as ai:
        assert "AGENTPHONE_API_KEY" in await ai.refused("wait_for_call", call_id="call_1")
    assert len(recorder.requests) == 1


async def test_a_moments_trouble_while_polling_does_not_lose_what_was_heard(assistant, answering) -> None:
    """After two turns the API fails for good: they are still told, and that the end was not seen."""
    heard = False

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal heard
        if request.url.path.endswith("/stream") and not heard:
            heard = True
            return events(*(("turn", turn) for turn in turns(2)))
        return httpx.Response(500, json={"detail": "oops"})

    async with assistant(answering(answer)) as ai:
        told = await follow(ai, call_id="call_1", max_seconds=2)
    assert (told["ended"], [turn["text"] for turn in told["turns"]]) == (False, TOLD[:2])


async def test_a_slow_api_does_not_stretch_the_waiting(assistant, answering) -> None:
    """max_seconds bounds the whole tool: hosts give up at sixty seconds, also while the last look is under way."""
    never = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return events(*(("turn", turn) for turn in turns(2)))
        await never.wait()
        raise AssertionError

    async with assistant(answering(answer), timeout=30) as ai:
        try:
            async with asyncio.timeout(25):
                told = await follow(ai, call_id="call_1", max_seconds=1)
        finally:
            never.set()
    assert (told["ended"], [turn["text"] for turn in told["turns"]]) == (False, TOLD[:2])


async def test_leaving_closes_the_stream_at_once(assistant, sandbox) -> None:
    """A host that cancels leaves no listener behind."""
    async with assistant() as ai:
        call = (await ai.ask("place_call", to_number=TALKATIVE, **CALL))["result"]
        waiting = asyncio.create_task(ai.client.call_tool("wait_for_call", {"call_id": call["id"]}))
        async with asyncio.timeout(60):
            while not sandbox.context.simulator.listeners(call["id"]):  # noqa: ASYNC110 - the engine tells nobody
                await asyncio.sleep(0.01)
            waiting.cancel()
            while sandbox.context.simulator.listeners(call["id"]):  # noqa: ASYNC110 - the engine tells nobody
                await asyncio.sleep(0.01)
        assert sandbox.context.account.calls[call["id"]].is_live


async def test_what_a_slow_stream_has_not_told_is_read_in_the_end(assistant, answering) -> None:
    """The time is up before the stream says a word; the call itself has it all."""

    def stream(_: httpx.Request) -> httpx.Response:
        async def body() -> Any:
            yield b": heartbeat\n\n"
            await asyncio.sleep(20)

        return httpx.Response(200, content=body(), headers=EVENT_STREAM)

    for status, ended in (("in-progress", False), ("completed", True)):
        async with assistant(answering(api(stream, status))) as ai:
            told = await follow(ai, call_id="call_1", max_seconds=1)
        assert ([turn["text"] for turn in told["turns"]], told["ended"]) == (TOLD, ended)
        assert told["answered"] is True


async def test_an_end_before_the_last_words_does_not_hide_them(assistant, answering) -> None:
    """What the stream left out is read."""
    stream = events(*(("turn", turn) for turn in turns(2)), ("ended", {"status": "completed"}))
    async with assistant(answering(api(stream, "completed"))) as ai:
        told = await follow(ai, call_id="call_1")
    assert ([turn["text"] for turn in told["turns"]], told["ended"]) == (TOLD, True)
    assert "next_step" not in told


async def test_an_end_that_cannot_be_checked_says_so(assistant, answering) -> None:
    """The transcript may have more than the stream did."""
    stream = events(*(("turn", turn) for turn in turns(2)), ("ended", {"status": "completed"}))
    working = api(stream, "completed")

    def answer(request: httpx.Request) -> httpx.Response:
        is_stream = request.url.path.endswith("/stream")
        return working(request) if is_stream else httpx.Response(403, json={"detail": "no"})

    async with assistant(answering(answer)) as ai:
        told = await follow(ai, call_id="call_1")
    assert (told["ended"], len(told["turns"])) == (True, 2)
    assert "get_transcript" in told["next_step"]


async def test_nobody_can_have_read_more_than_was_said(assistant, answering) -> None:
    """Whoever goes on from there would miss what is said next."""
    async with assistant(answering(api(events(*(("turn", turn) for turn in turns(3)))))) as ai:
        told = await follow(ai, call_id="call_1", max_seconds=1, after_turn=50)
    assert (told["turns"], told["after_turn"]) == ([], len(SAID))


async def test_a_very_long_call_is_told_in_pieces(assistant, answering) -> None:
    """The rest of it waits in the transcript."""
    said = [{"role": "user", "content": f"turn {number}"} for number in range(450)]
    whole = events(*(("turn", turn) for turn in said), ("ended", {"status": "completed"}))
    async with assistant(answering(api(whole))) as ai:
        told = await follow(ai, call_id="call_1", max_seconds=60, after_turn=100)
    assert (told["ended"], told["after_turn"], told["turns"][-1]["text"]) == (True, 300, mark("turn 299"))
    assert told["next_step"] == "450 turns were heard: read on with get_transcript and this after_turn."


async def test_pairs_are_not_mixed_with_the_turns_of_a_stream(assistant, answering) -> None:
    """They count otherwise: some turns would be told twice and some never."""
    pairs = [{"transcript": "Hello."}, {"transcript": "Hi.", "response": "Sure."}, {"transcript": "Thanks."}]
    lost = events(*(("turn", turn) for turn in turns(3)))
    whole = events(*(("turn", turn) for turn in turns(4)), ("ended", {"status": "completed"}))
    streams = [lost, whole]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return streams.pop(0)
        if request.url.path.endswith("/transcript"):
            return httpx.Response(200, json={"data": pairs})
        return httpx.Response(200, json={"id": "call_1", "status": "in-progress" if streams else "completed"})

    progress = Progress()
    async with assistant(answering(answer)) as ai:
        told = await follow(ai, progress, call_id="call_1", max_seconds=5)
        await progress.reach(len(SAID))
    assert [turn["text"] for turn in told["turns"]] == TOLD
    assert progress.counts == [1, 2, 3, 4]


async def test_a_paired_turn_of_a_stream_is_two_turns(assistant, answering) -> None:
    """What was heard, and what was said to it."""
    stream = events(("turn", {"transcript": "Hi there", "response": "Hello you"}), ("ended", {"status": "completed"}))
    async with assistant(answering(api(stream, "completed", said=0))) as ai:
        told = await follow(ai, call_id="call_1")
    assert [(turn["role"], turn["text"]) for turn in told["turns"]] == [
        ("caller", mark("Hi there")),
        ("agent", "Hello you"),
    ]


async def test_a_busy_moment_while_polling_is_waited_out(assistant, answering) -> None:
    """The call goes on, whatever the API says of its own load."""
    busy = [httpx.Response(429, headers={"Retry-After": "20"}, json={"detail": "slow down"})]
    polled = api(httpx.Response(404, json={"detail": "no stream"}), "completed")

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/transcript") and busy:
            return busy.pop()
        return polled(request)

    async with assistant(answering(answer)) as ai:
        told = await follow(ai, call_id="call_1", max_seconds=10)
    assert ([turn["text"] for turn in told["turns"]], told["ended"]) == (TOLD, True)


@pytest.mark.parametrize(
    ("status", "answered"), [("no-answer", False), ("in-progress", None)], ids=["nobody-came", "it-rings"]
)
async def test_an_opening_into_silence_is_no_answer(assistant, answering, status, answered) -> None:
    """In the older shape the agent's first words look like somebody's."""
    recorder = answering(
        lambda request: (
            httpx.Response(404, json={"detail": "no"})
            if request.url.path.endswith("/stream")
            else httpx.Response(200, json={"data": [{"transcript": "Hello, this is Desk."}]})
            if request.url.path.endswith("/transcript")
            else httpx.Response(200, json={"id": "call_1", "status": status})
        )
    )
    async with assistant(recorder) as ai:
        told = await follow(ai, call_id="call_1", max_seconds=1)
    assert (told["status"], told.get("answered"), len(told["turns"])) == (status, answered, 1)
