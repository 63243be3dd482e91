"""Place, follow and end calls, also from a browser; the tools that list and show calls are in `call_history`."""

from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, Resolve
from pydantic import Field

from agentphone_mcp.api.agents import ModelTier
from agentphone_mcp.api.calls import Call, WebCall
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.features.context import AccountGate, Api
from agentphone_mcp.features.live.following import FollowedCall, FollowedOutcome, follow, follow_placed
from agentphone_mcp.features.tools import call_history
from agentphone_mcp.features.tools.approval import spending
from agentphone_mcp.features.tools.call_previews import describe_call, describe_web_call
from agentphone_mcp.features.tools.declaration import reads, spends, updates
from agentphone_mcp.features.tools.parameters import (
    AfterTurn,
    AgentId,
    CallId,
    Confirm,
    Id,
    MaxSeconds,
    Phone,
    Repeat,
    TextOrNone,
    Variables,
    VoiceId,
)
from agentphone_mcp.policy.actions import Action, Outcome


async def _now() -> float:
    return anyio.current_time()


Started = Annotated[float, Resolve(_now)]


async def place_call(
    agent_id: AgentId,
    to_number: Phone,
    started: Started,
    action: Annotated[Action, spending("place_call", describe_call)],
    api: Api,
    gate: AccountGate,
    ctx: Context,
    prompt: Annotated[
        TextOrNone,
        Field(description="Goal of this call: the built-in AI talks by it. Omitted, the agent's voice mode decides"),
    ] = None,
    greeting: Annotated[TextOrNone, Field(description="First words")] = None,
    from_number_id: Annotated[Id | None, Field(description="Caller ID; else the agent's first number")] = None,
    voice: VoiceId | None = None,
    model_tier: ModelTier | None = None,
    variables: Annotated[Variables | None, Field(description="For the agent's prompt")] = None,
    disable_recording: bool | None = None,
    wait: Annotated[bool, Field(description="Then follow it as wait_for_call does")] = False,
    max_seconds: MaxSeconds = 45,
    confirm: Confirm = None,
    repeat: Repeat = False,
) -> FollowedOutcome[Call]:
    """Dial a person and let an agent talk. Returns when the call is accepted, before anyone answers, unless wait."""
    outcome = await gate.execute(
        action,
        confirm,
        lambda: api.calls.place(
            agent_id,
            to_number,
            **action.resolved,
            voice=voice,
            model_tier=model_tier,
            variables=variables,
            disable_recording=disable_recording,
        ),
        repeat=repeat,
    )
    # The host waits for the whole request, including the time in which its user is asked.
    within = max(0.0, max_seconds - (anyio.current_time() - started)) if wait else None
    return await follow_placed(outcome, api.calls, ctx.report_progress, api.secrets.redact, max_seconds=within)


async def wait_for_call(
    call_id: CallId,
    api: Api,
    ctx: Context,
    max_seconds: Annotated[MaxSeconds, Field(description="Most hosts give up at 60")] = 45,
    after_turn: AfterTurn = 0,
) -> FollowedCall:
    """Follow a live call until it ends or max_seconds pass; says which, and how to go on."""
    return await follow(
        api.calls, call_id, ctx.report_progress, api.secrets.redact, max_seconds=max_seconds, after_turn=after_turn
    )


async def end_call(call_id: CallId, api: Api) -> Acknowledgement:
    """Hang up a live call."""
    return await api.calls.end(call_id)


async def create_web_call(
    agent_id: AgentId,
    action: Annotated[Action, spending("create_web_call", describe_web_call)],
    api: Api,
    gate: AccountGate,
    metadata: dict[str, Any] | None = None,
    variables: Variables | None = None,
    confirm: Confirm = None,
    repeat: Repeat = False,
) -> Outcome[WebCall]:
    """Get a token for a browser to talk to an agent, without a phone."""
    return await gate.execute(
        action,
        confirm,
        lambda: api.calls.create_web(agent_id, metadata=metadata, variables=variables),
        repeat=repeat,
    )


TOOLS = [
    *call_history.TOOLS[:2],
    spends(place_call),
    reads(wait_for_call, open_world=True),
    *call_history.TOOLS[2:],
    updates(end_call, idempotent=False, open_world=True),
    spends(create_web_call),
]
