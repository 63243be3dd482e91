"""How a workflow is declared, and how it fails: in a sentence, for the person who filled it in."""

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
    """A prompt, and what it cannot do without.

    Attributes:
        function: writes the text; its docstring is the description and its signature the arguments.
        title: what a person picks it by.
        uses: the tools that the text names, in any of its forms.
    """

    function: Callable[..., str]
    title: str
    uses: frozenset[str]

    @cached_property
    def prompt(self) -> Prompt:
        """The SDK's form of it; all servers of a process share it."""
        description = " ".join((self.function.__doc__ or "").split())
        return WorkflowPrompt.from_function(self.function, title=self.title, description=description)


class WorkflowPrompt(Prompt):
    """The SDK's prompt, whose arguments are refused by name; what was left blank counts as left out."""

    async def render(
        self, arguments: dict[str, Any] | None, context: Context[Any, Any]
    ) -> list[Message] | InputRequiredResult:
        """Write the text.

        Raises:
            MCPError: with a sentence that names what is missing or wrong; nothing was done.
        """
        given = {name: value for name, value in (arguments or {}).items() if str(value).strip()}
        missing = [one.name for one in self.arguments or [] if one.required and one.name not in given]
        if missing:
            raise _refused(f"{self.name} was not run. Fill in {' and '.join(missing)}.")
        try:
            return await super().render({name: redact_secrets(value) for name, value in given.items()}, context)
        except ValueError as failure:
            match failure.__cause__:
                case ValidationError() as cause:
                    raise _refused(explain_arguments(self.name, cause)) from cause
                case Refused() as cause:
                    raise _refused(str(cause)) from cause
                case _:
                    raise


def _refused(why: str) -> MCPError:
    return MCPError(INVALID_PARAMS, redact_secrets(why))
