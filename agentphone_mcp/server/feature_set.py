"""Collect what a server offers over the protocol: tools, resources, prompts, and error messages.

It takes a third of a second to import, so `server.py` imports it only for more than the list of tools.
"""

from collections.abc import Iterable
from typing import Any

from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from pydantic import ValidationError

from agentphone_mcp.api.errors import ApiError, BadPathValue, NotFound
from agentphone_mcp.features.completion import complete
from agentphone_mcp.features.guides import GUIDES
from agentphone_mcp.features.instructions import INSTRUCTIONS, without_lines_on
from agentphone_mcp.features.presentation.error_messages import explain, explain_arguments
from agentphone_mcp.features.presentation.serialization import current_redactor, redact_secrets, show_sentence
from agentphone_mcp.features.prompts.catalog import prompts_for
from agentphone_mcp.features.resources import add_resources, use_context, with_audio_type
from agentphone_mcp.features.subscriptions import listen, subscribe, unsubscribe
from agentphone_mcp.features.tools.catalog import ALL_NAMES, select
from agentphone_mcp.policy.access import Scope
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.untrusted import clean

_LONGEST_NAME = 64


class FeatureSet:
    """Hold the features of a server with some toolsets, for callers of a scope."""

    complete = staticmethod(complete)
    listen = staticmethod(listen)
    subscribe = staticmethod(subscribe)
    unsubscribe = staticmethod(unsubscribe)
    reading = staticmethod(use_context)

    def __init__(self, toolsets: Iterable[str], scope: Scope) -> None:
        self._toolsets = tuple(toolsets)
        self._declared = {declared.name: declared for declared in select(self._toolsets, scope)}

    @property
    def instructions(self) -> str:
        """Return the instructions for these tools: lines that name another tool are left out."""
        return without_lines_on(ALL_NAMES - self._declared.keys(), INSTRUCTIONS)

    @property
    def tools(self) -> list[Tool]:
        """Return all tools, in their order."""
        return [declared.tool for declared in self._declared.values()]

    def tool(self, name: str) -> Tool:
        """Return a tool by name; making it the first time takes some milliseconds.

        Raises:
            ToolError: with a sentence, if it is not there.
        """
        if name in self._declared:
            return self._declared[name].tool
        why = "is not open to this connection" if name in ALL_NAMES else "does not exist"
        # Redacted before it is truncated, so that no half of a secret is left at the end.
        raise ToolError(f"The tool {_shown(name)[:_LONGEST_NAME]!r} {why}: look at the list of tools.")

    def register_on(self, server: MCPServer[Any]) -> None:
        """Give a server its resources and prompts."""
        add_resources(server, self._toolsets)
        for guide in GUIDES:
            server.resource(
                guide.uri,
                name=guide.name,
                title=guide.title,
                description=guide.description,
                mime_type="text/markdown",
            )(guide.read)
        for prompt in prompts_for(self._declared.values()):
            server.add_prompt(prompt)

    def tool_error(self, name: str, failure: ToolError) -> ToolError:
        """Say why a tool failed: what was asked, what happened, what to do next."""
        match failure.__cause__:
            case ApiError() as cause:
                message = explain(cause)
            case Refused() as cause:
                message = str(cause)
            case ValidationError() as cause if not isinstance(failure, UnexpectedToolError):
                message = explain_arguments(name, cause)
            case _ if isinstance(failure, UnexpectedToolError):
                return UnexpectedToolError(
                    f"{name} failed inside agentphone-mcp; its log says why. If it changes something, look before you "
                    "repeat it."
                )
            case _:
                message = str(failure)
        return ToolError(_shown(message))

    def resource_error(self, failure: ResourceError) -> ResourceError:
        """Say why a resource cannot be read."""
        cause = _api_error_in(failure)
        # What is not there has an error of its own in the protocol.
        kind = ResourceNotFoundError if isinstance(cause, NotFound | BadPathValue) else ResourceError
        return (kind if cause else type(failure))(_shown(explain(cause) if cause else str(failure)))

    def sanitize_resource(self, content: ReadResourceContents) -> ReadResourceContents:
        """Make a resource fit to be shown."""
        if isinstance(content.content, bytes):
            return with_audio_type(content.content, content)
        # Its texts are marked and defused already, and it may be a guide of this server that explains the marks.
        text = redact_secrets(clean(content.content))
        return ReadResourceContents(content=text, mime_type=content.mime_type, meta=content.meta)


def _shown(text: str) -> str:
    """Write a sentence of this server; what it quotes of others is marked already."""
    return show_sentence(text, current_redactor())


def _api_error_in(failure: BaseException) -> ApiError | None:
    """Find what the API message below the SDK's wrappers."""
    cause: BaseException | None = failure
    while cause is not None and not isinstance(cause, ApiError):
        cause = cause.__cause__
    return cause
