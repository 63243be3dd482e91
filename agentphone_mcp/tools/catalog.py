"""All tools, in the one order in which every host sees them."""

from collections.abc import Iterable
from functools import cache
from types import ModuleType

from mcp.server.mcpserver.tools import Tool

from agentphone_mcp.config import TOOLSETS
from agentphone_mcp.tools import account, agents, calls, contacts, messages, numbers, webhooks
from agentphone_mcp.tools.toolset import Declared

_MODULES: tuple[ModuleType, ...] = (account, agents, numbers, calls, messages, webhooks, contacts)
CATALOG: dict[str, list[Declared]] = dict(zip(TOOLSETS, (module.TOOLS for module in _MODULES), strict=True))
"""Toolset name -> its tools."""


@cache
def built(tool: str) -> Tool:
    """The SDK's form of a tool; it holds nothing of one server, so all servers of a process share it."""
    return next(declared for tools in CATALOG.values() for declared in tools if declared.name == tool).build()


def select(toolsets: Iterable[str], *, read_only: bool) -> list[Declared]:
    """Choose the tools of some toolsets; read-only leaves out what changes anything."""
    return [tool for name in toolsets for tool in CATALOG[name] if tool.is_read or not read_only]
