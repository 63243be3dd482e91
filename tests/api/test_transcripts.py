"""Tests of transcripts in both shapes, whole or streamed."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, NotFound, RateLimited, Unreachable, UnreadableAnswer
from agentphone_mcp.api.provenance import Words, whose_words
from tests.api.conftest import Read

SEEDS_TRANSCRIPT = {
    "data": [
        {
            "id": "tx_001",
            "transcript": "Hi, I am calling to schedule an appointment.",
            "response": None,
            "confidence": 0.95,
            "createdAt": "2025-01-15T10:32:01.000Z",
        },
        {
            "id": "tx_002",
            "transcript": "Sure, what day works for you?",
            "response": "Next Tuesday at 2pm would be great.",
            "confidence": 0.92,
            "createdAt": "2025-01-15T10:32:05.000Z",
        },
    ]
}
SEEDS_CALL = {
    "id": "call_ghi012",
    "status": "completed",
    "recordingUrl": "https://api.twilio.com/2010-04-01/.../Recordings/RE...",
    "transcripts": [
        {
            "id": "tr_001",
            "transcript": "Hello! Thanks for calling Acme Corp. How can I help you today?",
            "confidence": 0.95,
            "response": "Sure! Could you please provide your order number?",
            "createdAt": "2025-01-15T14:00:05Z",
        },
        {
            "id": "tr_002",
            "transcript": "Hi, I'd like to check the status of my order.",
            "confidence": 0.92,
            "response": "Of course! Let me look that up for you.",
            "createdAt": "2025-01-15T14:00:15Z",
        },
    ],
}
SPOKEN = [
    {"role": "agent", "content": "Hello?", "createdAt": "2025-01-15T14:00:05Z"},
    {"role": "user", "content": "Hi.", "createdAt": "2025-01-15T14:00:07Z"},
]


OURS, THEIRS = Words.OURS, Words.STRANGER


def said(turns: list[Any]) -> list[tuple[str, str]]:
    """Return the turns as (role, text)."""
    return [(turn.role, turn.text) for turn in turns]


async def test_the_seeds_transcript_begins_with_the_agents_opening(read: Read) -> None:
    turns = (await read(SEEDS_TRANSCRIPT, lambda api: api.calls.transcript("call_def456"))).turns
    assert said(turns) == [
        ("agent", "Hi, I am calling to schedule an appointment."),
        ("caller", "Sure, what day works for you?"),
        ("agent", "Next Tuesday at 2pm would be great."),
    ]
    assert [turn.at for turn in turns] == ["2025-01-15T10:32:01Z", "2025-01-15T10:32:05Z", "2025-01-15T10:32:05Z"]


@pytest.mark.parametrize(
    ("rows", "whose"),
    [
        pytest.param(SEEDS_TRANSCRIPT["data"], [OURS, THEIRS, OURS], id="agent-or-a-caller-whom-nobody-answered"),
        pytest.param([{"transcript": "Hi.", "response": "Hello."}], [THEIRS, OURS], id="whoever-was-answered"),
        pytest.param(SPOKEN, [OURS, THEIRS], id="roles-are-payload"),
    ],
)
async def test_no_turn_is_plain_and_the_agents_are_no_strangers(read: Read, rows: Any, whose: list[Words]) -> None:
    """A caller can cause a first row without a reply too, by speaking first while the webhook is down."""
    turns = (await read({"data": rows}, lambda api: api.calls.transcript("call_1"))).turns
    assert [whose_words(turn, "text") for turn in turns] == whose


async def test_the_seeds_call_has_its_transcript(read: Read) -> None:
    call = await read(SEEDS_CALL, lambda api: api.calls.get("call_ghi012"))
    assert [role for role, _ in said(call.transcript)] == ["caller", "agent", "caller", "agent"]
    assert call.recording_url == "https://api.twilio.com/2010-04-01/.../Recordings/RE..."


@pytest.mark.parametrize(
    ("payload", "turns"),
    [
        pytest.param({"transcript": SPOKEN}, [("agent", "Hello?"), ("caller", "Hi.")], id="newer"),
        pytest.param({"transcript": SPOKEN, **SEEDS_TRANSCRIPT}, [("agent", "Hello?"), ("caller", "Hi.")], id="both"),
        pytest.param({"data": SPOKEN}, [("agent", "Hello?"), ("caller", "Hi.")], id="newer-rows-in-data"),
        pytest.param(SPOKEN, [("agent", "Hello?"), ("caller", "Hi.")], id="bare-list"),
        pytest.param({"transcripts": SPOKEN}, [("agent", "Hello?"), ("caller", "Hi.")], id="as-in-a-call"),
        pytest.param({"data": []}, [], id="nothing-said"),
        pytest.param({"transcript": [], "data": None}, [], id="nothing-said-newer"),
        pytest.param({"transcript": None}, [], id="null"),
        pytest.param(
            {"data": [{"transcript": "Anyone?", "response": None}]}, [("caller", "Anyone?")], id="no-reply-yet"
        ),
        pytest.param(
            {"data": [{"transcript": None, "response": "Hello!"}]}, [("agent", "Hello!")], id="reply-to-silence"
        ),
        pytest.param(
            {"transcript": [{"role": role, "content": "x"} for role in ("assistant", "bot", "human", "callee", None)]},
            [("agent", "x"), ("agent", "x"), ("caller", "x"), ("caller", "x"), ("caller", "x")],
            id="other-names-for-roles",
        ),
        pytest.param(
            {"transcript": [{"role": "agent", "content": None}, "noise", None, {"role": "user", "text": "Hi."}]},
            [("caller", "Hi.")],
            id="odd-rows",
        ),
    ],
)
async def test_a_transcript_is_read_in_every_shape(read: Read, payload: Any, turns: list[tuple[str, str]]) -> None:
    assert said((await read(payload, lambda api: api.calls.transcript("call_1"))).turns) == turns


class Stream(httpx.AsyncByteStream):
    """Sends its pieces and then raises, if it is given an error."""

    def __init__(self, *pieces: str | bytes | Exception) -> None:
        self._pieces = pieces
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece.encode() if isinstance(piece, str) else piece

    async def aclose(self) -> None:
        """Note that the client closed the stream."""
        self.is_closed = True


def event(name: str, data: Any) -> str:
    """Write one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


