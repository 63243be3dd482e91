"""Give the SDK whole bodies of a bounded length, and no `Last-Event-ID`."""

from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 256 * 1024
"""Bytes: far more than the longest prompt with a hundred contacts. Small JSON values take twenty times as much memory,
and the SDK keeps the last message of each session."""
_RESUMES = b"last-event-id"


class BodyLimitMiddleware:
    """Forward complete requests, answer 413 to long bodies, and drop requests whose client disconnects first.

    Args:
        app: what answers.
    """

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
