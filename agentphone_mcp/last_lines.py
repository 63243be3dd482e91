"""The end of a host's lines, put off until what they asked for is answered: scripts ask and leave.

The SDK alone would break off what is under way then, as nobody can be told of it over a stream that has ended. Over
stdio the other one is still open.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
from anyio import AsyncFile
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

_SECONDS = 1.0
"""Hosts that end a server wait two for it; a call that is followed is not waited for."""
_ENDLESS = "subscriptions/listen"
_STEPS_TO_BEGIN = 20
"""More than the SDK takes from reading a request to handling it."""


class UntilAnswered:
    """The lines of one host, and a count of what is under way for it.

    Args:
        host: gives the lines.
        get_ready: waits for what every request needs, however long that takes.
    """

    def __init__(self, host: AsyncFile[str], get_ready: Callable[[], Awaitable[object]]) -> None:
        self._host = host
        self._get_ready = get_ready
        self._under_way = 0
        self._is_quiet = anyio.Event()

    async def count(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Let a request pass, as the outermost middleware of the SDK's server."""
        if ctx.method == _ENDLESS:
            return await call_next(ctx)
        self._under_way += 1
        try:
            return await call_next(ctx)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._is_quiet.set()

    async def __aiter__(self) -> AsyncGenerator[str]:
        """Give every line, and end when all is answered that was read."""
        async for line in self._host:
            yield line
        await self._get_ready()
        with anyio.move_on_after(_SECONDS):
            for _ in range(_STEPS_TO_BEGIN):
                await anyio.lowlevel.checkpoint()
            while self._under_way:
                self._is_quiet = anyio.Event()
                await self._is_quiet.wait()
