"""The parameters that recur in tools, each described and bounded once."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema

from agentphone_mcp.api.agents import VoiceTuning
from agentphone_mcp.api.models import is_id
from agentphone_mcp.policy.phone_numbers import to_e164


def _an_id(value: str) -> str:
    if not is_id(value):
        raise ValueError("this is no id: ids come from the list tools and have only letters, digits, _ . : -")
    return value


def _a_url(value: str) -> str:
    value = value.strip()
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("write it as https://host/path")
    # In a preview it could go on in words of ours.
    if not value.isprintable() or " " in value:
        raise ValueError("write its spaces and line ends as %20 and %0A")
    return value


def _number_or_nothing(value: str) -> str:
    return to_e164(value) if value else value


def _some_text(value: str) -> str:
    if not value.strip():
        raise ValueError("it is empty")
    return value.strip()


def _text_or_none(value: str | None) -> str | None:
    return (value or "").strip() or None


def without_default(schema: dict[str, Any]) -> None:
    """How many rows come when nothing is said is seen with the first answer."""
    schema.pop("default", None)


Id = Annotated[str, AfterValidator(_an_id)]
# Their names say it, and the instructions that ids come from the list tools.
AgentId = NumberId = CallId = ConversationId = ContactId = Id

Phone = Annotated[str, AfterValidator(to_e164), Field(description="E.164")]
TransferNumber = Annotated[str, AfterValidator(_number_or_nothing)]

Limit = Annotated[int, Field(ge=1, le=100, json_schema_extra=without_default)]
Offset = Annotated[int, Field(ge=0)]
Hours = Annotated[int, Field(ge=1, le=720)]
MaxSeconds = Annotated[int, Field(ge=1, le=600)]
AfterTurn = Annotated[int, Field(ge=0, description="Turns already read")]

_PREVIEW = Field(description="Omit for a preview")
# The preview says what to pass, and an outcome that is told again how to have it twice.
Confirm = Annotated[StrictBool | None, _PREVIEW]
Repeat = StrictBool
ConfirmText = Annotated[str | None, AfterValidator(lambda text: text and text.strip()), _PREVIEW]
ConfirmNumber = Annotated[
    str | None,
    AfterValidator(lambda number: number and to_e164(number)),
    _PREVIEW,
]

Text = Annotated[str, AfterValidator(_some_text)]
WebUrl = Annotated[str, AfterValidator(_a_url)]
TextOrNone = Annotated[str | None, AfterValidator(_text_or_none)]
Variables = Annotated[dict[str, Annotated[str, Field(coerce_numbers_to_str=True)]], WithJsonSchema({"type": "object"})]
AgentName = Annotated[str, Field(max_length=100), AfterValidator(_some_text)]
VoiceId = Annotated[str, Field(description="From list_voices")]
# The same settings, described once: a host pays for every word in every conversation.
TuningAsInUpdate = Annotated[VoiceTuning, WithJsonSchema({"type": "object", "description": "As in update_agent"})]
