"""Check the live stream of a call, and its recording."""

import asyncio
import io
import wave
from typing import Any

import httpx
import httpx_sse
import pytest

from agentphone_mcp.sandbox import Sandbox


async def place(http: httpx.AsyncClient, number: str = "+14155559999", **more: Any) -> str:
    answer = await http.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": number, **more})
    return answer.json()["id"]


async def listen(http: httpx.AsyncClient, call_id: str) -> list[tuple[str, dict[str, Any]]]:
    async with (
        asyncio.timeout(60),
        httpx_sse.aconnect_sse(http, "GET", f"/v1/calls/{call_id}/transcript/stream") as stream,
    ):
        return [(event.event, event.json()) async for event in stream.aiter_sse()]


async def test_every_listener_hears_every_turn_once(http: httpx.AsyncClient) -> None:
    call_id = await place(http, "+14155550109")
    early = [asyncio.create_task(listen(http, call_id)) for _ in range(5)]
    transcript: list[Any] = []
    async with asyncio.timeout(60):
        while len(transcript) < 10:
            transcript = (await http.get(f"/v1/calls/{call_id}/transcript")).json()["transcript"]
    heard = [await listen(http, call_id), *await asyncio.gather(*early), await listen(http, call_id)]
    transcript = (await http.get(f"/v1/calls/{call_id}/transcript")).json()["transcript"]
    for events in heard:
        assert [data for name, data in events if name == "turn"] == transcript
        assert [name for name, _ in events if name != "turn"] == ["connected", "ended"]
        assert (events[0][0], events[-1][0]) == ("connected", "ended")


async def test_a_past_call_is_replayed_and_closed(http: httpx.AsyncClient) -> None:
    events = await listen(http, "call_past01")
    assert events[0] == ("connected", {"callId": "call_past01", "status": "completed"})
    assert events[-1] == ("ended", {"callId": "call_past01", "durationSeconds": 42, "status": "completed"})
    assert [data["role"] for _, data in events[1:-1]] == ["agent", "user"] * 3 + ["agent"]
    assert events[1][1].keys() == {"role", "content", "createdAt", "id"}


@pytest.mark.parametrize("speed", [pytest.param(1, id="in-real-time")])
async def test_a_listener_who_leaves_is_let_go_at_once(http: httpx.AsyncClient, served: Sandbox) -> None:
    call_id = await place(http, "+14155550102")
    listeners = served.context.simulator.listeners
    async with httpx_sse.aconnect_sse(http, "GET", f"/v1/calls/{call_id}/transcript/stream") as stream:
        await anext(stream.aiter_sse())
        assert listeners(call_id) == 1
    async with asyncio.timeout(60):
        while listeners(call_id):
            await http.get("/v1/usage")


@pytest.mark.parametrize("speed", [pytest.param(1, id="in-real-time")])
async def test_a_quiet_stream_beats(http: httpx.AsyncClient, served: Sandbox) -> None:
    served.context.heartbeat = 0.005
    call_id = await place(http, "+14155550102")
    async with http.stream("GET", f"/v1/calls/{call_id}/transcript/stream") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert ": heartbeat" in [await anext(lines) for _ in range(5)]


async def test_a_recording_is_playable(api: httpx.AsyncClient) -> None:
    call = (await api.get("/v1/calls/call_past01")).json()
    assert call["recordingAvailable"] is True
    assert call["recordingUrl"] == "http://127.0.0.1/v1/calls/call_past01/recording"
    answer = await api.get(call["recordingUrl"])
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as audio:
        assert audio.getnframes() >= audio.getframerate()


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param({"disableRecording": True}, id="disabled"),
        pytest.param({"number": "+14155550101"}, id="unanswered"),
    ],
)
async def test_what_was_not_recorded_is_not_found(http: httpx.AsyncClient, wanted: dict[str, Any]) -> None:
    call_id = await place(http, **wanted)
    await listen(http, call_id)
    answer = await http.get(f"/v1/calls/{call_id}/recording")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RECORDING_NOT_FOUND")
