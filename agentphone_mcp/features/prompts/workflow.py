"""Declare workflows as prompts, and explain to the person who filled one in what is missing or invalid."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import Message
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, InputRequiredResult
from pydantic import ValidationError

from agentphone_mcp.features.presentation.error_messages import explain_arguments
from agentphone_mcp.features.presentation.serialization import redact_secrets
from agentphone_mcp.policy.errors import Refused


@dataclass(frozen=True)
class Workflow:
    """Declare a prompt and the tools that it needs.

    Attributes:
        function: writes the text; its docstring is the description and its signature the arguments.
        title: the name that a host shows.
        uses: all tools that the text may name.
    """

    function: Callable[..., str]
    title: str
    uses: frozenset[str]

    @cached_property
    def prompt(self) -> Prompt:
        """Return it as the SDK's prompt, shared by all servers of the process."""
        description = " ".join((self.function.__doc__ or "").split())
        return WorkflowPrompt.from_function(self.function, title=self.title, description=description)


class WorkflowPrompt(Prompt):
    """Prompt that ignores blank arguments and refuses invalid ones by name."""

    async def render(
        self, arguments: dict[str, Any] | None, context: Context[Any, Any]
    ) -> list[Message] | InputRequiredResult:
        """Render the text.

        Raises:
            MCPError: if arguments are missing or invalid; the message names them.
        """
        given = {name: value for name, value in (arguments or {}).items() if str(value).strip()}
        required = [argument.name for argument in self.arguments or [] if argument.required]
        missing = [name for name in required if name not in given]
        if missing:
            raise _refused(f"{self.name} was not run. Fill in {' and '.join(missing)}.")
        try:
            return await super().render({name: redact_secrets(value) for name, value in given.items()}, context)
        except ValueError as exc:
            match exc.__cause__:
                case ValidationError() as cause:
                    raise _refused(explain_arguments(self.name, cause)) from cause
                case Refused() as cause:
                    raise _refused(str(cause)) from cause
                case _:
                    raise


def _refused(message: str) -> MCPError:
    return MCPError(INVALID_PARAMS, redact_secrets(message))
