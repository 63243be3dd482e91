"""Keep the precomputed surface of a server as objects of the SDK, for use before its features are imported."""

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp_types import Tool as ShownTool

from agentphone_mcp.server.stdio.surface import Surface


class PrecomputedSurface:
    """Answer for a server before its features are imported.

    Args:
        surface: what it says of itself.
        differs: told of a method that turns out to be answered otherwise; once.
    """

    def __init__(self, surface: Surface, differs: Callable[[str], None]) -> None:
        self.instructions: str = surface.initialize["instructions"]
        self.tools = [ShownTool.model_validate(tool) for tool in surface.tools["tools"]]
        self._unchecked = {tool.name: tool for tool in self.tools}
        self._differs = differs

    def arguments_of(self, tool: str) -> dict[str, Any] | None:
        """The input schema of a tool; None if there is no such tool."""
        return next((one.input_schema for one in self.tools if one.name == tool), None)

    def check(self, tool: Tool) -> None:
        """Compare what was said of a tool with the tool, when that is there."""
        shown = self._unchecked.pop(tool.name, None)
        if shown and (shown.input_schema, shown.output_schema) != (tool.parameters, tool.output_schema):
            self._unchecked.clear()
            self._differs("tools/list")
