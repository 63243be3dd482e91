"""Describe changes of who gets calls, texts and their words; what takes them from anybody waits for `confirm`."""

import json

from agentphone_mcp.api.agents import Agent, AgentFields, VoiceMode, VoiceTuning
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import NotFound
from agentphone_mcp.api.webhooks import Webhook
from agentphone_mcp.features.context import ActivePolicy, Api
from agentphone_mcp.features.presentation.quoting import Quote, in_short_and_whole, other_arguments
from agentphone_mcp.features.tools.lookups import digest, digests
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.phone_numbers import normalize_number
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.untrusted import clean

_REROUTING = frozenset({"voice_mode", "transfer_number", "enable_messaging"})
"""The fields of an agent that decide who gets its calls and texts."""


def agent_fields(policy: Policy, tuning: VoiceTuning | None, **given: str | None) -> AgentFields:
    """Collect the fields of an agent; refuse a transfer number that the policy forbids to call."""
    if number := given["transfer_number"]:
        # Quiet hours do not apply when it is only stored.
        policy.destinations.check(number, rings=False)
    return AgentFields.model_validate({**(tuning.model_dump(exclude_none=True) if tuning else {}), **given})


async def describe_agent_change(
    agent_id: str,
    name: str | None,
    voice_mode: VoiceMode | None,
    system_prompt: str | None,
    begin_message: str | None,
    voice: str | None,
    description: str | None,
    transfer_number: str | None,
    voicemail_message: str | None,
    tuning: VoiceTuning | None,
    api: Api,
    policy: ActivePolicy,
) -> Action:
    """Describe a change of an agent; only who gets its calls and texts makes it one to agree to."""
    fields = agent_fields(
        policy,
        tuning,
        name=name,
        voice_mode=voice_mode,
        system_prompt=system_prompt,
        begin_message=begin_message,
        voice=voice,
        description=description,
        transfer_number=transfer_number,
        voicemail_message=voicemail_message,
    )
    given = fields.model_dump(exclude_none=True)
    if not given:
        raise Refused("Nothing was changed: give at least one field besides agent_id.")
    if not given.keys() & _REROUTING:
        summary = f"Change the agent {agent_id}: {', '.join(given)}."
        return Action(summary, verify_with="get_agent", is_free=True, resolved={"fields": fields})
    agent = await api.agents.get(agent_id)
    changes, takes_away = await _rerouted(api, agent, fields)
    changed = "; ".join(changes) or "who gets its calls and texts stays as it is"
    others = {name: value for name, value in given.items() if name not in _REROUTING}

    def text(quote: Quote) -> str:
        return f"Change the agent {agent.name!r}: {changed}.{other_arguments(quote, **others)}"

    summary, whole = in_short_and_whole(text, api.secrets.redact)
    return Action(
        summary,
        whole=whole,
        verify_with="get_agent",
        confirmation=(clean(agent.name or "").strip() or agent.id) if takes_away else None,
        is_first=not takes_away,
        subject=agent_id,
        arguments={"fields": json.dumps(given, sort_keys=True)},
        match_on={"agent_id": agent_id, **digests(given)},
        resolved={"fields": fields},
    )


async def _rerouted(api: ApiClient, agent: Agent, fields: AgentFields) -> tuple[list[str], bool]:
    """Say who gets what instead of whom after a change of an agent, and whether that takes it from anybody."""
    changes: list[str] = []
    takes_away = False
    if fields.voice_mode and fields.voice_mode != agent.voice_mode:
        webhook = await webhook_of(api, agent.id)
        server = (
            f"the webhook {webhook.url}" if webhook else "nobody, as no webhook is set, so that callers hear silence"
        )
        if fields.voice_mode == "webhook":
            changes.append(f"its calls go from the built-in AI to {server}")
        elif webhook:
            changes.append(f"its calls go from {server} to the built-in AI")
        else:
            changes.append("the built-in AI answers its calls, which nobody answers today")
        takes_away = fields.voice_mode == "webhook" or webhook is not None
    before = normalize_number(agent.transfer_number) if agent.transfer_number else None
    if fields.transfer_number is not None and (fields.transfer_number or None) != before:
        now = fields.transfer_number or "nobody"
        changes.append(f"callers who are handed over go to {now}; today they go to {before or 'nobody'}")
        takes_away = True
    if fields.enable_messaging is not None and fields.enable_messaging != agent.enable_messaging:
        changes.append(f"it is to {'handle' if fields.enable_messaging else 'no longer handle'} texts")
        takes_away = True
    return changes, takes_away


async def describe_attachment(agent_id: str, number_id: str, api: Api) -> Action:
    """Describe whose number one becomes; a number that another agent answers is taken from it."""
    number, agent = await api.numbers.get(number_id), await api.agents.get(agent_id)
    holder = await api.agents.holder_of(number)
    takes_away = holder not in (None, agent_id)
    if holder is None:
        loser = "which reach nobody today"
    else:
        loser = f"taken from {await agent_name(api, holder)}" if takes_away else "as they do today"
    return Action(
        f"Give {number.phone_number} to the agent {agent.name!r}: its calls and texts go there at once, {loser}.",
        verify_with="list_numbers",
        confirmation=normalize_number(number.phone_number) if takes_away else None,
        is_first=not takes_away,
        subject=number_id,
        match_on={"number_id": number_id, "agent_id": agent_id},
    )


async def describe_detachment(agent_id: str, number_id: str, api: Api) -> Action:
    """Describe that a number is taken from its agent; the API refuses it if it is not that agent's."""
    number, agent = await api.numbers.get(number_id), await agent_name(api, agent_id)
    is_held = await api.agents.holder_of(number) == agent_id
    lost = "its calls and texts reach nobody then" if is_held else "it is not that agent's"
    return Action(
        f"Take {number.phone_number} from {agent}: {lost}. The account keeps it and pays on.",
        verify_with="list_numbers",
        confirmation=normalize_number(number.phone_number) if is_held else None,
        is_first=not is_held,
        subject=number_id,
        match_on={"number_id": number_id, "agent_id": None},
    )


async def agent_name(api: ApiClient, agent_id: str) -> str:
    """Name an agent for the reader; one that no longer exists must not block what is done with its number."""
    try:
        return f"the agent {(await api.agents.get(agent_id)).name!r}"
    except NotFound:
        return f"an agent that is gone ({agent_id})"


async def webhook_of(api: ApiClient, agent_id: str) -> Webhook | None:
    """Return the webhook that gets an agent's events: its own, or else the project's."""
    return await api.webhooks.get(agent_id) or await api.webhooks.get()


def identity(webhook: Webhook | None) -> list[str | int | None]:
    """Return what tells a webhook from one with the same URL that has replaced it, without its secret."""
    if webhook is None:
        return []
    secret = digest(webhook.secret) if webhook.secret else None
    return [webhook.id, webhook.url, secret, webhook.context_limit, webhook.timeout]
