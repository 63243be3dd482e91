"""The requests that are under way: how much of each caller, and what becomes of them when the server is stopped."""

import json
import logging
from collections import Counter
from typing import Any

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent

from agentphone_mcp.server.middleware import caller_of

_TOO_MANY = (
    "Nothing was done: {most} requests of yours are under way, as many as one caller may have here. Wait for one."
)
_TOO_LARGE = "Nothing was done: the requests of yours that are under way are too large together. Wait for one."
_TOO_TALKATIVE = (
    "What this client says of itself is kept while its session lasts, and has to be shorter than {most} bytes."
)
_MOST_BYTES = 8 * 1024 * 1024
"""Of one caller's requests under way, as JSON; in memory they can take twenty times as much."""
_LONGEST_INTRODUCTION = 64 * 1024
_STOPPED = (
    "This server is being stopped, so {method} was broken off. A phone call that it followed goes on, and can be "
    "followed again in a moment. If it was to change something, look whether that happened before you call it again."
)
_STOPPING = "Nothing was done: this server is being stopped. Try again in a moment."
_INTRODUCES = "initialize"
_ENDLESS = "subscriptions/listen"

logger = logging.getLogger(__name__)


class ConcurrencyLimiter:
    """Counts requests, and lets them finish.

    Args:
        most: how many of one caller may be under way.
    """

    def __init__(self, most: int) -> None:
        self.is_stopping = False
        self._most = most
        self._of: Counter[str] = Counter()
        self._bytes_of: Counter[str] = Counter()
        self._under_way: dict[anyio.CancelScope, str] = {}
        self._is_quiet = anyio.Event()

    async def limit(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Let a request pass, as middleware of the SDK's server, unless there are too many or it is too late.

        Raises:
            MCPError: with a sentence, where that is no answer of a tool.
        """
        if ctx.request_id is None:
            return await call_next(ctx)
        if self.is_stopping:
            return _refused(ctx, _STOPPING)
        name = caller_of(ctx).name
        if self._of[name] >= self._most:
            return _refused(ctx, _TOO_MANY.format(most=self._most))
        size = len(json.dumps(ctx.params, default=str))
        if ctx.method == _INTRODUCES and size >= _LONGEST_INTRODUCTION:
            raise MCPError(INVALID_PARAMS, _TOO_TALKATIVE.format(most=_LONGEST_INTRODUCTION))
        if self._bytes_of[name] + size > _MOST_BYTES:
            return _refused(ctx, _TOO_LARGE)
        self._of[name] += 1
        self._bytes_of[name] += size
        with anyio.CancelScope() as scope:
            self._under_way[scope] = ctx.method
            try:
                return await call_next(ctx)
            finally:
                del self._under_way[scope]
                self._of[name] -= 1
                self._bytes_of[name] -= size
                if not self._of[name]:
                    del self._of[name], self._bytes_of[name]
                if self.is_stopping and not self._under_way:
                    self._is_quiet.set()
        return _refused(ctx, _STOPPED.format(method=_name(ctx)))

    async def finish(self, seconds: float) -> None:
        """Take no more, wait for those that are under way, and tell the others when the time is over."""
        self.is_stopping = True
        self._break_off(_ENDLESS)
        if self._under_way:
            with anyio.move_on_after(seconds):
                await self._is_quiet.wait()
        if self._under_way:
            logger.warning("%d requests were broken off", len(self._under_way))
        self._break_off()

    def _break_off(self, method: str | None = None) -> None:
        for scope in [scope for scope, name in self._under_way.items() if method in (None, name)]:
            scope.cancel()


def _name(ctx: ServerRequestContext[Any, Any]) -> str:
    name = (ctx.params or {}).get("name")
    return name[:64] if ctx.method == "tools/call" and isinstance(name, str) else ctx.method


def _refused(ctx: ServerRequestContext[Any, Any], why: str) -> CallToolResult:
    """Say no: to a model as the result of its tool, since that is what it reads."""
    if ctx.method != "tools/call":
        raise MCPError(INTERNAL_ERROR, why)
    return CallToolResult(content=[TextContent(type="text", text=why)], is_error=True)
