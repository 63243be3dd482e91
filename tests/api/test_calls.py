"""Tests of `/v1/calls` without transcripts: what is sent, and every shape that is read."""

from typing import Any

import httpx
import pytest

from agentphone_mcp.api.errors import NotFound, UnreadableAnswer
from tests.api.conftest import PAGE, Ask, Read, Sent, SentBy, sends

OURS, THEIRS = "+14155551234", "+14155559999"

SEEDS_PLACED = {
    "id": "call_def456",
    "agentId": "agent_abc123",
    "fromNumber": "+14155551234",
    "toNumber": "+14155559999",
    "direction": "outbound",
    "status": "in-progress",
    "startedAt": "2025-01-15T10:32:00.000Z",
}
SEEDS_ROW = {
    "id": "call_ghi012",
    "agentId": "agt_abc123",
    "phoneNumberId": "num_xyz789",
    "phoneNumber": "+15551234567",
    "fromNumber": "+15559876543",
    "toNumber": "+15551234567",
    "direction": "inbound",
    "status": "completed",
    "startedAt": "2025-01-15T14:00:00Z",
    "endedAt": "2025-01-15T14:05:30Z",
    "durationSeconds": 330,
    "lastTranscriptSnippet": "Thank you for calling, goodbye!",
    "recordingUrl": "https://api.twilio.com/2010-04-01/.../Recordings/RE...",
    "recordingAvailable": True,
}


@pytest.mark.parametrize(
    ("ask", "documented"),
    [
        sends(lambda api: api.calls.list(), "GET /v1/calls", query=PAGE, id="list"),
        sends(
            lambda api: api.calls.list(5, 10, status="no-answer", direction="web", search="+1 (415)"),
            "GET /v1/calls",
            query={"limit": "5", "offset": "10", "status": "no-answer", "direction": "web", "search": "+1 (415)"},
            id="filtered-list",
        ),
        sends(lambda api: api.calls.list(agent_id="a_1"), "GET /v1/agents/a_1/calls", query=PAGE, id="of-agent"),
        sends(lambda api: api.calls.list(number_id="n_1"), "GET /v1/numbers/n_1/calls", query=PAGE, id="of-number"),
        sends(lambda api: api.calls.get("call_1"), "GET /v1/calls/call_1", id="get"),
        sends(
            lambda api: api.calls.place("agent_abc123", "+14155559999"),
            "POST /v1/calls",
            {"agentId": "agent_abc123", "toNumber": "+14155559999"},
            id="place-with-little",
        ),
        sends(
            lambda api: api.calls.place(
                "agent_abc123",
                "+14155559999",
                from_number_id="num_1",
                initial_greeting="Hi, I am calling to schedule an appointment.",
                system_prompt="Schedule a dentist appointment for next Tuesday at 2pm.",
                voice="nova",
                model_tier="turbo",
                variables={"firstName": "Ada"},
                disable_recording=True,
            ),
            "POST /v1/calls",
            {
                "agentId": "agent_abc123",
                "toNumber": "+14155559999",
                "fromNumberId": "num_1",
                "initialGreeting": "Hi, I am calling to schedule an appointment.",
                "systemPrompt": "Schedule a dentist appointment for next Tuesday at 2pm.",
                "voice": "nova",
                "modelTier": "turbo",
                "variables": {"firstName": "Ada"},
                "disableRecording": True,
            },
            id="place-with-everything",
        ),
        sends(lambda api: api.calls.create_web("agent_1"), "POST /v1/calls/web", {"agentId": "agent_1"}, id="web"),
        sends(
            lambda api: api.calls.create_web("agent_1", metadata={"user_id": 7}, variables={"first_name": "Ada"}),
            "POST /v1/calls/web",
            {"agentId": "agent_1", "metadata": {"user_id": 7}, "variables": {"first_name": "Ada"}},
            id="web-with-everything",
        ),
        sends(lambda api: api.calls.end("call_1"), "POST /v1/calls/call_1/end", id="end"),
        sends(lambda api: api.calls.transcript("call_1"), "GET /v1/calls/call_1/transcript", id="transcript"),
        sends(lambda api: api.calls.recording("call_1"), "GET /v1/calls/call_1/recording", id="recording"),
    ],
)
async def test_each_method_sends_what_the_api_documents(sent_by: SentBy, ask: Ask, documented: Sent) -> None:
    assert await sent_by(ask) == documented


async def test_the_seeds_placed_call_is_read(read: Read) -> None:
    call = await read(SEEDS_PLACED, lambda api: api.calls.place("agent_abc123", "+14155559999"), status=201)
    assert (call.id, call.status, call.direction) == ("call_def456", "in-progress", "outbound")
    assert (call.from_number, call.to_number) == ("+14155551234", "+14155559999")
    assert call.started_at == "2025-01-15T10:32:00Z"
    assert call.ended_at is call.duration_seconds is call.recording_available is None
    assert not call.has_ended


