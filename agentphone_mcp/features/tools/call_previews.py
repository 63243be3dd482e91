"""Describe calls before they are placed, and refuse those that could not work."""

from typing import Any

from agentphone_mcp.api.agents import Agent
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.features.context import ActivePolicy, Api, Prices
from agentphone_mcp.features.presentation.quoting import other_arguments, quoted
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.disclosure import Opening, with_disclosure
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.pricing import Cost, minute_price_text


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
    opening = _opening(agent, prompt, greeting, policy)
    number_id, caller_id = await _caller_id(api, agent, from_number_id)
    hosted = bool(prompt) or agent.voice_mode == "hosted"
    if not hosted:
        await _require_webhook(api, agent, "give place_call a prompt")
    who = "the built-in AI" if hosted else "your webhook"
    price = prices.minute(hosted=hosted, denoising=agent.denoising_mode)
    content = f"; its goal: {quoted(prompt, api.secrets.redact)}" if prompt else ""
    content += f"; it begins with {quoted(opening.greeting, api.secrets.redact)}" if opening.greeting else ""
    local_time = policy.destinations.local_time(to_number)
    return Action(
        f"Call {to_number}, local time {local_time}, from {caller_id} as the agent "
        f"{agent.name!r}, with {who} talking: {minute_price_text(price)}{content}."
        + other_arguments(
            api.secrets.redact,
            voice=voice,
            model_tier=model_tier,
            variables=variables,
            disable_recording=disable_recording,
        ),
        verify_with=f"list_calls with search={to_number}",
        next_step="Accepted is not answered: wait_for_call follows it as it is spoken, get_transcript reads it later.",
        arguments={"from_number_id": number_id},
        to_number=to_number,
        local_time=local_time,
        cost=Cost.of_call(price),
        match_on={"agent_id": agent_id},
        resolved={"from_number_id": number_id, "initial_greeting": opening.greeting, "system_prompt": opening.prompt},
    )


async def describe_web_call(
    agent_id: str,
    metadata: dict[str, Any] | None,
    variables: dict[str, str] | None,
    api: Api,
    prices: Prices,
) -> Action:
    """Describe a call from a browser."""
    agent = await api.agents.get(agent_id)
    hosted = agent.voice_mode == "hosted"
    if not hosted:
        await _require_webhook(api, agent)
    price = prices.minute(hosted=hosted, denoising=agent.denoising_mode)
    return Action(
        f"Open a browser call with the agent {agent.name!r}: {minute_price_text(price)} once joined."
        + other_arguments(api.secrets.redact, metadata=metadata, variables=variables),
        verify_with="list_calls with direction=web",
        next_step="Join with agentphone-web-sdk within 30 seconds; the token works once.",
        cost=Cost.of_call(price),
        match_on={"agent_id": agent_id},
    )


async def numbers_of(api: ApiClient, agent: Agent) -> dict[str, str]:
    """Return an agent's phone numbers by id; list the account's numbers if the API leaves them out of the agent."""
    if agent.numbers is not None:
        return {number.id: number.phone_number or number.id for number in agent.numbers}
    return {number.id: number.phone_number async for number in api.numbers.all() if number.agent_id == agent.id}


def _opening(agent: Agent, prompt: str | None, greeting: str | None, policy: Policy) -> Opening:
    """Return greeting and prompt, as given or else the agent's own, with the disclosure that an AI speaks.

    The agent's own prompt is used only in hosted voice mode: in webhook mode it would take the call from the webhook.
    """
    if not policy.ai_disclosure:
        return Opening(greeting, prompt)
    own_prompt = agent.system_prompt if agent.voice_mode == "hosted" else None
    return with_disclosure(greeting or agent.begin_message, prompt or own_prompt, agent.language)


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


async def _require_webhook(api: ApiClient, agent: Agent, *ways_out: str) -> None:
    if await api.webhooks.get(agent.id) is None and await api.webhooks.get() is None:
        ways = ", or ".join(["use set_webhook", "update_agent with voice_mode hosted and a system_prompt", *ways_out])
        raise Refused(
            f"No call was made: the agent {agent.name!r} is in webhook mode and no webhook is set, so the caller would "
            f"hear silence. Instead {ways}."
        )
