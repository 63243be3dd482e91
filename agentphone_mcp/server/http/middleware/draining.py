"""Bound the MCP requests of each caller, and let them finish when the server is stopped."""

import json
import logging
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent

from agentphone_mcp.server.http.middleware.concurrency import Amounts, ConcurrencyLimiter
from agentphone_mcp.server.middleware import caller_of

_TOO_MANY = (
    "Nothing was done: {most} requests of yours are under way, as many as one caller may have here. Wait for one."
)
_TOO_LARGE = "Nothing was done: the requests of yours that are under way are too large together. Wait for one."
_CLIENT_INFO_TOO_LONG = (
    "What this client says of itself is kept while its session lasts, and has to be shorter than {most} bytes."
)
_MOST_CLIENT_INFO_BYTES = 64 * 1024
_STOPPED = (
    "This server is being stopped, so {method} was broken off. A phone call that it followed goes on, and can be "
    "followed again in a moment. If it was to change something, look whether that happened before you call it again."
)
_STOPPING = "Nothing was done: this server is being stopped. Try again in a moment."
_ENDLESS = "subscriptions/listen"

logger = logging.getLogger(__name__)


class DrainingMiddleware:
    """Limit MCP requests as middleware of the SDK's server, and drain them at the end."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self.is_stopping = False
        self._limiter = limiter
        self._active: dict[anyio.CancelScope, str] = {}
        self._is_quiet = anyio.Event()

    async def handle(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Pass a request on, or refuse it at a limit or while the server is being stopped.

        Raises:
            MCPError: with the reason, unless the request is a tool call: its result says it.
        """
        if ctx.request_id is None:
            return await call_next(ctx)
        if self.is_stopping:
            return _refuse(ctx, _STOPPING)
        caller = caller_of(ctx).name
        if not self._limiter.has_room(caller, {"mcp_requests": 1}):
            return _refuse(ctx, _TOO_MANY.format(most=self._limiter.limits["mcp_requests"]))
        size = len(json.dumps(ctx.params, default=str))
        if ctx.method == "initialize" and size >= _MOST_CLIENT_INFO_BYTES:
            raise MCPError(INVALID_PARAMS, _CLIENT_INFO_TOO_LONG.format(most=_MOST_CLIENT_INFO_BYTES))
        wanted: Amounts = {"mcp_requests": 1, "mcp_bytes": size}
        if not self._limiter.has_room(caller, wanted):
            return _refuse(ctx, _TOO_LARGE)
        with self._limiter.held(caller, wanted), anyio.CancelScope() as scope:
            self._active[scope] = ctx.method
            try:
                return await call_next(ctx)
            finally:
                del self._active[scope]
                if self.is_stopping and not self._active:
                    self._is_quiet.set()
        return _refuse(ctx, _STOPPED.format(method=_tool_or_method(ctx)))

    async def drain(self, seconds: float) -> None:
        """Accept no more requests, wait for those under way, and cancel the others after so many seconds."""
        self.is_stopping = True
        self._cancel(_ENDLESS)
        if self._active:
            with anyio.move_on_after(seconds):
                await self._is_quiet.wait()
        if self._active:
            logger.warning("%d requests were broken off", len(self._active))
        self._cancel()

    def _cancel(self, method: str | None = None) -> None:
        for scope in [scope for scope, active in self._active.items() if method in (None, active)]:
            scope.cancel()


def _tool_or_method(ctx: ServerRequestContext[Any, Any]) -> str:
    name = (ctx.params or {}).get("name")
    return name[:64] if ctx.method == "tools/call" and isinstance(name, str) else ctx.method


def _refuse(ctx: ServerRequestContext[Any, Any], reason: str) -> CallToolResult:
    """Refuse a tool call by its result, which is what models read, and anything else by an error."""
    if ctx.method != "tools/call":
        raise MCPError(INTERNAL_ERROR, reason)
    return CallToolResult(content=[TextContent(type="text", text=reason)], is_error=True)
