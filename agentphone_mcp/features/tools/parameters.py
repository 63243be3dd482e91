"""Define the parameters that recur in tools, each described and bounded once."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema

from agentphone_mcp.api.agents import VoiceTuning
from agentphone_mcp.api.provenance import is_id
from agentphone_mcp.policy.phone_numbers import to_e164


def _check_id(value: str) -> str:
    if not is_id(value):
        raise ValueError("this is no id: ids come from the list tools and have only letters, digits, _ . : -")
    return value


def _check_url(value: str) -> str:
    value = value.strip()
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("write it as https://host/path")
    # In a preview, the rest of such a URL would read like words of this server.
    if not value.isprintable() or " " in value:
        raise ValueError("write its spaces and line ends as %20 and %0A")
    return value


def _non_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("it is empty")
    return value.strip()


def without_default(schema: dict[str, Any]) -> None:
    """Drop the default from a schema: the first answer shows how many rows come."""
    schema.pop("default", None)


Id = Annotated[str, AfterValidator(_check_id)]
# They need no description: the instructions say that ids come from the list tools.
AgentId = NumberId = CallId = ConversationId = ContactId = Id

Phone = Annotated[str, AfterValidator(to_e164), Field(description="E.164")]
TransferNumber = Annotated[str, AfterValidator(lambda number: number and to_e164(number))]

PageSize = Annotated[int, Field(ge=1, le=100, json_schema_extra=without_default)]
Offset = Annotated[int, Field(ge=0)]
Hours = Annotated[int, Field(ge=1, le=720)]
MaxSeconds = Annotated[int, Field(ge=1, le=600)]
AfterTurn = Annotated[int, Field(ge=0, description="Turns already read")]

_PREVIEW = Field(description="Omit for a preview")
# The preview says what to pass as `confirm`, and a replayed outcome explains `repeat`.
Confirm = Annotated[StrictBool | None, _PREVIEW]
Repeat = StrictBool
ConfirmText = Annotated[str | None, AfterValidator(lambda text: text and text.strip()), _PREVIEW]

Text = Annotated[str, AfterValidator(_non_blank)]
WebUrl = Annotated[str, AfterValidator(_check_url)]
TextOrNone = Annotated[str | None, AfterValidator(lambda text: (text or "").strip() or None)]
Variables = Annotated[dict[str, Annotated[str, Field(coerce_numbers_to_str=True)]], WithJsonSchema({"type": "object"})]
AgentName = Annotated[str, Field(max_length=100), AfterValidator(_non_blank)]
VoiceId = Annotated[str, Field(description="From list_voices")]
# The same settings are described only once, as every description takes up context in every conversation.
TuningAsInUpdate = Annotated[VoiceTuning, WithJsonSchema({"type": "object", "description": "As in update_agent"})]
