"""Test wait_for_call on streams that break, end early or are missing, and on what they leave unknown."""

import json
from typing import Any

import anyio
import httpx
import pytest

from tests.features.live.scripted_call import (
    EVENT_STREAM,
    SAID,
    SHOWN,
    Progress,
    api,
    events,
    follow,
    spoken,
    texts,
    turns,
)
from tests.features.marks import mark, quote


@pytest.mark.parametrize("status", [404, 405])
async def test_without_a_stream_the_call_is_polled(assistant, answering, status) -> None:
    progress = Progress()
    recorder = answering(api(httpx.Response(status, json={"detail": "no"}), "completed"))
    async with assistant(recorder) as ai:
        result = await follow(ai, progress, call_id="call_1")
        await progress.reach(len(SAID))
    assert (result["ended"], texts(result)) == (True, SHOWN)
    assert progress.counts == [1, 2, 3, 4]


def breaks_off(request: httpx.Request) -> httpx.Response:
    """Stream two turns and then lose the connection."""

    async def body() -> Any:
        for turn in turns(2):
            yield f"event: turn\ndata: {json.dumps(turn)}\n\n".encode()
        raise httpx.ReadError("reset", request=request)

    return httpx.Response(200, content=body(), headers=EVENT_STREAM)


def is_refused(request: httpx.Request) -> httpx.Response:
    """Refuse the connection."""
    raise httpx.ConnectError("refused", request=request)


BROKEN = {
    "breaks-off": breaks_off,
    "refused": is_refused,
    "closes-early": spoken(2),
    "says-nothing": events(),
    "is-no-stream": httpx.Response(200, json={"hello": "there"}),
    "is-no-json": httpx.Response(200, text="event: turn\ndata: {oops\n\n", headers=EVENT_STREAM),
    "is-overloaded": httpx.Response(503, text="<html>busy</html>"),
}  # fmt: skip


