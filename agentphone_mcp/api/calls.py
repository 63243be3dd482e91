"""Place, read and follow calls, with transcripts and recordings: `/v1/calls`."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, model_validator

from agentphone_mcp.api.models import Acknowledgement, ApiModel, Identified, Page, UtcTime, check_length, request_body
from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.api.provenance import IdText, NumberText, StrangersText, UrlText, Words, WordsBy, WordText
from agentphone_mcp.api.redaction import Secret
from agentphone_mcp.api.transport import Endpoints, Event

ENDED = frozenset({"completed", "failed", "busy", "no-answer"})
"""The final statuses of a call. `in-progress` on a new call means accepted, not answered."""


class Turn(ApiModel):
    """Holds one utterance of a call, by the agent or by the person at the other end."""

    role: Literal["caller", "agent"]
    text: Annotated[str, WordsBy(lambda turn: Words.OURS if turn.role == "agent" else Words.STRANGER)]
    at: UtcTime = None
    is_guess: Annotated[bool, Field(exclude=True)] = False
    """True if the role is guessed from the position in the transcript."""


class Call(Identified):
    """Describes a call: inbound, outbound or from a browser (`web`); numbers are E.164, or `web`.

    The newer API names the account's number instead of a direction: the direction is derived from which end it is.
    """

    status: WordText | None = None
    direction: WordText | None = None
    from_number: NumberText | None = None
    to_number: NumberText | None = None
    agent_id: IdText | None = None
    phone_number_id: IdText | None = None
    started_at: UtcTime = None
    ended_at: UtcTime = None
    duration_seconds: float | None = None
    last_transcript_snippet: StrangersText | None = None
    """Counts as a stranger's, as the API does not say who spoke it."""
    recording_available: bool | None = None

    @property
    def has_ended(self) -> bool:
        """Return whether the API says that the call is over."""
        return self.status in ENDED or self.ended_at is not None

    @property
    def other_number(self) -> str | None:
        """Return the number at the other end; None for a browser."""
        number = self.from_number if self.direction == "inbound" else self.to_number
        return None if number == "web" else number

    @model_validator(mode="before")
    @classmethod
    def _derive_direction(cls, answer: Any) -> Any:
        if not is_object(answer) or answer.get("direction") is not None:
            return answer
        ours, caller, called = (answer.get(name) for name in ("phoneNumber", "fromNumber", "toNumber"))
        if "web" in (caller, called):
            return {**answer, "direction": "web"}
        if ours is None or caller == called or ours not in (caller, called):
            return answer
        return {**answer, "direction": "outbound" if ours == caller else "inbound"}


class Transcript(ApiModel):
    """Holds what was said in order, read from any shape; pairs do not count turns as a stream does."""

    turns: list[Turn] = []
    is_paired: bool = False

    @model_validator(mode="before")
    @classmethod
    def _any_shape(cls, answer: Any) -> Any:
        rows = answer
        if is_object(answer):
            rows = answer.get("transcript") or answer.get("data") or answer.get("transcripts")
        paired = is_list(rows) and any(is_object(row) and "role" not in row for row in rows)
        return {"turns": read_turns(rows), "is_paired": paired}


class CallWithTranscript(Call):
    """Describes a call with its transcript; `recording_url` needs the recording add-on."""

    recording_url: UrlText | None = None
    transcript: Annotated[list[Turn] | None, Field(validation_alias="transcripts")] = None

    @model_validator(mode="before")
    @classmethod
    def _turns(cls, answer: Any) -> Any:
        if is_object(answer):
            return {**answer, "transcripts": read_turns(answer.get("transcripts"))}
        return answer


class WebCall(ApiModel):
    """Holds the token with which a browser joins a call; it is valid for 30 seconds and this call only."""

    access_token: Secret
    call_id: Annotated[IdText | None, Field(validation_alias=AliasChoices("callId", "call_id", "id"))] = None


@dataclass(frozen=True)
class Recording:
    """Holds the audio of a call."""

    audio: bytes
    content_type: str


class TranscriptEvent(ApiModel):
    """Holds one event of a live transcript: `connected`, `turn` or `ended`."""

    kind: str
    turn: Turn | None = None
    status: str | None = None
    duration_seconds: float | None = None


