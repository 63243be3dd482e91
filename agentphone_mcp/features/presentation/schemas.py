"""Keep the schemas and results of tools small, as hosts put them into every conversation."""

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
from agentphone_mcp.policy.untrusted import without_marks


class LeanSchema(GenerateJsonSchema):
    """Generate JSON schemas without titles, nulls, obvious bounds and descriptions of classes.

    Validation handles unknown arguments, nulls and bounds, whether the schema states them or not.
    """

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """Generate the schema, strip what describes Python classes, and inline definitions that are used once."""
        generated = super().generate(schema, mode)
        for part in (generated, *generated.get("$defs", {}).values()):
            for noise in ("title", "description", "additionalProperties"):
                part.pop(noise, None)
        return _inline_definitions(generated)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Omit titles, which repeat the names."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Describe an optional value by the schema of its non-null form."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Omit defaults of null, false and zero from arguments, and all defaults from results."""
        generated = super().default_schema(schema)
        if self.mode == "serialization" or not generated.get("default", True):
            generated.pop("default", None)
        return generated

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """Omit a minimum of 0 or 1."""
        generated = super().int_schema(schema)
        if generated.get("minimum") in (0, 1):
            del generated["minimum"]
        return generated

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """Omit lengths and patterns, which an error states when they are violated."""
        return {"type": "string"}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Omit `additionalProperties: true`, which is the default."""
        generated = super().dict_schema(schema)
        if generated.get("additionalProperties") is True:
            del generated["additionalProperties"]
        return generated


class Linked(BaseModel):
    """Base of results that may link to a resource instead of containing it."""

    def link(self) -> ResourceLink | None:
        """Return a link to the resource, if there is one."""
        raise NotImplementedError


class CompactResults(FuncMetadata):
    """Handle a tool's arguments and results as the SDK does, with five differences.

    1. A result is one line of JSON without nulls, equal in text and structured content.
    2. Its schema has the names that are sent; the SDK publishes the aliases that are read.
    3. A string argument is never parsed as JSON, which the SDK does with optional ones: a message may look like JSON.
    4. A null for an optional argument counts as absent.
    5. Untrusted text is marked, and secrets are redacted.
    """

    accepts_text: frozenset[str] = frozenset()

    def model_post_init(self, context: Any, /) -> None:
        """Generate the output schema with the names that are sent."""
        adapter = TypeAdapter[Any](self.output_model)
        self.output_schema = adapter.json_schema(mode="serialization", by_alias=False, schema_generator=LeanSchema)

    def validate_arguments(self, arguments_to_validate: dict[str, Any]) -> dict[str, Any]:
        """Drop nulls of optional arguments, as some hosts fill in every argument, and marks copied from an answer."""
        fields = self.arg_model.model_fields
        given = {
            name: without_marks(value)
            for name, value in arguments_to_validate.items()
            if value is not None or name not in fields or fields[name].is_required()
        }
        return super().validate_arguments(given)

    def pre_parse_json(self, data: dict[str, Any]) -> dict[str, Any]:
        """Parse JSON strings for arguments that are objects or lists, as some hosts send them so."""
        texts = {name: value for name, value in data.items() if name in self.accepts_text}
        return super().pre_parse_json({name: value for name, value in data.items() if name not in texts}) | texts

    def convert_result(self, result: Any) -> CallToolResult | InputRequiredResult:
        """Convert a tool's result to the protocol's."""
        if not isinstance(result, BaseModel) or isinstance(result, InputRequiredResult | CallToolResult):
            return super().convert_result(result)
        structured = serialize(result, current_redactor())
        link = result.link() if isinstance(result, Linked) else None
        content: list[ContentBlock] = [TextContent(type="text", text=compact_json(structured))]
        if link:
            content.append(link)
        return CallToolResult(content=content, structured_content=structured)


def _inline_definitions(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Inline each definition that is referenced once."""
    definitions = schema.pop("$defs", {})
    uses = Counter(re.findall(r'"#/\$defs/([^"]+)"', json.dumps([schema, definitions])))

    def inlined(part: Any) -> Any:
        if is_list(part):
            return [inlined(item) for item in part]
        if not is_object(part):
            return part
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if uses[name] == 1:
            part = {key: value for key, value in part.items() if key != "$ref"} | definitions[name]
        return {key: inlined(value) for key, value in part.items()}

    kept = {name: inlined(definition) for name, definition in definitions.items() if uses[name] > 1}
    return ({"$defs": kept} if kept else {}) | inlined(schema)
