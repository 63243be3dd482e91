"""Log each HTTP request: who asked for what, and how it went."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.policy.access import CALLER, Caller

access = logging.getLogger("agentphone_mcp.access")


class AccessLog:
    """Writes a line for each request: who asked for what, and how it went; nothing of what was said.

    Args:
        app: what is logged.
        paths: those that are written as they are; any other could hold anything.
    """

    def __init__(self, app: ASGIApp, paths: frozenset[str]) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and write the line when the answer is complete."""
        if scope["type"] != "http" or not access.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        status, started = 0, time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            caller = scope.get(CALLER)
            name = caller.name if isinstance(caller, Caller) else "-"
            path = scope["path"] if scope["path"] in self._paths else "(another path)"
            took = (time.perf_counter() - started) * 1000
            access.info("%s %s %d in %.0f ms for %s", scope["method"], path, status, took, name)
