"""Show what was said in a call: the transcript, its live stream (SSE), and the recording."""

import asyncio
import io
import json
import math
import struct
import wave
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data.models import Call, Turn
from agentphone_mcp.sandbox.responses import Json, RefusalError, ok, stamp

_SAMPLE_RATE = 8000
_LONGEST_RECORDING = 5


def exchanges(call: Call) -> list[Json]:
    """Show the transcript as exchanges: what the other party said and the agent's reply.

    What the agent says first, such as its greeting, is a row without a response. Several turns of the agent in a
    row, such as the chunks of a stream or a pressed key, are one response.
    """
    rows: list[Json] = []
    has_question = False
    for turn in call.turns:
        if turn.role == "agent" and has_question:
            rows[-1]["response"] = " ".join(filter(None, (rows[-1]["response"], turn.content)))
        else:
            rows.append(
                {
                    "id": turn.id,
                    "transcript": turn.content,
                    "response": None,
                    "confidence": turn.confidence,
                    "createdAt": stamp(turn.at),
                }
            )
            has_question = turn.role == "user"
    return rows


def _turn_json(turn: Turn) -> Json:
    row = {"role": turn.role, "content": turn.content, "createdAt": stamp(turn.at), "id": turn.id}
    return row | {"interrupted": True} if turn.is_interrupted else row


async def get_transcript(request: Request) -> Response:
    """GET /v1/calls/{id}/transcript, as exchanges (`data`) and as single turns (`transcript`)."""
    call = context_of(request).call(request.path_params["call_id"])
    turns = [_turn_json(turn) for turn in call.turns]
    return ok({"callId": call.id, "status": call.status, "data": exchanges(call), "transcript": turns})


async def stream_transcript(request: Request) -> Response:
    """GET /v1/calls/{id}/transcript/stream: past turns, then live ones, until the call has ended."""
    context = context_of(request)
    call = context.call(request.path_params["call_id"])
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(context, call), media_type="text/event-stream", headers=headers)


async def _events(context: SandboxContext, call: Call) -> AsyncIterator[str]:
    sent = 0
    with context.simulator.listening(call) as changed:
        yield _event("connected", {"callId": call.id, "status": call.status})
        while not context.simulator.is_closed:
            # Cleared before reading, so that a turn spoken while we send wakes us again.
            changed.clear()
            while sent < len(call.turns):
                sent += 1
                yield _event("turn", _turn_json(call.turns[sent - 1]))
            if not call.is_live:
                yield _event("ended", {"callId": call.id, "durationSeconds": call.seconds, "status": call.status})
                return
            try:
                await asyncio.wait_for(changed.wait(), context.heartbeat)
            except TimeoutError:
                yield ": heartbeat\n\n"


def _event(name: str, data: Json) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def get_recording(request: Request) -> Response:
    """GET /v1/calls/{id}/recording: a WAV, or 404 when nothing was recorded."""
    call = context_of(request).call(request.path_params["call_id"])
    if not call.has_recording:
        raise RefusalError(404, f"Call '{call.id}' has no recording.", "RECORDING_NOT_FOUND")
    return Response(_tone(min(max(call.seconds or 0, 1), _LONGEST_RECORDING)), media_type="audio/wav")


def _tone(seconds: int) -> bytes:
    """Return a soft tone of 440 Hz, in place of voices."""
    samples = (round(3000 * math.sin(2 * math.pi * 440 * n / _SAMPLE_RATE)) for n in range(seconds * _SAMPLE_RATE))
    audio = io.BytesIO()
    with wave.open(audio, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SAMPLE_RATE)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return audio.getvalue()


routes = [
    Route("/v1/calls/{call_id}/transcript", get_transcript, methods=["GET"]),
    Route("/v1/calls/{call_id}/transcript/stream", stream_transcript, methods=["GET"]),
    Route("/v1/calls/{call_id}/recording", get_recording, methods=["GET"]),
]
