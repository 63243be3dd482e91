"""List and show calls, with their transcripts and recordings."""

import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Literal

from mcp_types import ResourceLink
from pydantic import BaseModel, Field

from agentphone_mcp.api.calls import Call, CallWithTranscript, Turn
from agentphone_mcp.api.models import paginate
from agentphone_mcp.api.provenance import AccountText, IdText, ServerText, UrlText
from agentphone_mcp.features.context import AccountGate, Api
from agentphone_mcp.features.live.paging import page_of
from agentphone_mcp.features.presentation.lists import (
    Listed,
    ListedTable,
    in_columns,
    listed,
    shortened,
    total_of_part,
    without,
)
from agentphone_mcp.features.presentation.schemas import Linked
from agentphone_mcp.features.tools.declaration import reads
from agentphone_mcp.features.tools.parameters import AfterTurn, AgentId, CallId, NumberId, Offset, PageSize
from agentphone_mcp.features.uris import RECORDING_URI
from agentphone_mcp.policy.errors import Refused

_MOST_SCANNED = 1_000
_WITHOUT_URL = {
    True: "The recording is kept, but the add-on is not active: its audio may be out of reach until it is.",
    None: "AgentPhone does not say whether it was recorded: the uri has the audio if it was.",
}

# In the order of the sandbox: `typing` caches a Literal whatever its order, so the first one made decides the schema.
CallStatus = Literal["ringing", "in-progress", "completed", "failed", "busy", "no-answer"]
Direction = Literal["inbound", "outbound", "web"]


class CallInFull(CallWithTranscript):
    """Show a call with its transcript; get_transcript adds the time of each turn, get_recording the audio."""

    total_turns: Annotated[int | None, Field(description="Where not all are here")] = None
    next_step: ServerText | None = None


class TranscriptPage(BaseModel):
    """Show what was said, turn by turn."""

    call_id: IdText
    turns: list[Turn]
    total_turns: Annotated[int | None, Field(description="Where not all are here")] = None
    next_after_turn: Annotated[int | None, Field(description="Pass as after_turn for more")] = None
    next_step: ServerText | None = None


class RecordingInfo(Linked):
    """Say whether a call was recorded and where; a host reads the audio by its uri."""

    call_id: IdText
    recording_available: Annotated[bool | None, Field(description="Absent where the API does not say")] = None
    uri: AccountText | None = None
    recording_url: UrlText | None = None
    next_step: ServerText | None = None

    def link(self) -> ResourceLink | None:
        """Link to the audio, for hosts that can play it."""
        return (
            ResourceLink(uri=self.uri, name=f"Recording of {self.call_id}", mime_type="audio/wav") if self.uri else None
        )


async def list_calls(
    api: Api,
    agent_id: AgentId | None = None,
    number_id: NumberId | None = None,
    status: CallStatus | None = None,
    direction: Direction | None = None,
    search: Annotated[str | None, Field(description="Part of a phone number")] = None,
    limit: PageSize = 20,
    offset: Offset = 0,
) -> ListedTable:
    """List calls, newest first: who called whom, when, how it ended. Of one agent or one number, not both."""
    if agent_id and number_id:
        raise Refused("Give agent_id or number_id, not both.")
    if (agent_id or number_id) and (status or direction or search):
        calls = paginate(partial(api.calls.list, agent_id=agent_id, number_id=number_id))
        return await _filtered(calls, partial(_matches, status, direction, search), limit, offset)
    page = await api.calls.list(
        limit, offset, agent_id=agent_id, number_id=number_id, status=status, direction=direction, search=search
    )
    return in_columns(listed(shortened(page, _row), limit, offset, if_empty="No such calls."))


