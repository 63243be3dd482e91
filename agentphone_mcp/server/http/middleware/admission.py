"""What every HTTP request passes before the protocol: known names, known callers, and no more than their share."""

from collections import Counter
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
from agentphone_mcp.server.http.auth.base import AuthBackend, AuthUnavailable, InsufficientScope

_LOOK_AFTER_SECONDS = 5.0
"""How often it is looked whether those who are connected still may be, and whether they are still there."""
_A_MOMENT = 0.2
_STARTED = "http.response.start"
_SOON = {"Retry-After": "5"}
_PING = b":"
"""What a comment in an event stream begins with, which only keeps the connection open."""


class _ActiveRequest:
    """An HTTP request that is under way.

    Attributes:
        caller: whose it is.
        is_stream: whether it only listens.
        last_word: when something was last said to it.
        said: the last of what was said.
        is_over: whether it has been ended from here.
    """

    def __init__(self, caller: Caller, *, is_stream: bool) -> None:
        self.caller = caller
        self.is_stream = is_stream
        self.last_message_at = anyio.current_time()
        self.last_message: Message | None = None
        self.is_over = False
        self._listening = anyio.CancelScope()
        self._serving = anyio.CancelScope()

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it, until it is over from either side."""

        async def hear() -> Message:
            if not self.is_over:
                with anyio.CancelScope() as self._listening:
                    return await receive()
            return {"type": "http.disconnect"}

        async def say(message: Message) -> None:
            if self.is_over:
                # As to a client that has left: nothing is heard there any more.
                return
            self.last_message = message
            if not message.get("body", b"").startswith(_PING):
                self.last_message_at = anyio.current_time()
            await send(message)

        with self._serving:
            await app(scope, hear, say)

    def end(self) -> None:
        """End it, as if the client had left; who does not take notice is broken off when told a second time."""
        if self.is_over:
            self._serving.cancel()
        self.is_over = True
        self._listening.cancel()


class AdmissionMiddleware:
    """Lets requests in, one by one.

    Args:
        auth: finds out who is calling.
        inside: what serves callers of each scope.
        most_requests: how many of one caller may be under way, streams included.
        most_streams: how many of these may be streams.
        idle_timeout: seconds after which a stream on which nothing was said ends.
    """

    def __init__(
        self,
        auth: AuthBackend,
        apps: Mapping[CallerScope, ASGIApp],
        *,
        most_requests: int,
        most_streams: int,
        idle_timeout: float,
    ) -> None:
        self.is_closed = False
        self._auth = auth
        self._apps = apps
        self._most_requests = most_requests
        self._most_streams = most_streams
        self._idle_timeout = idle_timeout
        self._active: set[_ActiveRequest] = set()
        self._is_quiet = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or say why not."""
        if self.is_closed:
            await _refuse(503, "This server is being stopped.", _SOON)(scope, receive, send)
            return
        try:
            caller = await self._auth.authenticate(Headers(scope=scope))
        except InsufficientScope as nothing:
            await _refuse(403, str(nothing), {"WWW-Authenticate": nothing.challenge})(scope, receive, send)
            return
        except AuthUnavailable as unsure:
            await _refuse(503, str(unsure), _SOON)(scope, receive, send)
            return
        if caller is None:
            challenge = {"WWW-Authenticate": self._auth.challenge}
            await _refuse(401, self._auth.challenge_message, challenge)(scope, receive, send)
            return
        request = _ActiveRequest(caller, is_stream=scope["method"] == "GET")
        if self._has_too_many(request):
            await _refuse(429, "Too many requests of yours are under way.", _SOON)(scope, receive, send)
            return
        scope[CALLER] = caller
        # By this the SDK gives a session to nobody but whoever opened it; it needs a name and no token.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=caller.name, scopes=[caller.scope]))
        await self._serve(request, scope, receive, send)

    async def look_after(self) -> None:
        """End what lasts longer than its caller may stay, and streams that nobody uses; never ends itself."""
        while True:
            await anyio.sleep(_LOOK_AFTER_SECONDS)
            too_long_ago = anyio.current_time() - self._idle_timeout
            for request in list(self._active):
                is_idle = request.is_stream and request.last_message_at < too_long_ago
                if is_idle or not self._auth.is_still_valid(request.caller):
                    request.end()

    async def close(self, seconds: float) -> None:
        """Let nobody in any more, wait for the answers that are on their way, and end the streams that carry them."""
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

    def _has_too_many(self, request: _ActiveRequest) -> bool:
        under_way = Counter(other.is_stream for other in self._active if other.caller.name == request.caller.name)
        if request.is_stream and under_way[True] >= self._most_streams:
            return True
        return under_way.total() >= self._most_requests

    async def _serve(self, request: _ActiveRequest, scope: Scope, receive: Receive, send: Send) -> None:
        self._active.add(request)
        try:
            await request.serve(self._apps[request.caller.scope], scope, receive, send)
        finally:
            self._active.discard(request)
            if self.is_closed and self._has_only_streams():
                self._is_quiet.set()
        # What was ended from here ends as an answer does, and not as a fault of the web server.
        if request.is_over and request.last_message is None:
            why = "This was broken off: you may not stay, or nothing happened for too long."
            await _refuse(503, why, _SOON)(scope, receive, send)
        elif (
            request.is_over
            and request.last_message
            and (request.last_message["type"] == _STARTED or request.last_message.get("more_body"))
        ):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refuse(status: int, why: str, headers: dict[str, str]) -> ASGIApp:
    """Answer with a sentence in the protocol's form of an error, which is what clients show."""
    error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=INVALID_REQUEST, message=why))
    return JSONResponse(error.model_dump(by_alias=True, exclude_unset=True), status, headers)
