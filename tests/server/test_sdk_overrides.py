"""What we hook into is there, or nothing starts."""

import pytest
from mcp.server.mcpserver import MCPServer

from agentphone_mcp.server.sdk_overrides import overriding


def test_a_hook_that_the_sdk_has_is_taken() -> None:

    def list_tools(server: MCPServer) -> None:
        """Stand in for the SDK's."""

    assert overriding(MCPServer)(list_tools) is list_tools


def test_a_hook_that_the_sdk_has_no_more_is_named() -> None:

    def list_of_tools(server: MCPServer) -> None:
        """Stand in for nothing."""

    with pytest.raises(ImportError, match=r"the installed mcp \d.* has no MCPServer\.list_of_tools"):
        overriding(MCPServer)(list_of_tools)
