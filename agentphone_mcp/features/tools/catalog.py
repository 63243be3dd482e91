"""Collect all tools, in the order in which every host sees them."""

from collections.abc import Iterable
from types import ModuleType

from agentphone_mcp.features.tools import account, agents, calls, contacts, messages, numbers, webhooks
from agentphone_mcp.features.tools.declaration import Declared
from agentphone_mcp.policy.access import Scope, included_scopes
from agentphone_mcp.variables import TOOLSETS

_MODULES: tuple[ModuleType, ...] = (account, agents, numbers, calls, messages, webhooks, contacts)
_BY_NAME = {module.__name__.rpartition(".")[2]: module for module in _MODULES}
CATALOG: dict[str, list[Declared]] = {name: _BY_NAME[name].TOOLS for name in TOOLSETS}
"""Toolset name -> its tools."""
ALL_NAMES = frozenset(tool.name for tools in CATALOG.values() for tool in tools)


def select(toolsets: Iterable[str], scope: Scope) -> list[Declared]:
    """Return the tools of some toolsets that a scope covers."""
    scopes = included_scopes(scope)
    return [tool for name in toolsets for tool in CATALOG[name] if tool.scope in scopes]
