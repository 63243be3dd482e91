"""Serve the account as resources: a person attaches them to a conversation, or a host reads them by itself.

An id may carry the label that completion appends to it: `agt_frontdesk (Front Desk)`.
"""

from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resources import Resource
from pydantic import BaseModel

from agentphone_mcp.api.calls import Call, Turn
from agentphone_mcp.api.provenance import Words, whose_words
from agentphone_mcp.api.redaction import Redactor
from agentphone_mcp.features import uris
from agentphone_mcp.features.completion import plain_id
from agentphone_mcp.features.context import ToolContext, tool_context
from agentphone_mcp.features.live.paging import how_many_fit
from agentphone_mcp.features.presentation.serialization import compact_json, serialize, show
from agentphone_mcp.features.tools.account import account_overview
from agentphone_mcp.features.tools.agents import get_agent
from agentphone_mcp.features.tools.call_history import get_call
from agentphone_mcp.features.tools.messages import get_conversation

JSON, TEXT, AUDIO = "application/json", "text/plain", "audio/wav"
_AUDIO_TYPES = {b"RIFF": "audio/wav", b"OggS": "audio/ogg", b"ID3": "audio/mpeg", b"\xff": "audio/mpeg"}

RequestContext = Context[ToolContext, Any]
_request_context: ContextVar[RequestContext] = ContextVar("_request_context")


@contextmanager
def use_context(ctx: RequestContext | None) -> Generator[None]:
    """Give resources at fixed addresses the request's context, which the SDK passes to templates only."""
    token = _request_context.set(ctx) if ctx else None
    try:
        yield
    finally:
        if token:
            _request_context.reset(token)


class Account(Resource):
    """Serve `agentphone://account`."""

    async def read(self) -> str:
        """Read all parts of the account concurrently, as JSON."""
        ctx = _request_context.get()
        return _json(ctx, await account_overview(tool_context(ctx).api))


async def agent(agent_id: str, ctx: RequestContext) -> str:
    """An agent: its prompt, voice settings and numbers."""
    return _json(ctx, await get_agent(plain_id(agent_id), tool_context(ctx).api))


async def call(call_id: str, ctx: RequestContext) -> str:
    """A call: with whom, when, how it ended, and what was said."""
    context = tool_context(ctx)
    return _json(ctx, await get_call(plain_id(call_id), context.api, context.gate))


async def transcript(call_id: str, ctx: RequestContext) -> str:
    """What was said in a call, line by line, live or ended; subscribers hear of each new turn."""
    api, call_id = tool_context(ctx).api, plain_id(call_id)
    # The status is read before the turns, so that the turns of an ended call are complete.
    call = await api.calls.get(call_id)
    turns = (await api.calls.transcript(call_id)).turns
    silence = "Nothing was said." if call.has_ended else "Nothing has been said yet."
    shown = turns[: how_many_fit(turns)]
    lines = [_line(turn, api.secrets.redact) for turn in shown] or [silence]
    if len(shown) < len(turns):
        lines.append(f"({len(turns) - len(shown)} more turns: get_transcript with after_turn={len(shown)} reads on.)")
    return "\n".join([_headline(call, api.secrets.redact), "", *lines, ""])


async def recording(call_id: str, ctx: RequestContext) -> bytes:
    """The audio of a finished call, if it was recorded."""
    context = tool_context(ctx)
    release = await context.recordings.take(context.caller.name)
    try:
        audio = (await context.api.calls.recording(plain_id(call_id))).audio
    except BaseException:
        release()
        raise
    context.until_sent(release)
    return audio


async def conversation(conversation_id: str, ctx: RequestContext) -> str:
    """The texts between one of the account's numbers and one participant, the latest fifty."""
    return _json(ctx, await get_conversation(plain_id(conversation_id), tool_context(ctx).api))


@dataclass(frozen=True)
class _Template:
    """Declare one kind of resource and the toolset that it belongs to."""

    toolset: str
    uri: str
    title: str
    mime_type: str
    read: Callable[..., Awaitable[str | bytes]]


TEMPLATES = [
    _Template("agents", uris.AGENT_URI, "Agent", JSON, agent),
    _Template("calls", uris.CALL_URI, "Call", JSON, call),
    _Template("calls", uris.TRANSCRIPT_URI, "Call transcript", TEXT, transcript),
    _Template("calls", uris.RECORDING_URI, "Call recording", AUDIO, recording),
    _Template("messages", uris.CONVERSATION_URI, "Text conversation", JSON, conversation),
]


def add_resources(server: MCPServer[ToolContext], toolsets: Collection[str]) -> None:
    """Register the resources of the given toolsets, always in the same order."""
    if "account" in toolsets:
        description = "The account at a glance: agents, numbers, webhook, plan and usage."
        server.add_resource(
            Account(uri=uris.ACCOUNT_URI, name="account", title="Account", description=description, mime_type=JSON)
        )
    for template in TEMPLATES:
        if template.toolset in toolsets:
            server.resource(template.uri, title=template.title, mime_type=template.mime_type)(template.read)


def with_audio_type(audio: bytes, content: ReadResourceContents) -> ReadResourceContents:
    """Set the MIME type from the first bytes of the audio, as a template can declare only one."""
    detected = (mime_type for magic, mime_type in _AUDIO_TYPES.items() if audio.startswith(magic))
    return ReadResourceContents(content=audio, mime_type=next(detected, content.mime_type), meta=content.meta)


def _json(ctx: RequestContext, result: BaseModel) -> str:
    return compact_json(serialize(result, tool_context(ctx).api.secrets.redact))


def _headline(call: Call, redact: Redactor) -> str:
    """Write whom the call was with, its status, start and duration, in one line."""
    direction = {"inbound": "from", "outbound": "to"}.get(call.direction or "", "with")
    number = call.other_number and show(Words.NUMBER, call.other_number, redact)
    whom = number or ("a browser" if call.direction == "web" else "an unknown number")
    status = show(Words.WORD, call.status, redact) if call.status else "status unknown"
    begun = f", begun {show(Words.TIME, call.started_at, redact)}" if call.started_at else ""
    lasted = f", {call.duration_seconds:.0f} seconds" if call.duration_seconds else ""
    # Line breaks in the API's fields are removed: a second line could pass for a turn.
    return " ".join(f"Call {call.id} {direction} {whom}: {status}{begun}{lasted}".split())


def _line(turn: Turn, redact: Redactor) -> str:
    at = f"[{' '.join(show(Words.TIME, turn.at, redact).split())}] " if turn.at else ""
    return f"{at}{turn.role}: {show(whose_words(turn, 'text'), turn.text, redact)}"