CONNECTED = event("connected", {"callId": "call_1", "status": "in-progress"})
TURN = event("turn", {"role": "user", "content": "Hi.", "createdAt": "2025-01-15T14:00:07Z"})
ENDED = event("ended", {"callId": "call_1", "durationSeconds": 42, "status": "completed"})


async def heard(read: Read, *pieces: str | bytes | Exception) -> list[Any]:
    """Follow a call over such a stream to its end."""

    async def listen(api: ApiClient) -> list[Any]:
        async with api.calls.follow("call_1") as events:
            return [event async for event in events]

    headers = {"Content-Type": "text/event-stream; charset=utf-8"}
    return await read(lambda _: httpx.Response(200, headers=headers, stream=Stream(*pieces)), listen)


async def test_a_call_is_heard_from_its_first_turn_to_its_end(read: Read) -> None:
    connected, turn, ended = await heard(read, CONNECTED, ": heartbeat\n\n", TURN, ": heartbeat\n\n", ENDED)
    assert (connected.kind, connected.status, connected.turn) == ("connected", "in-progress", None)
    assert (turn.kind, turn.turn.role, turn.turn.text, turn.turn.at) == (
        "turn",
        "caller",
        "Hi.",
        "2025-01-15T14:00:07Z",
    )
    assert (ended.kind, ended.status, ended.duration_seconds) == ("ended", "completed", 42)


async def test_a_stream_is_asked_for_as_one(answering: Any, api_over: Any) -> None:
    network = answering(lambda _: httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=ENDED))
    async with api_over(network) as api, api.calls.follow("call_1") as events:
        assert [event.kind async for event in events] == ["ended"]
    assert network.lines == ["GET https://api.agentphone.to/v1/calls/call_1/transcript/stream"]
    assert network.requests[0].headers["Accept"] == "text/event-stream"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((CONNECTED.replace("\n", "\r\n"), TURN.replace("\n", "\r\n")), id="crlf"),
        pytest.param(tuple(CONNECTED + TURN), id="a-letter-at-a-time"),
        pytest.param((CONNECTED + "id: 7\nretry: 10\n" + TURN,), id="other-fields"),
        pytest.param((CONNECTED, "event: ping\ndata:\n\n", TURN), id="event-without-data"),
        pytest.param((CONNECTED, TURN, 'event: turn\ndata: {"role": "ag'), id="redact-off-inside-an-event"),
    ],
)
async def test_a_stream_is_read_however_it_is_cut(read: Read, pieces: tuple[str, ...]) -> None:
    assert [event.kind for event in await heard(read, *pieces)] == ["connected", "turn"]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(httpx.ReadError("reset"), id="reset"),
        pytest.param(httpx.RemoteProtocolError("cut off"), id="cut-off"),
        pytest.param(httpx.ReadTimeout("silent"), id="silent"),
    ],
)
async def test_a_broken_stream_is_unreachable(read: Read, lost: Exception) -> None:
    with pytest.raises(Unreachable):
        await heard(read, CONNECTED, TURN, lost)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param("event: turn\ndata: {bad\n\n", id="no-json"),
        pytest.param(event("ended", None), id="null"),
        pytest.param(event("ended", [1]), id="list"),
        pytest.param(event("turn", {"role": "agent", "content": {"a": 1}}), id="text-that-is-none"),
        pytest.param("event: turn\ndata: " + "[" * 100_000 + "\n\n", id="deeper-than-can-be-read"),
        pytest.param(b"event: turn\ndata: \xff\xfe\n\n", id="broken-utf-8"),
    ],
)
async def test_an_event_that_cannot_be_read_is_skipped_or_an_api_error(read: Read, piece: str | bytes) -> None:
    turns = []
    with suppress(UnreadableAnswer):
        turns = [event.turn for event in await heard(read, CONNECTED, piece) if event.turn]
    assert not turns


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(httpx.Response(404, json={"detail": "No such call"}), NotFound, id="no-such-call"),
        pytest.param(httpx.Response(429, headers={"Retry-After": "9"}, json={}), RateLimited, id="too-many"),
        pytest.param(httpx.Response(200, html="<h1>Hello</h1>"), UnreadableAnswer, id="web-page"),
        pytest.param(httpx.Response(200, json={"data": []}), UnreadableAnswer, id="json"),
        pytest.param(httpx.Response(200), UnreadableAnswer, id="empty"),
    ],
)
async def test_what_is_no_stream_is_an_error_of_its_kind(
    read: Read, answer: httpx.Response, error: type[ApiError]
) -> None:
    async def listen(api: ApiClient) -> None:
        async with api.calls.follow("call_1") as events:
            async for _ in events:
                pass

    with pytest.raises(error):
        await read(lambda _: answer, listen)


async def test_leaving_early_closes_the_stream(answering: Any, api_over: Any) -> None:
    stream = Stream(CONNECTED, *[TURN] * 1000)
    headers = {"Content-Type": "text/event-stream"}
    network = answering(lambda _: httpx.Response(200, headers=headers, stream=stream))
    async with api_over(network) as api:
        async with api.calls.follow("call_1") as events:
            async for event in events:
                if event.turn:
                    break
        assert stream.is_closed
