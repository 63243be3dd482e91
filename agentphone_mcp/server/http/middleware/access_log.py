"""Log each HTTP request: its path, status, duration and caller."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.policy.access import CALLER, Caller

access = logging.getLogger("agentphone_mcp.access")


class AccessLog:
    """Log a line for each request, without anything of its body, headers or query.

    Args:
        app: what answers.
        paths: the paths that are logged as they are; others could hold secrets or line breaks.
    """

    def __init__(self, app: ASGIApp, paths: frozenset[str]) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and log it when the response is complete."""
        if scope["type"] != "http" or not access.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        status, started = 0, time.perf_counter()

        async def record_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, record_status)
        finally:
            caller = scope.get(CALLER)
            name = caller.name if isinstance(caller, Caller) else "-"
            path = scope["path"] if scope["path"] in self._paths else "(another path)"
            took = (time.perf_counter() - started) * 1000
            access.info("%s %s %d in %.0f ms for %s", scope["method"], path, status, took, name)