async def get_call(call_id: CallId, api: Api, gate: AccountGate) -> CallInFull:
    """Show one call: when, how long, how it ended, and its transcript."""
    call = await api.calls.get(call_id)
    turns = [without(turn, "at") for turn in call.transcript or []]
    snippet = ["last_transcript_snippet"] if turns else []
    fields = dict(without(call, "recording_url", *snippet, *_derivable_fields(call)))
    page = page_of(turns)
    note = await gate.hang_up_note(call_id) if call.has_ended else None
    if len(page) == len(turns):
        return CallInFull.model_construct(None, **fields | {"transcript": turns or None, "next_step": note})
    more = f"For the rest call get_transcript with after_turn={len(page)}."
    next_step = " ".join(filter(None, [note, more]))
    shown = {"transcript": page, "total_turns": len(turns), "next_step": next_step}
    return CallInFull.model_construct(None, **fields | shown)


async def get_transcript(call_id: CallId, api: Api, after_turn: AfterTurn = 0) -> TranscriptPage:
    """Read what was said in a call and when, so far or in all."""
    turns = (await api.calls.transcript(call_id)).turns
    shown = page_of(turns, after_turn)
    reached = after_turn + len(shown)
    return TranscriptPage(
        call_id=call_id,
        turns=shown,
        total_turns=total_of_part(len(turns), len(shown), is_part=after_turn > 0),
        next_after_turn=reached if reached < len(turns) else None,
        next_step=None if turns else "Nothing has been said yet: get_call shows whether the call was answered.",
    )


async def get_recording(call_id: CallId, api: Api) -> RecordingInfo:
    """Say whether a call's audio exists and link to it."""
    call = await api.calls.get(call_id)
    if not call.recording_available and (not call.has_ended or call.recording_available is False):
        later = "Recording is an add-on, off by default." if call.has_ended else "The call has not ended yet."
        return RecordingInfo(call_id=call_id, recording_available=False, next_step=later)
    return RecordingInfo(
        call_id=call_id,
        recording_available=call.recording_available,
        uri=RECORDING_URI.format(call_id=call_id),
        recording_url=call.recording_url,
        next_step=None if call.recording_url else _WITHOUT_URL[call.recording_available],
    )


async def _filtered(
    calls: AsyncIterator[Call], matches: Callable[[Call], bool], limit: int, offset: int
) -> ListedTable:
    """Filter the calls of one agent or number: the API has filters only for the whole account's list."""
    matching: list[Call] = []
    scanned = 0
    async for call in calls:
        scanned += 1
        if matches(call):
            matching.append(call)
        if len(matching) > offset + limit or scanned == _MOST_SCANNED:
            break
    shown = matching[offset : offset + limit]
    note = f"Only its latest {scanned} calls were looked at." if scanned == _MOST_SCANNED else None
    return in_columns(
        Listed(
            data=[_row(call) for call in shown],
            next_offset=offset + limit if len(matching) > offset + limit else None,
            next_step=note or (None if matching else "No such calls."),
        )
    )


def _row(call: Call) -> Call:
    """Leave out of a list what get_call shows, and what the other columns imply.

    The last words are nearly always a goodbye. The account's number is shown as such; list_numbers has its id. An
    absent recording needs no column.
    """
    ours = {"inbound": call.to_number, "outbound": call.from_number}.get(call.direction or "")
    number = ["phone_number_id"] if ours else []
    recording = [] if call.recording_available else ["recording_available"]
    return without(call, "last_transcript_snippet", *number, *recording, *_derivable_fields(call))


def _derivable_fields(call: Call) -> list[str]:
    """Name what follows from other fields: the end, if start and duration are there."""
    return ["ended_at"] if call.started_at and call.duration_seconds is not None else []


def _matches(status: str | None, direction: str | None, search: str | None, call: Call) -> bool:
    digits = re.sub(r"\D", "", search or "")
    return (
        status in (None, call.status)
        and direction in (None, call.direction)
        and (not search or any(digits and digits in (number or "") for number in (call.from_number, call.to_number)))
    )


TOOLS = [
    reads(list_calls, open_world=True),
    reads(get_call, open_world=True),
    reads(get_transcript, open_world=True),
    reads(get_recording, open_world=True),
]
"""They belong to the toolset of `calls`."""
