"""Manage the AI personas that hold calls and texts."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from agentphone_mcp.api.agents import Agent, Attachment, DeletedAgent, Voice, VoiceMode, VoiceTuning
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.models import Acknowledgement, Page
from agentphone_mcp.api.provenance import AccountText, IdText, ServerText
from agentphone_mcp.features.context import AccountGate, ActivePolicy, Api
from agentphone_mcp.features.presentation.lists import Listed, ListedTable, in_columns, listed, total_of_part, without
from agentphone_mcp.features.tools.approval import destroying
from agentphone_mcp.features.tools.declaration import creates, destroys, reads, updates
from agentphone_mcp.features.tools.parameters import (
    AgentId,
    AgentName,
    ConfirmText,
    NumberId,
    Offset,
    PageSize,
    TransferNumber,
    TuningAsInUpdate,
    VoiceId,
)
from agentphone_mcp.features.tools.rerouting import (
    agent_fields,
    describe_agent_change,
    describe_attachment,
    describe_detachment,
)
from agentphone_mcp.policy.actions import Action, Outcome
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.untrusted import clean

NO_AGENTS = "No agents yet: create_agent, then buy_number for it, then set_webhook if its voice mode is webhook."


class AgentRow(BaseModel):
    """Summarize an agent for a list; get_agent has its prompt and settings."""

    id: IdText
    name: AccountText | None = None
    description: AccountText | None = None
    voice_mode: AccountText | None = None
    numbers: Annotated[list[IdText] | None, Field(description="E.164")] = None


class SavedAgent(BaseModel):
    """Show a new agent, and what it still needs."""

    agent: Agent
    next_step: ServerText | None = None


async def list_agents(api: Api, limit: PageSize = 20, offset: Offset = 0) -> Listed[AgentRow]:
    """List the agents: ids, voice mode, numbers."""
    return listed(agent_rows(await api.agents.list(limit, offset)), limit, offset, if_empty=NO_AGENTS)


async def get_agent(agent_id: AgentId, api: Api) -> Agent:
    """Show one agent: prompt, voice settings, numbers."""
    return without(await api.agents.get(agent_id), "created_at")


async def create_agent(
    name: AgentName,
    api: Api,
    policy: ActivePolicy,
    voice_mode: Annotated[
        VoiceMode,
        Field(description="hosted: the built-in AI talks by system_prompt; webhook: your server answers each turn"),
    ] = "webhook",
    system_prompt: Annotated[str | None, Field(description="Who the agent is, what to achieve; for hosted")] = None,
    begin_message: Annotated[str | None, Field(description="First words on each call")] = None,
    voice: VoiceId | None = None,
    description: str | None = None,
    transfer_number: Annotated[TransferNumber | None, Field(description="A human to hand calls to, E.164")] = None,
    voicemail_message: Annotated[str | None, Field(description="Said to an answering machine")] = None,
    tuning: TuningAsInUpdate | None = None,
) -> SavedAgent:
    """Create an agent. It needs a number (buy_number, attach_number) before it can call."""
    if voice_mode == "hosted" and not system_prompt:
        raise Refused("Nothing was created: voice_mode hosted needs a system_prompt.")
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
    agent = await api.agents.create(fields)
    server = ", then set_webhook: its voice mode is webhook" if voice_mode == "webhook" else ""
    return SavedAgent(agent=agent, next_step=f"Give it a number (buy_number or attach_number){server}.")


async def update_agent(
    agent_id: AgentId,
    action: Annotated[Action, destroying("update_agent", describe_agent_change)],
    api: Api,
    gate: AccountGate,
    name: AgentName | None = None,
    voice_mode: VoiceMode | None = None,
    system_prompt: str | None = None,
    begin_message: str | None = None,
    voice: str | None = None,
    description: str | None = None,
    transfer_number: Annotated[TransferNumber | None, Field(description="'' clears it")] = None,
    voicemail_message: str | None = None,
    tuning: Annotated[VoiceTuning | None, Field(description="How it listens and speaks")] = None,
    confirm: ConfirmText = None,
) -> Outcome[Agent]:
    """Change an agent as in create_agent; what is left out stays. Rerouting its calls or texts needs confirm."""
    return await gate.execute(action, confirm, lambda: api.agents.update(agent_id, **action.resolved))


async def describe_agent_deletion(agent_id: str, api: Api) -> Action:
    """Describe the deletion of an agent."""
    agent = await api.agents.get(agent_id)
    numbers = ", ".join((await numbers_of(api, agent)).values()) or "none"
    return Action(
        f"Delete the agent {agent.name!r}. It cannot be undone; its numbers ({numbers}) stay, attached to nobody.",
        verify_with="list_agents",
        confirmation=clean(agent.name or "").strip() or agent.id,
        match_on={"agent_id": agent_id},
    )


async def delete_agent(
    agent_id: AgentId,
    action: Annotated[Action, destroying("delete_agent", describe_agent_deletion)],
    api: Api,
    gate: AccountGate,
    confirm: ConfirmText = None,
) -> Outcome[DeletedAgent]:
    """Delete an agent for good; its numbers are kept."""
    return await gate.execute(action, confirm, lambda: api.agents.delete(agent_id))


async def list_voices(
    api: Api,
    search: Annotated[str | None, Field(description="Part of name, accent or id")] = None,
    gender: Literal["female", "male", "neutral"] | None = None,
    provider: str | None = None,
    limit: PageSize = 20,
    offset: Offset = 0,
) -> ListedTable:
    """Find a voice among hundreds, for an agent or a call."""
    matching = [voice for voice in (await api.agents.voices()).data if _matches(voice, search, gender, provider)]
    shown = matching[offset : offset + limit]
    return in_columns(
        Listed(
            data=shown,
            total=total_of_part(len(matching), len(shown), is_part=offset > 0),
            next_offset=offset + limit if offset + limit < len(matching) else None,
            next_step=None if shown or offset else "No voice is like that: leave a filter out.",
        )
    )


async def attach_number(
    agent_id: AgentId,
    number_id: NumberId,
    action: Annotated[Action, destroying("attach_number", describe_attachment)],
    api: Api,
    gate: AccountGate,
    confirm: ConfirmText = None,
) -> Outcome[Attachment]:
    """Give an agent a number that the account has; taking it from another agent needs confirm."""
    return await gate.execute(action, confirm, lambda: api.agents.attach_number(agent_id, number_id))


async def detach_number(
    agent_id: AgentId,
    number_id: NumberId,
    action: Annotated[Action, destroying("detach_number", describe_detachment)],
    api: Api,
    gate: AccountGate,
    confirm: ConfirmText = None,
) -> Outcome[Acknowledgement]:
    """Take a number from its agent; the account keeps it and pays on."""
    return await gate.execute(action, confirm, lambda: api.agents.detach_number(agent_id, number_id))


def agent_rows(page: Page[Agent], *left_out: str) -> Page[AgentRow]:
    """Shorten a page of agents to what a list shows, without the fields in `left_out`."""
    rows: list[AgentRow] = []
    for agent in page.data:
        numbers = [number.phone_number or number.id for number in agent.numbers or []] or None
        rows.append(without(AgentRow.model_validate(dict(agent) | {"numbers": numbers}), *left_out))
    return Page[AgentRow](data=rows, total=page.total, has_more=page.has_more)


async def numbers_of(api: ApiClient, agent: Agent) -> dict[str, str]:
    """Return an agent's phone numbers by id; list the account's numbers if the API leaves them out of the agent."""
    if agent.numbers is not None:
        return {number.id: number.phone_number or number.id for number in agent.numbers}
    return {number.id: number.phone_number async for number in api.numbers.all() if number.agent_id == agent.id}


def _matches(voice: Voice, search: str | None, gender: str | None, provider: str | None) -> bool:
    text = " ".join(part for part in (voice.id, voice.name, voice.accent) if part).casefold()
    return (
        (search is None or search.casefold() in text)
        and (gender is None or voice.gender == gender)
        and (provider is None or provider.casefold() in (voice.provider or "").casefold())
    )


TOOLS = [
    reads(list_agents),
    reads(get_agent),
    creates(create_agent),
    updates(update_agent, may_reroute=True),
    destroys(delete_agent),
    reads(list_voices),
    updates(attach_number, may_reroute=True),
    updates(detach_number, may_reroute=True),
]
