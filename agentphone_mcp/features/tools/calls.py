"""Describe, place, follow and end calls, also from a browser; those that list and show them are in `call_history`."""

from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, Resolve
from pydantic import Field

from agentphone_mcp.api.agents import Agent, ModelTier
from agentphone_mcp.api.calls import Call, WebCall
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.api.webhooks import Webhook
from agentphone_mcp.features.context import AccountGate, ActivePolicy, Api, Prices, tool_context
from agentphone_mcp.features.live.following import FollowedCall, FollowedOutcome, follow, follow_placed
from agentphone_mcp.features.presentation.quoting import Quote, in_short_and_whole, other_arguments
from agentphone_mcp.features.tools import call_history
from agentphone_mcp.features.tools.agents import numbers_of
from agentphone_mcp.features.tools.approval import spending
from agentphone_mcp.features.tools.declaration import reads, spends, updates
from agentphone_mcp.features.tools.own_settings import own_texts, settings_of
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
from agentphone_mcp.features.tools.rerouting import identity, webhook_of
from agentphone_mcp.policy.actions import Action, Outcome
from agentphone_mcp.policy.destinations import country_of
from agentphone_mcp.policy.disclosure import Opening, with_disclosure
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.gate import Gate
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.pricing import Cost, minute_price_text


async def _now() -> float:
    return anyio.current_time()


Started = Annotated[float, Resolve(_now)]


async def describe_call(
    agent_id: str,
    to_number: str,
    prompt: str | None,
    greeting: str | None,
    from_number_id: str | None,
    voice: str | None,
    model_tier: str | None,
    variables: dict[str, str] | None,
    disable_recording: bool | None,
    api: Api,
    prices: Prices,
    policy: ActivePolicy,
) -> Action:
    """Describe a call; refuse one without a caller ID, or whose agent could not speak."""
    agent = await api.agents.get(agent_id)
    opening = _opening(agent, to_number, prompt, greeting, policy)
    number_id, caller_id = await _caller_id(api, agent, from_number_id)
    hosted = bool(prompt) or agent.voice_mode == "hosted"
    webhook = None if hosted else await _require_webhook(api, agent, "give place_call a prompt")
    who = f"your webhook {webhook.url}" if webhook else "the built-in AI"
    price = prices.minute(hosted=hosted, denoising=agent.denoising_mode)
    local_time = policy.destinations.local_time(to_number)

    def text(quote: Quote) -> str:
        content = f"; its goal: {quote(prompt)}" if prompt else ""
        content += f"; it begins with {quote(opening.greeting)}" if opening.greeting else ""
        content += own_texts(
            agent,
            quote,
            prompt=hosted and not prompt,
            begin_message=not opening.greeting,
            is_answered_by_machines=True,
        )
        others = other_arguments(
            quote, voice=voice, model_tier=model_tier, variables=variables, disable_recording=disable_recording
        )
        return (
            f"Call {to_number}, local time {local_time}, from {caller_id} as the agent {agent.name!r}, with {who} "
            f"talking: {minute_price_text(price)}{content}.{others}"
        )

    summary, whole = in_short_and_whole(text, api.secrets.redact)
    return Action(
        summary,
        whole=whole,
        relies_on={"agent": settings_of(agent), "webhook": identity(webhook)},
        verify_with=f"list_calls with search={to_number}",
        next_step="Accepted is not answered: wait_for_call follows it as it is spoken, get_transcript reads it later.",
        arguments={"from_number_id": number_id},
        to_number=to_number,
        local_time=local_time,
        cost=Cost.of_call(price),
        match_on={"agent_id": agent_id},
        resolved={"from_number_id": number_id, "initial_greeting": opening.greeting, "system_prompt": opening.prompt},
    )


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
    placed = await follow_placed(outcome, tool_context(ctx).live, ctx.report_progress, max_seconds=within)
    if placed.followed:
        placed.followed = await _with_hang_up(placed.followed, gate)
    return placed