class CallsApi(Endpoints):
    """Calls `/v1/calls`, and the lists of calls of an agent or a number."""

    async def list(
        self,
        limit: int = 20,
        offset: int = 0,
        *,
        agent_id: str | None = None,
        number_id: str | None = None,
        status: str | None = None,
        direction: str | None = None,
        search: str | None = None,
    ) -> Page[Call]:
        """Return one page of calls, newest first; of one agent or one number where an id is given.

        The API filters by status, direction and search only in the account's list.
        """
        query: dict[str, str | int | None] = {"limit": limit, "offset": offset}
        query |= {"status": status, "direction": direction, "search": search}
        if agent_id is not None:
            return await self._transport.get("/v1/agents/{agent_id}/calls", Page[Call], query, agent_id=agent_id)
        if number_id is not None:
            return await self._transport.get("/v1/numbers/{number_id}/calls", Page[Call], query, number_id=number_id)
        return await self._transport.get("/v1/calls", Page[Call], query)

    async def get(self, call_id: str) -> CallWithTranscript:
        """Return a call and what has been said so far."""
        return await self._transport.get("/v1/calls/{call_id}", CallWithTranscript, call_id=call_id)

    async def place(
        self,
        agent_id: str,
        to_number: str,
        *,
        from_number_id: str | None = None,
        initial_greeting: str | None = None,
        system_prompt: str | None = None,
        voice: str | None = None,
        model_tier: str | None = None,
        variables: Mapping[str, str] | None = None,
        disable_recording: bool | None = None,
    ) -> Call:
        """Dial a number (E.164); the response means accepted, not answered.

        The caller ID is `from_number_id`, or else the agent's first number. With `system_prompt` the built-in AI holds
        the call; without, the agent's voice mode decides. `model_tier` is turbo, balanced or max.
        """
        body = request_body(
            agent_id=agent_id,
            to_number=to_number,
            from_number_id=from_number_id,
            initial_greeting=initial_greeting,
            system_prompt=system_prompt,
            voice=voice,
            model_tier=model_tier,
            variables=variables,
            disable_recording=disable_recording,
        )
        return await self._transport.post("/v1/calls", Call, body)

    async def create_web(
        self, agent_id: str, *, metadata: Mapping[str, Any] | None = None, variables: Mapping[str, str] | None = None
    ) -> WebCall:
        """Create a call that a browser joins with the access token within 30 seconds."""
        body = request_body(agent_id=agent_id, metadata=metadata, variables=variables)
        return await self._transport.post("/v1/calls/web", WebCall, body)

    async def end(self, call_id: str) -> Acknowledgement:
        """Hang up a call."""
        return await self._transport.post("/v1/calls/{call_id}/end", Acknowledgement, call_id=call_id)

    async def transcript(self, call_id: str) -> Transcript:
        """Return what has been said so far."""
        return await self._transport.get("/v1/calls/{call_id}/transcript", Transcript, call_id=call_id)

    async def recording(self, call_id: str) -> Recording:
        """Return the audio of a finished call, or raise `NotFound` if there is none."""
        return Recording(*await self._transport.get_audio("/v1/calls/{call_id}/recording", call_id=call_id))

    @asynccontextmanager
    async def follow(self, call_id: str) -> AsyncGenerator[AsyncIterator[TranscriptEvent]]:
        """Follow a live call: yields past turns first, then each new one, then `ended`."""
        path = "/v1/calls/{call_id}/transcript/stream"
        async with self._transport.events(path, call_id=call_id) as events, aclosing(_read_events(events)) as turns:
            yield turns


async def _read_events(events: AsyncIterator[Event]) -> AsyncGenerator[TranscriptEvent]:
    async for kind, data in events:
        if is_object(data):
            turns = Transcript.model_validate([data]).turns if kind == "turn" else []
            status, seconds = data.get("status"), data.get("durationSeconds")
            for turn in turns or [None]:
                yield TranscriptEvent(
                    kind=kind,
                    turn=turn,
                    status=status if isinstance(status, str) else None,
                    duration_seconds=seconds if isinstance(seconds, int | float) else None,
                )


def read_turns(rows: Any) -> list[dict[str, Any]]:
    """Read the rows of a transcript in either shape as turns.

    `{role, content}` says who spoke. The older `{transcript, response}` pairs what was heard with the agent's reply.
    There a first row without a reply is either the agent's greeting (as in API.md's example) or a caller who got no
    answer. It counts as the greeting if a later row has a reply, and is marked as a guess in any case.
    """
    check_length(rows)
    objects = [row for row in rows if is_object(row)] if is_list(rows) else []
    has_replies = any(row.get("response") for row in objects)
    turns: list[dict[str, Any]] = []
    for index, row in enumerate(objects):
        at = row.get("createdAt") or row.get("timestamp") or row.get("at")
        if "role" in row:
            role = "agent" if row["role"] in ("agent", "assistant", "bot", "ai") else "caller"
            texts = [(role, row.get("content") or row.get("text"))]
            is_guess = False
        else:
            is_guess = index == 0 and not row.get("response")
            first = "agent" if is_guess and has_replies else "caller"
            texts = [(first, row.get("transcript")), ("agent", row.get("response"))]
        turns += [
            {"role": role, "text": text, "at": at, "is_guess": is_guess}
            for role, text in texts
            if text and isinstance(text, str)
        ]
    return turns
