"""The account as resources: what a person attaches to a conversation, and what a host reads by itself.

| address | toolset | content |
|---|---|---|
| agentphone://account | account | what account_overview tells |
| agentphone://agents/{agent_id} | agents | what get_agent tells |
| agentphone://calls/{call_id} | calls | what get_call tells |
| agentphone://calls/{call_id}/transcript | calls | who said what and when, to be read by a person; live |
| agentphone://calls/{call_id}/recording | calls | the audio |
| agentphone://conversations/{conversation_id} | messages | what get_conversation tells |

An id may carry the name that completion shows with it: `agt_frontdesk (Front Desk)`.
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
from agentphone_mcp.api.redaction import Redactor
from agentphone_mcp.features.completion import plain_id
from agentphone_mcp.features.context import ToolContext, tool_context
from agentphone_mcp.features.presentation.serialization import compact_json, serialize
from agentphone_mcp.features.tools.account import account_overview
from agentphone_mcp.features.tools.agents import get_agent
from agentphone_mcp.features.tools.calls import get_call
from agentphone_mcp.features.tools.messages import get_conversation
from agentphone_mcp.features.uris import (
    ACCOUNT_URI,
    AGENT_URI,
    CALL_URI,
    CONVERSATION_URI,
    RECORDING_URI,
    TRANSCRIPT_URI,
)

JSON, TEXT, AUDIO = "application/json", "text/plain", "audio/wav"
_AUDIO_TYPES = {b"RIFF": "audio/wav", b"OggS": "audio/ogg", b"ID3": "audio/mpeg", b"\xff": "audio/mpeg"}

Asked = Context[ToolContext, Any]
_asked: ContextVar[Asked] = ContextVar("_asked")


@contextmanager
def use_context(ctx: Asked | None) -> Generator[None]:
    """Let resources at fixed addresses know who asks; the SDK tells it to templates alone."""
    token = _asked.set(ctx) if ctx else None
    try:
        yield
    finally:
        if token:
            _asked.reset(token)


class Account(Resource):
    """The account at a glance."""

    async def read(self) -> str:
        """Look, all parts at once."""
        ctx = _asked.get()
        return _json(ctx, await account_overview(tool_context(ctx).api))


async def agent(agent_id: str, ctx: Asked) -> str:
    """An agent: its prompt, voice settings and numbers."""
    return _json(ctx, await get_agent(plain_id(agent_id), tool_context(ctx).api))


async def call(call_id: str, ctx: Asked) -> str:
    """A call: with whom, when, how it ended, and what was said."""
    return _json(ctx, await get_call(plain_id(call_id), tool_context(ctx).api))


async def transcript(call_id: str, ctx: Asked) -> str:
    """What was said in a call, line by line, live or ended; subscribers hear of each new turn."""
    api, call_id = tool_context(ctx).api, plain_id(call_id)
    # Read before the turns, so that a call that has ended has said all.
    of = await api.calls.get(call_id)
    turns = (await api.calls.transcript(call_id)).turns
    silence = "Nothing was said." if of.has_ended else "Nothing has been said yet."
    lines = [_line(turn, api.secrets.redact) for turn in turns] or [silence]
    return "\n".join([_headline(of), "", *lines, ""])


async def recording(call_id: str, ctx: Asked) -> bytes:
    """The audio of a finished call, if it was recorded."""
    return (await tool_context(ctx).api.calls.recording(plain_id(call_id))).audio


async def conversation(conversation_id: str, ctx: Asked) -> str:
    """The texts between one of the account's numbers and one participant, the latest fifty."""
    return _json(ctx, await get_conversation(plain_id(conversation_id), tool_context(ctx).api))


@dataclass(frozen=True)
class _Template:
    """One kind of resource and the toolset that it belongs to."""

    toolset: str
    uri: str
    title: str
    kind: str
    read: Callable[..., Awaitable[str | bytes]]


TEMPLATES = [
    _Template("agents", AGENT_URI, "Agent", JSON, agent),
    _Template("calls", CALL_URI, "Call", JSON, call),
    _Template("calls", TRANSCRIPT_URI, "Call transcript", TEXT, transcript),
    _Template("calls", RECORDING_URI, "Call recording", AUDIO, recording),
    _Template("messages", CONVERSATION_URI, "Text conversation", JSON, conversation),
]


def add_resources(server: MCPServer[ToolContext], toolsets: Collection[str]) -> None:
    """Add the resources of some toolsets, always in the one order; all of them only read."""
    if "account" in toolsets:
        about = "The account at a glance: agents, numbers, webhook, plan and usage."
        server.add_resource(
            Account(uri=ACCOUNT_URI, name="account", title="Account", description=about, mime_type=JSON)
        )
    for one in TEMPLATES:
        if one.toolset in toolsets:
            server.resource(one.uri, title=one.title, mime_type=one.kind)(one.read)


def with_audio_type(audio: bytes, content: ReadResourceContents) -> ReadResourceContents:
    """Name the type of audio that came; a template can declare but one."""
    kind = next((kind for magic, kind in _AUDIO_TYPES.items() if audio.startswith(magic)), content.mime_type)
    return ReadResourceContents(content=audio, mime_type=kind, meta=content.meta)


def _json(ctx: Asked, result: BaseModel) -> str:
    return compact_json(serialize(result, tool_context(ctx).api.secrets.redact))


def _headline(of: Call) -> str:
    """Whom the call was with and what is known of it."""
    direction = {"inbound": "from", "outbound": "to"}.get(of.direction or "", "with")
    whom = of.other_number or ("a browser" if of.direction == "web" else "an unknown number")
    begun = f", begun {of.started_at}" if of.started_at else ""
    lasted = f", {of.duration_seconds:.0f} seconds" if of.duration_seconds else ""
    # One line, whatever the API has in its fields: another could pose as somebody's words.
    return " ".join(f"Call {of.id} {direction} {whom}: {of.status or 'status unknown'}{begun}{lasted}".split())


def _line(turn: Turn, redact: Redactor) -> str:
    at = f"[{' '.join(turn.at.split())}] " if turn.at else ""
    return f"{at}{turn.role}: {serialize(turn, redact)['text']}"
