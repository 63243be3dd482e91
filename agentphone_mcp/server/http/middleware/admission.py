"""Authenticate every HTTP request, hold each caller to their limits, and end what outlasts its credentials."""

from collections.abc import Mapping

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.policy.access import CALLER, Caller
from agentphone_mcp.policy.access import Scope as CallerScope
from agentphone_mcp.server.http.auth.base import AuthBackend, AuthUnavailable, Forbidden
from agentphone_mcp.server.http.middleware.concurrency import Amounts, ConcurrencyLimiter
from agentphone_mcp.server.middleware import UNTIL_SENT, UntilSent
from agentphone_mcp.system.http.connection import connection_of

_CHECK_SECONDS = 5.0
"""How often the credentials and the idle time of open requests are checked."""
_A_MOMENT = 0.2
_LARGE = 64 * 1024
"""Bytes of an answer that may be in a connection's buffer."""
_STARTED = "http.response.start"
_SOON = {"Retry-After": "5"}
_PING = b":"
"""Starts a comment in an event stream, which only keeps the connection open."""


class _ActiveRequest:
    """Track an HTTP request under way; `is_over` once this server has ended it. On a stream the client only listens."""

    def __init__(self, caller: Caller, *, is_stream: bool) -> None:
        self.caller = caller
        self.is_stream = is_stream
        self.last_message_at = anyio.current_time()
        self.last_message: Message | None = None
        self.is_over = False
        self._receiving = anyio.CancelScope()
        self._serving = anyio.CancelScope()

    @property
    def uses(self) -> Amounts:
        """Return what it counts as for the limiter."""
        return {"http_requests": 1, "streams": 1} if self.is_stream else {"http_requests": 1}

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app until either side ends the request."""

        async def receive_until_over() -> Message:
            if not self.is_over:
                with anyio.CancelScope() as self._receiving:
                    return await receive()
            return {"type": "http.disconnect"}

        async def send_until_over(message: Message) -> None:
            if self.is_over:
                # Dropped, as for a client that has disconnected.
                return
            body = message.get("body", b"")
            if len(body) > _LARGE and not message.get("more_body"):
                # The server waits for a slow client before a further part, not after the last one: without this, a
                # request would count as over while its answer is still in memory.
                await send_until_over({**message, "more_body": True})
                await send_until_over({**message, "body": b""})
                return
            self.last_message = message
            if not body.startswith(_PING):
                self.last_message_at = anyio.current_time()
            await send(message)

        with self._serving:
            await app(scope, receive_until_over, send_until_over)

    def end(self) -> None:
        """Send a disconnect to the app; a second call cancels it."""
        if self.is_over:
            self._serving.cancel()
        self.is_over = True
        self._receiving.cancel()


class AdmissionMiddleware:
    """Admit requests one by one; a stream is ended after `idle_timeout` seconds without a message."""

    def __init__(
        self,
        auth: AuthBackend,
        apps: Mapping[CallerScope, ASGIApp],
        *,
        limiter: ConcurrencyLimiter,
        idle_timeout: float,
    ) -> None:
        self.is_closed = False
        self._auth = auth
        self._apps = apps
        self._limiter = limiter
        self._idle_timeout = idle_timeout
        self._active: set[_ActiveRequest] = set()
        self._is_quiet = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 401, 403, 429 or 503 with the reason."""
        if self.is_closed:
            await _refuse(503, "This server is being stopped.", _SOON)(scope, receive, send)
            return
        try:
            caller = await self._auth.authenticate(Headers(scope=scope), connection_of(scope))
        except Forbidden as exc:
            challenge = {"WWW-Authenticate": exc.challenge} if exc.challenge else {}
            await _refuse(403, str(exc), challenge)(scope, receive, send)
            return
        except AuthUnavailable as exc:
            await _refuse(503, str(exc), _SOON)(scope, receive, send)
            return
        if caller is None:
            challenge = {"WWW-Authenticate": self._auth.challenge}
            await _refuse(401, self._auth.challenge_message, challenge)(scope, receive, send)
            return
        request = _ActiveRequest(caller, is_stream=scope["method"] == "GET")
        if not self._limiter.has_room(caller.name, request.uses):
            await _refuse(429, "Too many requests of yours are under way.", _SOON)(scope, receive, send)
            return
        scope[CALLER] = caller
        # The SDK binds a session to this user, by name; it needs no token for that.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=caller.name, scopes=[caller.scope]))
        await self._serve(request, scope, receive, send)

    async def end_expired_requests(self) -> None:
        """End requests whose credentials have become invalid and idle streams, until cancelled."""
        while True:
            await anyio.sleep(_CHECK_SECONDS)
            idle_since = anyio.current_time() - self._idle_timeout
            for request in list(self._active):
                is_idle = request.is_stream and request.last_message_at < idle_since
                if is_idle or not self._auth.is_still_valid(request.caller):
                    request.end()

    async def close(self, seconds: float) -> None:
        """Refuse new requests, wait so many seconds for the answers under way, and end the streams that carry them."""
        self.is_closed = True
        if not self._has_only_streams():
            with anyio.move_on_after(seconds):
                await self._is_quiet.wait()
        # Over SSE an answer comes on the stream, a moment after it was given.
        await anyio.sleep(_A_MOMENT)
        for _ in range(2):
            for request in self._active:
                request.end()
            await anyio.sleep(_A_MOMENT)

    def _has_only_streams(self) -> bool:
        return all(request.is_stream for request in self._active)

    async def _serve(self, request: _ActiveRequest, scope: Scope, receive: Receive, send: Send) -> None:
        self._active.add(request)
        scope[UNTIL_SENT] = until_sent = UntilSent()
        try:
            with self._limiter.held(request.caller.name, request.uses):
                await request.serve(self._apps[request.caller.scope], scope, receive, send)
        finally:
            until_sent.end()
            self._active.discard(request)
            if self.is_closed and self._has_only_streams():
                self._is_quiet.set()
        # A request that was ended here still needs a complete response, or uvicorn logs an error.
        last = request.last_message
        if request.is_over and last is None:
            reason = "This was broken off: you may not stay, or nothing happened for too long."
            await _refuse(503, reason, _SOON)(scope, receive, send)
        elif request.is_over and last and (last["type"] == _STARTED or last.get("more_body")):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refuse(status: int, reason: str, headers: dict[str, str]) -> ASGIApp:
    """Answer with a JSON-RPC error, whose message clients show."""
    error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=INVALID_REQUEST, message=reason))
    return JSONResponse(error.model_dump(by_alias=True, exclude_unset=True), status, headers)
