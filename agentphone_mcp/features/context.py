"""What tools are given by the server and a model can never supply."""

from dataclasses import dataclass
from typing import Annotated, Any

from mcp.server.elicitation import AcceptedElicitation
from mcp.server.mcpserver import Context, Resolve

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.features.completion import Names
from agentphone_mcp.features.live.transcripts import LiveTranscripts
from agentphone_mcp.policy.access import OPERATOR, Caller
from agentphone_mcp.policy.gate import Gate as GateKeeper
from agentphone_mcp.policy.pricing import PriceList as RateTable
from agentphone_mcp.policy.rules import Policy as RuleBook


@dataclass(frozen=True)
class ToolContext:
    """What a tool is given for one request: the caller, and what belongs to their account.

    Attributes:
        api: the account, as the API has it.
        gate: what stands between a model and the account.
        prices: what things cost.
        names: what a person may mean by what they typed.
        live: follows calls for whoever subscribed to them.
        caller: whose request it is.
    """

    api: ApiClient
    gate: GateKeeper
    prices: RateTable
    names: Names
    live: LiveTranscripts
    caller: Caller = OPERATOR


def tool_context(ctx: Context[Any, Any]) -> ToolContext:
    """Get the context of this request; the server keeps it where the SDK has the lifespan's state."""
    return ctx.request_context.lifespan_context


async def _api(ctx: Context[ToolContext]) -> ApiClient:
    return tool_context(ctx).api


async def _gate(ctx: Context[ToolContext]) -> GateKeeper:
    return tool_context(ctx).gate


async def _rates(ctx: Context[ToolContext]) -> RateTable:
    return tool_context(ctx).prices


async def _rules(ctx: Context[ToolContext]) -> RuleBook:
    return tool_context(ctx).gate.policy


_KEPT = AcceptedElicitation[Any]
"""The SDK wraps what is injected in this class, which pydantic would forget and make anew, for 0.1 ms, now and then."""
Api = Annotated[ApiClient, Resolve(_api)]
Gate = Annotated[GateKeeper, Resolve(_gate)]
Prices = Annotated[RateTable, Resolve(_rates)]
ActivePolicy = Annotated[RuleBook, Resolve(_rules)]
