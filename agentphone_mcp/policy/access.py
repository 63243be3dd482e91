"""Tell who calls, and which scope they have: read, write or spend."""

from dataclasses import dataclass, field
from typing import Literal

from agentphone_mcp.api.api_key import ApiKey

Scope = Literal["read", "write", "spend"]
SCOPES: tuple[Scope, ...] = ("read", "write", "spend")
"""Each includes those before it: look; set things up; spend money, reach people and destroy."""


def included_scopes(scope: Scope, *, read_only: bool = False) -> tuple[Scope, ...]:
    """List the scopes that a scope includes; a read-only server grants `read` alone."""
    return SCOPES[: 1 if read_only else SCOPES.index(scope) + 1]


@dataclass(frozen=True)
class Caller:
    """Identify the sender of one request.

    Attributes:
        name: how the operator knows them; unique on a server, and no secret.
        key: their own AgentPhone key; None uses the operator's.
        expires_at: when their credential expires, in seconds since the epoch; None for never.
        credential: a hash of the credential, which tells it from earlier ones of the same name.
    """

    name: str
    scope: Scope = "spend"
    key: ApiKey | None = None
    expires_at: float | None = None
    credential: str = field(default="", repr=False)


OPERATOR = Caller("operator")
"""The one who started the server: over stdio, or over HTTP without authentication from this machine."""
CALLER = "agentphone_mcp.caller"
"""The key of the `Caller` in the ASGI scope of an HTTP request."""
