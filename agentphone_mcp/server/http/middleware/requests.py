"""Wrap requests in ASGI middleware: a line in the log for each, and no resumption of streams."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.policy.access import CALLER, Caller

LARGEST_BODY = 256 * 1024
"""Bytes: far more than the longest prompt with a hundred contacts. Small JSON values take twenty times as much memory,
and the SDK keeps the last message of each session."""
_RESUMES = b"last-event-id"
access = logging.getLogger("agentphone_mcp.access")


class AccessLog:
    """Log a line for each request, without anything of its body, headers or query.

    Only these paths are logged as they are; others could hold secrets or line breaks.
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


class NoResumptionMiddleware:
    """Remove what asks for old events, as none are stored: the client gets the new ones, instead of an error."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if any(name == _RESUMES for name, _ in scope["headers"]):
            headers = [(name, value) for name, value in scope["headers"] if name != _RESUMES]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)