async def wait_for_call(
    call_id: CallId,
    gate: AccountGate,
    ctx: Context,
    max_seconds: Annotated[MaxSeconds, Field(description="Most hosts give up at 60")] = 45,
    after_turn: AfterTurn = 0,
) -> FollowedCall:
    """Follow a live call until it ends or max_seconds pass; says which, and how to go on."""
    live = tool_context(ctx).live
    followed = await follow(live, call_id, ctx.report_progress, max_seconds=max_seconds, after_turn=after_turn)
    return await _with_hang_up(followed, gate)


async def end_call(call_id: CallId, api: Api) -> Acknowledgement:
    """Hang up a live call."""
    return await api.calls.end(call_id)


async def describe_web_call(
    agent_id: str, metadata: dict[str, Any] | None, variables: dict[str, str] | None, api: Api, prices: Prices
) -> Action:
    """Describe a call from a browser."""
    agent = await api.agents.get(agent_id)
    hosted = agent.voice_mode == "hosted"
    webhook = None if hosted else await _require_webhook(api, agent)
    who = f"your webhook {webhook.url}" if webhook else "the built-in AI"
    price = prices.minute(hosted=hosted, denoising=agent.denoising_mode)

    def text(quote: Quote) -> str:
        own = own_texts(agent, quote, prompt=hosted, begin_message=True, is_answered_by_machines=False)
        others = other_arguments(quote, metadata=metadata, variables=variables)
        return (
            f"Open a browser call with the agent {agent.name!r}, with {who} talking: {minute_price_text(price)} once "
            f"joined{own}.{others}"
        )

    summary, whole = in_short_and_whole(text, api.secrets.redact)
    return Action(
        summary,
        whole=whole,
        relies_on={"agent": settings_of(agent), "webhook": identity(webhook)},
        verify_with="list_calls with direction=web",
        next_step="Join with agentphone-web-sdk within 30 seconds; the token works once.",
        cost=Cost.of_call(price),
        match_on={"agent_id": agent_id},
    )


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


async def _with_hang_up(followed: FollowedCall, gate: Gate) -> FollowedCall:
    """Add to a call that is over that this server hung it up, if it did."""
    note = await gate.hang_up_note(followed.call_id) if followed.ended else None
    if note is None:
        return followed
    return followed.model_copy(update={"next_step": " ".join(filter(None, [note, followed.next_step]))})


def _opening(agent: Agent, number: str, prompt: str | None, greeting: str | None, policy: Policy) -> Opening:
    """Return greeting and prompt, as given or else the agent's own, with the disclosure that an AI speaks.

    The agent's own prompt is used only in hosted voice mode: in webhook mode it would take the call from the webhook.
    """
    if not policy.ai_disclosure:
        return Opening(greeting, prompt)
    own_prompt = agent.system_prompt if agent.voice_mode == "hosted" else None
    return with_disclosure(greeting or agent.begin_message, prompt or own_prompt, agent.language, country_of(number))


async def _caller_id(api: ApiClient, agent: Agent, from_number_id: str | None) -> tuple[str, str]:
    """Return id and number of the caller ID; refuse a call without one, as the API would."""
    numbers = await numbers_of(api, agent)
    if not numbers:
        raise Refused(f"Nothing was dialled: the agent {agent.name!r} has no number. Use buy_number or attach_number.")
    if from_number_id is None:
        return next(iter(numbers.items()))
    if from_number_id not in numbers:
        raise Refused(f"Nothing was dialled: from_number_id is none of this agent's numbers: {', '.join(numbers)}.")
    return from_number_id, numbers[from_number_id]


async def _require_webhook(api: ApiClient, agent: Agent, *ways_out: str) -> Webhook:
    webhook = await webhook_of(api, agent.id)
    if webhook is None:
        ways = ", or ".join(["use set_webhook", "update_agent with voice_mode hosted and a system_prompt", *ways_out])
        raise Refused(
            f"No call was made: the agent {agent.name!r} is in webhook mode and no webhook is set, so the caller would "
            f"hear silence. Instead {ways}."
        )
    return webhook


TOOLS = [
    *call_history.TOOLS[:2],
    spends(place_call),
    reads(wait_for_call, open_world=True),
    *call_history.TOOLS[2:],
    updates(end_call, idempotent=False, open_world=True),
    spends(create_web_call),
]
