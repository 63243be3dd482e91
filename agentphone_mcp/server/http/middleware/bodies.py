"""What of a request reaches the SDK: whole bodies of a bounded length, and no header that it stumbles over."""

from mcp.server.transport_security import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 256 * 1024
"""Bytes; the longest prompt and a hundred people are a small part. Tiny values take twenty times as much memory, and
the SDK keeps what came last in each session."""
_RESUMES = b"last-event-id"


class BodyLimitMiddleware:
    """Passes on what came whole, answers 413 to what is too long, and forgets who left before the end.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._bounded = RequestBodyLimitMiddleware(self._pass_on, LARGEST_BODY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if any(name == _RESUMES for name, _ in scope["headers"]):
            # Events are not stored, and the SDK has no answer for who asks for old ones: they hear the new ones.
            headers = [(name, value) for name, value in scope["headers"] if name != _RESUMES]
            scope = {**scope, "headers": headers}
        await (self._bounded if scope["method"] == "POST" else self._app)(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await receive()
        if body["type"] != "http.request" or body.get("more_body"):
            return
        is_read = False

        async def hear() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return body

        await self._app(scope, hear, send)
