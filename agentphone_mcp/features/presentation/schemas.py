"""What the protocol is told of a tool and its results: hosts put it into every conversation, so it is kept lean."""

import json
import re
from collections import Counter
from typing import Any

from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult, ContentBlock, InputRequiredResult, ResourceLink, TextContent
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.features.presentation.serialization import compact_json, current_redactor, serialize


class LeanSchema(GenerateJsonSchema):
    """No titles, no null beside what is optional, no bounds that go without saying, no notes on the classes behind.

    Unknown arguments, nulls and bounds are handled when arguments are validated, with or without these words.
    """

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """Make the schema, strip what describes our classes and not the data, and put in place what is used once."""
        made = super().generate(schema, mode)
        for part in (made, *made.get("$defs", {}).values()):
            for noise in ("title", "description", "additionalProperties"):
                part.pop(noise, None)
        return _in_place(made)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: the name says it."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Describe an optional value as what it is when it is there."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave a default of null, false or zero away: what is not said is not so. A result has what is sent."""
        made = super().default_schema(schema)
        if self.mode == "serialization" or not made.get("default", True):
            made.pop("default", None)
        return made

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """Nobody counts below zero, or asks for none."""
        made = super().int_schema(schema)
        if made.get("minimum") in (0, 1):
            del made["minimum"]
        return made

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """The shape of a text is told to whoever gets it wrong."""
        return {"type": "string"}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """An object may have any keys unless it says otherwise."""
        made = super().dict_schema(schema)
        if made.get("additionalProperties") is True:
            del made["additionalProperties"]
        return made


class Linked(BaseModel):
    """A result that may point to a resource instead of carrying it."""

    def link(self) -> ResourceLink | None:
        """The resource, if there is one."""
        raise NotImplementedError


class CompactResults(FuncMetadata):
    """The SDK's handling of a tool's arguments and results, with five differences.

    Results go out as one line of JSON without nulls, the same in text as in structured content. Their schema has the
    names that are sent (the SDK publishes the aliases that are read). A string argument stays what it is, where the SDK
    would parse an optional one as JSON: a text message or an agent's name may look like JSON. A null is an absence.
    Strangers' words are marked, and secrets are redacted.
    """

    accepts_text: frozenset[str] = frozenset()

    def model_post_init(self, context: Any, /) -> None:
        """Publish the names that are sent."""
        adapter = TypeAdapter[Any](self.output_model)
        self.output_schema = adapter.json_schema(mode="serialization", by_alias=False, schema_generator=LeanSchema)

    def validate_arguments(self, arguments_to_validate: dict[str, Any]) -> dict[str, Any]:
        """Take a null for an optional argument as its absence; some hosts fill in every argument there is."""
        fields = self.arg_model.model_fields
        given = {
            name: value
            for name, value in arguments_to_validate.items()
            if value is not None or name not in fields or fields[name].is_required()
        }
        return super().validate_arguments(given)

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        """Parse JSON in strings for arguments that are objects or lists; some hosts send them so."""
        texts = {name: value for name, value in data.items() if name in self.accepts_text}
        return super().pre_parse_json({name: value for name, value in data.items() if name not in texts}) | texts

    def convert_result(self, result: Any) -> CallToolResult | InputRequiredResult:
        """Write a tool's result as the protocol's."""
        if not isinstance(result, BaseModel) or isinstance(result, InputRequiredResult | CallToolResult):
            return super().convert_result(result)
        structured = serialize(result, current_redactor())
        link = result.link() if isinstance(result, Linked) else None
        content: list[ContentBlock] = [TextContent(type="text", text=compact_json(structured))]
        if link:
            content.append(link)
        return CallToolResult(content=content, structured_content=structured)


def _in_place(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Put each definition that is used once where it is used; a name and a reference would say no more."""
    definitions = schema.pop("$defs", {})
    uses = Counter(re.findall(r'"#/\$defs/([^"]+)"', json.dumps([schema, definitions])))

    def placed(part: Any) -> Any:
        if is_list(part):
            return [placed(one) for one in part]
        if not is_object(part):
            return part
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if uses[name] == 1:
            part = {key: value for key, value in part.items() if key != "$ref"} | definitions[name]
        return {key: placed(value) for key, value in part.items()}

    kept = {name: placed(definition) for name, definition in definitions.items() if uses[name] > 1}
    return ({"$defs": kept} if kept else {}) | placed(schema)
