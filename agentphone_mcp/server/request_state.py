"""Seal what a host passes back with a person's answer (`requestState`), each for the caller who was asked."""

import secrets
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.request_state import RequestStateSecurity

from agentphone_mcp.config.config import Config
from agentphone_mcp.server.middleware import caller_of

_TTL_SECONDS = 86_400.0
"""How long an answer can be opened; one that comes too late for its question is then reported as late."""


def request_state_security(config: Config) -> RequestStateSecurity:
    """Seal with the configured keys, or with a random key of this process."""

    def principal(ctx: ServerRequestContext[Any, Any]) -> str:
        return caller_of(ctx).name

    keys = config.request_state_keys or (secrets.token_bytes(32),)
    return RequestStateSecurity(keys=keys, ttl=_TTL_SECONDS, bind_principal=principal)