@pytest.mark.parametrize("stream", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_stream_is_replaced_by_polling(assistant, answering, stream) -> None:
    progress = Progress()
    async with assistant(answering(api(stream, "completed"))) as ai:
        result = await follow(ai, progress, call_id="call_1", max_seconds=5)
        await progress.reach(len(SAID))
    assert (result["ended"], texts(result)) == (True, SHOWN)
    assert progress.counts == [1, 2, 3, 4]


async def test_an_end_that_only_the_stream_reports_does_not_invent_a_status(assistant, answering) -> None:
    stream = spoken(2, ("ended", {}))
    async with assistant(answering(api(stream, "in-progress", said=2))) as ai:
        result = await follow(ai, call_id="call_1")
    assert result["ended"] is True
    assert result.get("status") != "completed"


ENDED = ("ended", {"status": "completed"})
CONNECTED = ("connected", {"status": "in-progress"})
PAIR = {"transcript": "Hi there", "response": "Hello you"}
STATUS_MISSING = events(CONNECTED, ("ended", {"durationSeconds": 0}))
STREAMS = {
    "closing-is-no-end": (spoken(2, CONNECTED), "in-progress", 2, {"ended": False, "status": "in-progress"}, SHOWN[:2]),
    "end-without-status-of-failed": (STATUS_MISSING, "failed", 0, {"status": "failed"}, []),
    "end-without-status-of-busy": (STATUS_MISSING, "busy", 0, {"status": "busy"}, []),
    "end-without-status-of-no-answer": (STATUS_MISSING, "no-answer", 0, {"status": "no-answer"}, []),
    "duration-only-in-the-stream": (
        spoken(2, ("ended", {"durationSeconds": 12, "status": "completed"})),
        "in-progress",
        2,
        {"status": "completed", "duration_seconds": 12},
        SHOWN[:2],
    ),
    "unknown-event": (spoken(1, ("mood", {"caller": "cheerful"}), ENDED), "completed", 1, {}, SHOWN[:1]),
    "end-before-the-last-turns": (spoken(2, ENDED), "completed", 4, {"status": "completed", "next_step": None}, SHOWN),
    "paired-turn": (events(("turn", PAIR), ENDED), "completed", 0, {}, [mark("Hi there"), quote("Hello you")]),
}


@pytest.mark.parametrize(("stream", "status", "said", "expected", "words"), STREAMS.values(), ids=STREAMS.keys())
async def test_state_and_turns_come_from_the_stream_and_the_call(
    assistant, answering, stream, status, said, expected, words
) -> None:
    async with assistant(answering(api(stream, status, said))) as ai:
        result = await follow(ai, call_id="call_1", max_seconds=1)
    assert texts(result) == words
    assert {"ended": True} | expected == {name: result.get(name) for name in {"ended": True} | expected}


async def test_an_api_that_fails_while_polling_does_not_lose_the_turns_so_far(assistant, answering) -> None:
    heard = False

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal heard
        if request.url.path.endswith("/stream") and not heard:
            heard = True
            return spoken(2)
        return httpx.Response(500, json={"detail": "oops"})

    async with assistant(answering(answer)) as ai:
        result = await follow(ai, call_id="call_1", max_seconds=1)
    assert (result["ended"], texts(result)) == (False, SHOWN[:2])


async def test_turns_that_a_slow_stream_has_not_sent_are_read_in_the_end(assistant, answering) -> None:
    def stream(_: httpx.Request) -> httpx.Response:
        async def body() -> Any:
            yield b": heartbeat\n\n"
            await anyio.sleep_forever()

        return httpx.Response(200, content=body(), headers=EVENT_STREAM)

    for status, ended in (("in-progress", False), ("completed", True)):
        async with assistant(answering(api(stream, status))) as ai:
            result = await follow(ai, call_id="call_1", max_seconds=1)
        assert (texts(result), result["ended"]) == (SHOWN, ended)
        assert result["answered"] is True


async def test_an_end_that_cannot_be_checked_says_so(assistant, answering) -> None:
    """The transcript may have more turns than the stream had."""
    working = api(spoken(2, ("ended", {"status": "completed"})), "completed")

    def answer(request: httpx.Request) -> httpx.Response:
        is_stream = request.url.path.endswith("/stream")
        return working(request) if is_stream else httpx.Response(403, json={"detail": "no"})

    async with assistant(answering(answer)) as ai:
        result = await follow(ai, call_id="call_1")
    assert (result["ended"], len(result["turns"])) == (True, 2)
    assert "get_transcript" in result["next_step"]


async def test_pairs_are_not_mixed_with_the_turns_of_a_stream(assistant, answering) -> None:
    """Paired transcripts count turns differently, so mixing both would repeat or skip turns."""
    pairs = [{"transcript": "Hello."}, {"transcript": "Hi.", "response": "Sure."}, {"transcript": "Thanks."}]
    lost = spoken(3)
    whole = spoken(4, ("ended", {"status": "completed"}))
    streams = [lost, whole]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return streams.pop(0)
        if request.url.path.endswith("/transcript"):
            return httpx.Response(200, json={"data": pairs})
        return httpx.Response(200, json={"id": "call_1", "status": "in-progress" if streams else "completed"})

    progress = Progress()
    async with assistant(answering(answer)) as ai:
        result = await follow(ai, progress, call_id="call_1", max_seconds=5)
        await progress.reach(len(SAID))
    assert texts(result) == SHOWN
    assert progress.counts == [1, 2, 3, 4]


async def test_a_rate_limit_while_polling_is_waited_out(assistant, answering) -> None:
    busy = [httpx.Response(429, headers={"Retry-After": "20"}, json={"detail": "slow down"})]
    polled = api(httpx.Response(404, json={"detail": "no stream"}), "completed")

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/transcript") and busy:
            return busy.pop()
        return polled(request)

    async with assistant(answering(answer)) as ai:
        result = await follow(ai, call_id="call_1", max_seconds=10)
    assert (texts(result), result["ended"]) == (SHOWN, True)


@pytest.mark.parametrize(
    ("status", "answered"), [("no-answer", False), ("in-progress", None)], ids=["nobody-came", "it-rings"]
)
async def test_an_opening_into_silence_is_no_answer(assistant, answering, status, answered) -> None:
    """In a paired transcript the agent's opening looks like words of the other side."""
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
        result = await follow(ai, call_id="call_1", max_seconds=1)
    assert (result["status"], result.get("answered"), len(result["turns"])) == (status, answered, 1)
