"""Declare a tool: a plain function, and in one word what it may do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import BaseModel

from agentphone_mcp.features.presentation.schemas import CompactResults, LeanSchema
from agentphone_mcp.policy.access import Scope

ToolFunction = Callable[..., Awaitable[BaseModel]]


@dataclass(frozen=True)
class Declared:
    """Join a tool with the hints that hosts show and decide by; all are set, as hosts assume the worst of unset ones.

    Attributes:
        function: the tool; its docstring is its description and its signature its schema.
        hints: read-only, destructive, idempotent, and open world: whether it reaches people or servers outside the
            account, or returns what they wrote.
        mark: `$` if it spends money or reaches people, `!` if it cannot be undone; neither acts without `confirm`.
    """

    function: ToolFunction
    hints: ToolAnnotations
    mark: Literal["", "$", "!"] = ""

    @property
    def name(self) -> str:
        """Return the name that hosts see."""
        return self.function.__name__

    @property
    def scope(self) -> Scope:
        """Return the scope a caller needs: `spend` for a tool that always asks for `confirm`.

        A tool that asks for it only in some cases has the scope `write`; `approval.py` refuses those cases to callers
        without `spend`.
        """
        if self.hints.read_only_hint:
            return "read"
        return "spend" if self.mark else "write"

    @cached_property
    def tool(self) -> Tool:
        """Return the SDK's tool, with lean schemas; all servers of a process share it."""
        tool = Tool.from_function(
            self.function,
            title=self.name.replace("_", " ").capitalize(),
            description=" ".join((self.function.__doc__ or "").split()),
            annotations=self.hints,
            structured_output=True,
        )
        arguments = tool.fn_metadata.arg_model
        # By default an unknown argument, such as `dry_run`, would be dropped silently.
        arguments.model_config["extra"] = "forbid"
        arguments.model_rebuild(force=True)
        texts = (name for name, field in arguments.model_fields.items() if _takes_text(field.annotation))
        tool.fn_metadata = CompactResults(
            arg_model=arguments, output_model=tool.fn_metadata.output_model, accepts_text=frozenset(texts)
        )
        tool.parameters = arguments.model_json_schema(by_alias=False, schema_generator=LeanSchema)
        return tool


def reads(function: ToolFunction, *, open_world: bool = False) -> Declared:
    """Declare a tool that changes nothing."""
    return Declared(function, _hints(read_only=True, idempotent=True, open_world=open_world))


def creates(function: ToolFunction, *, may_replace: bool = False) -> Declared:
    """Declare a tool that adds something each time it is called, or, through the gate, replaces what is there."""
    return Declared(function, _hints(destructive=may_replace))


def updates(
    function: ToolFunction, *, idempotent: bool = True, open_world: bool = False, may_reroute: bool = False
) -> Declared:
    """Declare a tool that changes what can be changed back, or, through the gate, who gets calls and texts."""
    return Declared(function, _hints(destructive=may_reroute, idempotent=idempotent, open_world=open_world))


def spends(function: ToolFunction, *, open_world: bool = True) -> Declared:
    """Declare a gated tool that costs money or reaches people."""
    return Declared(function, _hints(destructive=True, open_world=open_world), mark="$")


def destroys(function: ToolFunction) -> Declared:
    """Declare a gated tool whose action cannot be undone."""
    return Declared(function, _hints(destructive=True, idempotent=True), mark="!")


def _hints(
    *, read_only: bool = False, destructive: bool = False, idempotent: bool = False, open_world: bool = False
) -> ToolAnnotations:
    return ToolAnnotations(
        read_only_hint=read_only, destructive_hint=destructive, idempotent_hint=idempotent, open_world_hint=open_world
    )


def _takes_text(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(_takes_text(part) for part in get_args(annotation))
    return annotation is str
