"""Keep the precomputed surface of a server as objects of the SDK, for use before its features are imported."""

from collections.abc import Callable
from typing import Any

from mcp.server.mcpserver.tools import Tool
from mcp_types import Tool as ShownTool

from agentphone_mcp.server.stdio.surface import Surface


class PrecomputedSurface:
    """Answer for a server before its features are imported; a real answer that differs is reported once."""

    def __init__(self, surface: Surface, on_difference: Callable[[str], None]) -> None:
        self.instructions: str = surface.initialize["instructions"]
        self.tools = [ShownTool.model_validate(tool) for tool in surface.tools["tools"]]
        self._unchecked = {tool.name: tool for tool in self.tools}
        self._on_difference = on_difference

    def arguments_of(self, tool: str) -> dict[str, Any] | None:
        """Return the input schema of a tool; None if there is no such tool."""
        return next((shown.input_schema for shown in self.tools if shown.name == tool), None)

    def check(self, tool: Tool) -> None:
        """Compare the precomputed schemas of a tool with those of the real one."""
        shown = self._unchecked.pop(tool.name, None)
        if shown and (shown.input_schema, shown.output_schema) != (tool.parameters, tool.output_schema):
            self._unchecked.clear()
            self._on_difference("tools/list")
