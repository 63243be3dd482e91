"""Inject into tools what the server provides and a model must not supply."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from mcp.server.elicitation import AcceptedElicitation
from mcp.server.mcpserver import Context, Resolve

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.features.completion import Completer
from agentphone_mcp.features.live.transcripts import LiveTranscripts
from agentphone_mcp.features.recordings import RecordingSlots
from agentphone_mcp.policy.access import OPERATOR, Caller
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.pricing import PriceList


def _at_once(callback: Callable[[], None]) -> None:
    callback()


@dataclass(frozen=True)
class ToolContext:
    """Hold what the tools of one request work with: the caller, and the services of their account.

    Attributes:
        until_sent: takes what is to be called when the client has the answer; at once where nobody knows when.
    """

    api: ApiClient
    gate: Gate
    prices: PriceList
    completer: Completer
    live: LiveTranscripts
    caller: Caller = OPERATOR
    recordings: RecordingSlots = field(default_factory=RecordingSlots)
    until_sent: Callable[[Callable[[], None]], None] = _at_once


def tool_context(ctx: Context[Any, Any]) -> ToolContext:
    """Get the context of this request from where the SDK keeps the lifespan's state."""
    return ctx.request_context.lifespan_context


async def _api(ctx: Context[ToolContext]) -> ApiClient:
    return tool_context(ctx).api


async def _gate(ctx: Context[ToolContext]) -> Gate:
    return tool_context(ctx).gate


async def _prices(ctx: Context[ToolContext]) -> PriceList:
    return tool_context(ctx).prices


async def _policy(ctx: Context[ToolContext]) -> Policy:
    return tool_context(ctx).gate.policy


_KEPT = AcceptedElicitation[Any]
"""Keeps pydantic from building this class again (0.1 ms) whenever the SDK wraps an injected value in it."""
Api = Annotated[ApiClient, Resolve(_api)]
AccountGate = Annotated[Gate, Resolve(_gate)]
Prices = Annotated[PriceList, Resolve(_prices)]
ActivePolicy = Annotated[Policy, Resolve(_policy)]