async def test_the_seeds_list_of_calls_is_read(read: Read) -> None:
    page = await read({"data": [SEEDS_ROW], "hasMore": False, "total": 1}, lambda api: api.calls.list())
    (call,) = page.data
    assert (page.total, page.has_more) == (1, False)
    assert (call.agent_id, call.phone_number_id, call.duration_seconds) == ("agt_abc123", "num_xyz789", 330)
    assert (call.started_at, call.ended_at) == ("2025-01-15T14:00:00Z", "2025-01-15T14:05:30Z")
    assert call.last_transcript_snippet == "Thank you for calling, goodbye!"
    assert call.recording_available is True
    assert call.has_ended


async def test_a_newer_call_full_of_nulls_is_read(read: Read) -> None:
    nulls = dict.fromkeys(("agentId", "phoneNumberId", "phoneNumber", "endedAt", "durationSeconds", "transcripts"))
    payload = {
        **nulls,
        "id": "call_1",
        "fromNumber": "web",
        "status": "ringing",
        "startedAt": "2025-01-15T14:00:00Z",
        "x": 1,
    }
    call = await read(payload, lambda api: api.calls.get("call_1"))
    assert (call.from_number, call.agent_id, call.transcript) == ("web", None, [])


@pytest.mark.parametrize(
    ("ends", "direction", "other"),
    [
        pytest.param((OURS, OURS, THEIRS), "outbound", THEIRS, id="we-called"),
        pytest.param((OURS, THEIRS, OURS), "inbound", THEIRS, id="they-called"),
        pytest.param((None, "web", "web"), "web", None, id="a-browser"),
        pytest.param((OURS, OURS, OURS), None, OURS, id="one-number-twice"),
        pytest.param((None, THEIRS, None), None, None, id="nothing-of-ours"),
        pytest.param(("+14155550001", THEIRS, OURS), None, OURS, id="another-of-ours"),
    ],
)
async def test_the_newer_api_tells_the_direction_by_the_accounts_number(
    read: Read, ends: tuple[str | None, ...], direction: str | None, other: str | None
) -> None:
    payload = {"id": "call_1", **dict(zip(("phoneNumber", "fromNumber", "toNumber"), ends, strict=True))}
    call = await read(payload, lambda api: api.calls.get("call_1"))
    assert (call.direction, call.other_number) == (direction, other)


@pytest.mark.parametrize(
    ("status", "has_ended"),
    [
        pytest.param("completed", True, id="completed"),
        pytest.param("failed", True, id="failed"),
        pytest.param("busy", True, id="busy"),
        pytest.param("no-answer", True, id="no-answer"),
        pytest.param("ringing", False, id="ringing"),
        pytest.param("in-progress", False, id="in-progress"),
        pytest.param("parked", False, id="unknown"),
        pytest.param(None, False, id="none"),
    ],
)
async def test_only_a_final_status_says_that_a_call_is_over(read: Read, status: str | None, has_ended: bool) -> None:
    assert (await read({"id": "call_1", "status": status}, lambda api: api.calls.get("call_1"))).has_ended is has_ended


@pytest.mark.parametrize(
    ("payload", "call_id"),
    [
        pytest.param({"accessToken": "ey.1"}, None, id="token-alone"),
        pytest.param({"accessToken": "ey.1", "callId": "call_1", "expiresIn": 30}, "call_1", id="call-id"),
        pytest.param({"access_token": "ey.1", "call_id": "call_1"}, "call_1", id="snake-case"),
        pytest.param({"accessToken": "ey.1", "id": "call_1"}, "call_1", id="id"),
    ],
)
async def test_a_web_call_is_read(read: Read, payload: Any, call_id: str | None) -> None:
    web = await read(payload, lambda api: api.calls.create_web("agent_1"), status=201)
    assert (web.access_token, web.call_id) == ("ey.1", call_id)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(httpx.Response(200, json={"success": True}), id="success"),
        pytest.param(httpx.Response(200, json={"success": True, "message": "Call ended"}), id="message"),
        pytest.param(httpx.Response(200, json=SEEDS_ROW), id="the-call"),
        pytest.param(httpx.Response(202, json={}), id="empty-object"),
        pytest.param(httpx.Response(204), id="no-body"),
    ],
)
async def test_hanging_up_is_read_whatever_the_answer(read: Read, answer: httpx.Response) -> None:
    """API.md does not document the response."""
    assert (await read(lambda _: answer, lambda api: api.calls.end("call_1"))).success is True


async def test_a_recording_is_its_bytes_and_its_type(read: Read) -> None:
    audio = httpx.Response(200, content=b"RIFF\x00\xff", headers={"Content-Type": "audio/wav"})
    recording = await read(lambda _: audio, lambda api: api.calls.recording("call_1"))
    assert (recording.audio, recording.content_type) == (b"RIFF\x00\xff", "audio/wav")


async def test_a_missing_recording_is_not_found(read: Read) -> None:
    with pytest.raises(NotFound):
        await read({"detail": "No recording"}, lambda api: api.calls.recording("call_1"), status=404)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(httpx.Response(200, html="<h1>Sign in</h1>"), id="web-page"),
        pytest.param(httpx.Response(200, json={"url": "https://x.example"}), id="json"),
        pytest.param(httpx.Response(200), id="empty"),
    ],
)
async def test_what_is_no_audio_is_no_recording(read: Read, answer: httpx.Response) -> None:
    with pytest.raises(UnreadableAnswer):
        await read(lambda _: answer, lambda api: api.calls.recording("call_1"))
