"""How results are shaped: lists that say how to go on, and compact JSON without nulls."""

import json
from typing import Annotated, Any, Generic, Protocol, TypeVar, runtime_checkable

from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp_types import CallToolResult, ContentBlock, InputRequiredResult, ResourceLink, TextContent
from pydantic import BaseModel, Field, TypeAdapter

from agentphone_mcp.api.models import Page
from agentphone_mcp.tools.schemas import LeanSchema

Row = TypeVar("Row", bound=BaseModel)


class Listed(BaseModel, Generic[Row]):
    """One page of a list."""

    data: list[Row]
    total: int | None = None
    next_offset: Annotated[int | None, Field(description="Pass as offset for more")] = None
    next_step: str | None = None


def listed(page: Page[Row], limit: int, offset: int = 0, *, if_empty: str | None = None) -> Listed[Row]:
    """Turn a page of the API into a page for the model.

    Args:
        page: the API's answer.
        limit: how many rows were asked for.
        offset: where the page begins.
        if_empty: what to do next when the whole list is empty.
    """
    return Listed(
        data=page.data,
        total=page.total,
        next_offset=page.next_offset(offset, limit),
        next_step=None if page.data or offset else if_empty,
    )


def quoted(words: str, most: int = 2_000) -> str:
    """Show words as words: on one line, in quotes that they cannot end themselves, cut where they are too long."""
    shown = words if len(words) <= most else f"{words[:most]}…"
    return json.dumps(shown, ensure_ascii=False)


@runtime_checkable
class HasLink(Protocol):
    """A result that points to a resource instead of carrying it."""

    def link(self) -> ResourceLink | None:
        """The resource, if there is one."""
        ...


class CompactResults(FuncMetadata):
    """The SDK's handling of a tool's arguments and results, with four differences.

    Results go out as one line of JSON without nulls, the same in text as in structured content. Their schema has the
    names that are sent (the SDK publishes the aliases that are read). A string argument stays what it is, where the SDK
    would parse an optional one as JSON: a text message or an agent's name may look like JSON. A null is an absence.
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
        structured = result.model_dump(mode="json", exclude_none=True)
        text = json.dumps(structured, ensure_ascii=False, separators=(",", ":"))
        link = result.link() if isinstance(result, HasLink) else None
        content: list[ContentBlock] = [TextContent(type="text", text=text)]
        if link:
            content.append(link)
        return CallToolResult(content=content, structured_content=structured)
