"""The parameters that recur in tools, each described and bounded once."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema

from agentphone_mcp.api.agents import VoiceTuning
from agentphone_mcp.api.models import is_id
from agentphone_mcp.guard.dialing import to_e164


def _an_id(value: str) -> str:
    if not is_id(value):
        raise ValueError("this is no id: ids come from the list tools and have only letters, digits, _ . : -")
    return value


def _a_url(value: str) -> str:
    parts = urlsplit(value.strip())
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("write it as https://host/path")
    return value.strip()


def _number_or_nothing(value: str) -> str:
    return to_e164(value) if value else value


def _some_text(value: str) -> str:
    if not value.strip():
        raise ValueError("it is empty")
    return value.strip()


def _text_or_none(value: str | None) -> str | None:
    return (value or "").strip() or None


Id = Annotated[str, AfterValidator(_an_id)]
# Their names say it, and the instructions that ids come from the list tools.
AgentId = NumberId = CallId = ConversationId = ContactId = Id
OneAgentOnly = Annotated[Id | None, Field(description="This agent's webhook; else the project's")]

Phone = Annotated[str, AfterValidator(to_e164), Field(description="E.164; else +1 is assumed")]
TransferNumber = Annotated[str, AfterValidator(_number_or_nothing), Field(description="A human's, E.164; '' clears it")]

Limit = Annotated[int, Field(ge=1, le=100)]
Offset = Annotated[int, Field(ge=0)]
Hours = Annotated[int, Field(ge=1, le=720)]
MaxSeconds = Annotated[int, Field(ge=1, le=600, description="Most hosts give up at 60")]
AfterTurn = Annotated[int, Field(ge=0, description="Turns already read")]

Confirm = Annotated[StrictBool | None, Field(description="Omit for a preview; true if your user agreed")]
Repeat = Annotated[StrictBool, Field(description="Even if done just now")]
ConfirmText = Annotated[str | None, AfterValidator(lambda text: text and text.strip())]
ConfirmNumber = Annotated[
    str | None,
    AfterValidator(lambda number: number and to_e164(number)),
    Field(description="Omit for a preview; then the phone number itself"),
]

Text = Annotated[str, AfterValidator(_some_text)]
WebUrl = Annotated[str, AfterValidator(_a_url)]
TextOrNone = Annotated[str | None, AfterValidator(_text_or_none)]
AgentName = Annotated[Text, Field(max_length=100)]
VoiceMode = Annotated[
    Literal["webhook", "hosted"],
    Field(description="hosted: the built-in AI talks by system_prompt; webhook: your server answers each turn"),
]
SystemPrompt = Annotated[str, Field(description="Who the agent is, what to achieve")]
BeginMessage = Annotated[str, Field(description="First words on each call")]
VoiceId = Annotated[str, Field(description="From list_voices")]
Tuning = Annotated[VoiceTuning, Field(description="How the agent listens and speaks")]
# The same settings, described once: a host pays for every word in every conversation.
TuningAsInUpdate = Annotated[VoiceTuning, WithJsonSchema({"type": "object", "description": "As in update_agent"})]
