"""JSON schemas for a model's eyes: hosts put them into every conversation, so they carry nothing without meaning."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class LeanSchema(GenerateJsonSchema):
    """No titles, no null beside what is optional anyway, no notes on the classes behind.

    Unknown arguments and nulls are handled by validation, which is the same with or without these words.
    """

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """Make the schema and strip what describes our classes and not the data."""
        made = super().generate(schema, mode)
        for part in (made, *made.get("$defs", {}).values()):
            for noise in ("title", "description", "additionalProperties"):
                part.pop(noise, None)
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: the name says it."""
        return False

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Describe an optional value as what it is when it is there."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave a default of null away."""
        made = super().default_schema(schema)
        if made.get("default", ...) is None:
            del made["default"]
        return made

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """An object may have any keys unless it says otherwise."""
        made = super().dict_schema(schema)
        if made.get("additionalProperties") is True:
            del made["additionalProperties"]
        return made
