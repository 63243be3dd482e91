"""Wrap every request in ASGI middleware: its log line, trusted hosts and origins, and bounded bodies."""

import logging
import time
from collections.abc import Iterable

from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
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


class TrustedOriginMiddleware:
    """Refuse requests with an untrusted Host or Origin, whatever their path and method.

    Args:
        hosts: trusted values of Host; `name:*` is the name at any port.
        origins: trusted values of Origin, likewise; a request without one comes from no web page.
        open_paths: paths without secrets, which probes request by IP address.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], origins: Iterable[str], open_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421 or 403."""
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            headers = Headers(scope=scope)
            hosts, origins = headers.getlist("Host"), headers.getlist("Origin")
            if len(hosts) != 1 or not _matches(self._hosts, hosts[0]):
                await PlainTextResponse("This server is not known by that name.", 421)(scope, receive, send)
                return
            if len(origins) > 1 or not all(_matches(self._origins, origin) for origin in origins):
                await PlainTextResponse("Web pages of that origin may not use this server.", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyLimitMiddleware:
    """Forward complete requests, answer 413 to long bodies, and drop requests whose client disconnects first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limited = RequestBodyLimitMiddleware(self._pass_on, LARGEST_BODY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if any(name == _RESUMES for name, _ in scope["headers"]):
            # No events are stored, and the SDK cannot answer a client that asks for old ones: it gets the new ones.
            headers = [(name, value) for name, value in scope["headers"] if name != _RESUMES]
            scope = {**scope, "headers": headers}
        await (self._limited if scope["method"] == "POST" else self._app)(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await receive()
        if body["type"] != "http.request" or body.get("more_body"):
            return
        is_read = False

        async def receive_again() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return body

        await self._app(scope, receive_again, send)


def _matches(trusted: frozenset[str], given: str) -> bool:
    given = given.lower()
    name, colon, port = given.rpartition(":")
    return given in trusted or (bool(colon) and port.isdecimal() and f"{name}:*" in trusted)
