"""Find out who makes a request, give its tools the context of that caller, and seal what only they may pass back."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.request_state import RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_REQUEST

from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.access import CALLER, OPERATOR, Caller
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.server.accounts import AccountPool

_OF_EVERY_ACCOUNT = {
    "initialize",
    "server/discover",
    "ping",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "notifications/initialized",
}
"""Methods whose answer is the same for every account, and needs no connection."""
UNTIL_SENT = "agentphone_mcp.until_sent"
"""The key of the `UntilSent` in the ASGI scope of an HTTP request."""
_TTL_SECONDS = 86_400.0
"""How long an answer can be opened; one that comes too late for its question is then reported as late."""


class UntilSent:
    """Call back when the answer to an HTTP request has been sent, or at once if it has been already."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[], None]] | None = []

    def __call__(self, callback: Callable[[], None]) -> None:
        """Remember what to call."""
        if self._callbacks is None:
            callback()
        else:
            self._callbacks.append(callback)

    def end(self) -> None:
        """Call all of them: the answer was sent, or never will be."""
        callbacks, self._callbacks = self._callbacks or [], None
        for callback in callbacks:
            callback()


def caller_of(ctx: ServerRequestContext[Any, Any]) -> Caller:
    """Find whose request it is: over HTTP the caller that was authenticated with this request, else the operator.

    Raises:
        MCPError: if it came over HTTP and past the auth.
    """
    if ctx.request is None:
        return OPERATOR
    caller = ctx.request.scope.get(CALLER)
    if not isinstance(caller, Caller):
        raise MCPError(INVALID_REQUEST, "Nobody said who is calling.")
    return caller


async def account_middleware(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Attach the caller's account context to each request that needs it.

    Middleware of the SDK's server.

    Raises:
        MCPError: with a sentence, if the request is nobody's, or nobody can be connected now.
    """
    caller = caller_of(ctx)
    if ctx.method in _OF_EVERY_ACCOUNT:
        return await call_next(ctx)
    accounts: AccountPool = ctx.lifespan_context
    try:
        async with accounts.connected(caller) as context:
            from agentphone_mcp.api.pacing import on_behalf_of
            from agentphone_mcp.features.presentation.serialization import use_redactor
            from agentphone_mcp.policy.untrusted import new_marks

            until_sent = ctx.request.scope.get(UNTIL_SENT) if ctx.request is not None else None
            lent = replace(context, until_sent=until_sent) if until_sent else context
            with on_behalf_of(caller.name), use_redactor(context.api.secrets.redact), new_marks():
                return await call_next(replace(ctx, lifespan_context=lent))
    except Refused as exc:
        raise MCPError(INTERNAL_ERROR, str(exc)) from exc


def request_state_security(config: Config) -> RequestStateSecurity:
    """Seal what a host passes back with a person's answer, with the configured keys or a random one of this process."""

    def principal(ctx: ServerRequestContext[Any, Any]) -> str:
        return caller_of(ctx).name

    keys = config.request_state_keys or (secrets.token_bytes(32),)
    return RequestStateSecurity(keys=keys, ttl=_TTL_SECONDS, bind_principal=principal)
