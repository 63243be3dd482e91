"""Manage the AI agents that answer calls and texts: `/v1/agents`."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agentphone_mcp.api.models import Acknowledgement, ApiModel, Identified, Page, UtcTime, paginate, request_body
from agentphone_mcp.api.numbers import PhoneNumber
from agentphone_mcp.api.provenance import AccountText, IdText, NumberText
from agentphone_mcp.api.transport import Endpoints

VoiceMode = Literal["webhook", "hosted"]
ModelTier = Literal["turbo", "balanced", "max"]


class VoiceTuning(BaseModel):
    """Sets how an agent listens and speaks; a field that is None stays as it is."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, protected_namespaces=())

    model_tier: ModelTier | None = None
    stt_mode: Literal["fast", "accurate"] | None = None
    ambient_sound: Literal["none", "office", "coffee-shop", "outdoor"] | None = None
    denoising_mode: Literal["noise-cancellation", "noise-and-background-speech-cancellation"] | None = None
    max_silence_ms: Annotated[int | None, Field(ge=10_000, le=3_600_000)] = None
    voice_speed: Annotated[float | None, Field(ge=0.5, le=2)] = None
    interruption_sensitivity: Annotated[float | None, Field(ge=0, le=1)] = None
    enable_backchannel: bool | None = None
    enable_messaging: bool | None = None
    language: Annotated[str | None, Field(max_length=16, description="BCP-47, for example en-US")] = None


class AgentFields(VoiceTuning):
    """Sets the fields of an agent; None leaves a field as it is, `transfer_number=""` clears it."""

    name: str | None = None
    description: str | None = None
    voice_mode: VoiceMode | None = None
    system_prompt: str | None = None
    begin_message: str | None = None
    voice: str | None = None
    transfer_number: str | None = None
    voicemail_message: str | None = None

    def body(self) -> dict[str, object]:
        """Return the given fields under the API's names."""
        return self.model_dump(by_alias=True, exclude_none=True)


class AttachedNumber(ApiModel):
    """Describes a phone number attached to an agent."""

    id: IdText
    phone_number: NumberText | None = None


class Agent(Identified):
    """Describes an agent; enumerations that the API may extend are plain strings."""

    name: AccountText | None = None
    description: AccountText | None = None
    voice_mode: AccountText | None = None
    system_prompt: AccountText | None = None
    begin_message: AccountText | None = None
    voice: AccountText | None = None
    transfer_number: NumberText | None = None
    voicemail_message: AccountText | None = None
    numbers: list[AttachedNumber] | None = Field(default=None, validation_alias=AliasChoices("numbers", "phoneNumbers"))
    model_tier: AccountText | None = None
    stt_mode: AccountText | None = None
    ambient_sound: AccountText | None = None
    denoising_mode: AccountText | None = None
    max_silence_ms: int | None = None
    voice_speed: float | None = None
    interruption_sensitivity: float | None = None
    enable_backchannel: bool | None = None
    enable_messaging: bool | None = None
    language: AccountText | None = None
    created_at: UtcTime = None


class DeletedAgent(Acknowledgement):
    """Confirms that an agent is deleted; its phone numbers stay in the account, unattached."""

    id: IdText | None = None
    name: AccountText | None = None
    unassigned_numbers: list[IdText] | None = None


class Attachment(ApiModel):
    """Confirms which agent now answers a phone number."""

    agent_id: IdText | None = None
    number: AttachedNumber | None = None


class Voice(ApiModel):
    """Describes a voice an agent can speak with; `id` is the value for an agent's `voice`."""

    id: Annotated[AccountText, Field(validation_alias=AliasChoices("voiceId", "voice_id", "id"))]
    name: Annotated[AccountText | None, Field(validation_alias=AliasChoices("name", "voiceName", "voice_name"))] = None
    provider: AccountText | None = None
    gender: AccountText | None = None
    accent: AccountText | None = None


class AgentsApi(Endpoints):
    """Calls `/v1/agents` and the paths below it, except an agent's webhook."""

    async def list(self, limit: int = 20, offset: int = 0) -> Page[Agent]:
        """Return one page of the account's agents."""
        return await self._transport.get("/v1/agents", Page[Agent], {"limit": limit, "offset": offset})

    async def get(self, agent_id: str) -> Agent:
        """Return an agent with its phone numbers and voice settings."""
        return await self._transport.get("/v1/agents/{agent_id}", Agent, agent_id=agent_id)

    async def create(self, fields: AgentFields) -> Agent:
        """Create an agent."""
        return await self._transport.post("/v1/agents", Agent, fields.body())

    async def update(self, agent_id: str, fields: AgentFields) -> Agent:
        """Change the given fields of an agent and leave the others."""
        return await self._transport.patch("/v1/agents/{agent_id}", Agent, fields.body(), agent_id=agent_id)

    async def delete(self, agent_id: str) -> DeletedAgent:
        """Delete an agent for good; its phone numbers are kept."""
        return await self._transport.delete("/v1/agents/{agent_id}", DeletedAgent, agent_id=agent_id)

    async def attach_number(self, agent_id: str, number_id: str) -> Attachment:
        """Let an agent answer a phone number."""
        body = request_body(number_id=number_id)
        return await self._transport.post("/v1/agents/{agent_id}/numbers", Attachment, body, agent_id=agent_id)

    async def detach_number(self, agent_id: str, number_id: str) -> Acknowledgement:
        """Detach a phone number from an agent; the account keeps it."""
        path = "/v1/agents/{agent_id}/numbers/{number_id}"
        return await self._transport.delete(path, Acknowledgement, agent_id=agent_id, number_id=number_id)

    async def holder_of(self, number: PhoneNumber) -> str | None:
        """Return the id of the agent that answers a number, which the API may leave out of the number; None if none."""
        if number.agent_id is not None:
            return number.agent_id
        async for agent in paginate(self.list):
            if any(attached.id == number.id for attached in agent.numbers or []):
                return agent.id
        return None

    async def voices(self) -> Page[Voice]:
        """Return all voices, hundreds of rows; the API does not page them."""
        return await self._transport.get("/v1/agents/voices", Page[Voice])
