"""Who is connected, and how far they may go."""

from dataclasses import dataclass, field
from typing import Literal

from agentphone_mcp.api.api_key import ApiKey

Scope = Literal["read", "write", "spend"]
SCOPES: tuple[Scope, ...] = ("read", "write", "spend")
"""Each includes those before it: look; set things up; spend money, reach people and destroy."""


def included_scopes(scope: Scope, *, read_only: bool = False) -> tuple[Scope, ...]:
    """Say what a scope includes; of a server that only reads, nobody has more than that."""
    return SCOPES[: 1 if read_only else SCOPES.index(scope) + 1]


@dataclass(frozen=True)
class Caller:
    """Whoever sends a request, as it was found out for this very request.

    Attributes:
        name: how the operator knows them; no two callers of a server share it, and it holds no secret.
        scope: how far they may go.
        key: their own AgentPhone key, where each caller brings one; None for the operator's.
        expires_at: seconds since the epoch after which they are nobody; None for never.
        credential: a hash of what they showed, which tells it from what the same name showed before.
    """

    name: str
    scope: Scope = "spend"
    key: ApiKey | None = None
    expires_at: float | None = None
    credential: str = field(default="", repr=False)


OPERATOR = Caller("operator")
"""Whoever started the server: over stdio, or from this machine where nobody has to say who they are."""
CALLER = "agentphone_mcp.caller"
"""Where the scope of an HTTP request holds the `Caller`."""
