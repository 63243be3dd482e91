"""What every request passes on its way in: the log, the key, and an answer even when a handler breaks."""

import json
import logging
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.sandbox import rows as shown
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.event_stream import EventStream
from agentphone_mcp.sandbox.http.faults import ConnectionDroppedError
from agentphone_mcp.sandbox.responses import failure

log = logging.getLogger(__name__)

LOG_LIMIT = 10_000
"""How many requests are remembered, as long as their bodies have no more than LOG_BYTES together."""
LOG_BYTES = 8_000_000
_BODY_LIMIT = 1_000_000
_KEYED = ("/v1", "/__sandbox/")
# The live view: a browser holds no key, so it looks at where the request comes from instead.
_OPEN = ("/__sandbox/events", "/__sandbox/view", "/__sandbox/page/")


@dataclass
class RecordedRequest:
    """A request as it arrived; `status` is 0 until it is answered, `at` is the sandbox's time, `size` the body's.

    `is_dropped` says that it never will be, and `request_id` is what the answer calls it, in `X-Request-Id`.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    authorized: bool
    at: datetime
    sub_account: str | None = None
    size: int = 0
    is_dropped: bool = False
    request_id: str = field(default_factory=lambda: f"req_{secrets.token_hex(8)}")


class AuthenticationMiddleware:
    """ASGI middleware that records each request and lets only the sandbox's key into /v1 and to the controls."""

    def __init__(
        self, app: ASGIApp, key: str, clock: Clock, requests: list[RecordedRequest], event_stream: EventStream
    ) -> None:
        self._app = app
        self._key = key
        self._clock = clock
        self._requests = requests
        self._bytes = 0
        self._event_stream = event_stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _whole_body(receive)
        if body is None:
            return
        recorded = self._recorded(scope, body)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                recorded.status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", recorded.request_id.encode())]
                self._show(recorded)
            await send(message)

        is_keyed = scope["path"].startswith(_KEYED) and not scope["path"].startswith(_OPEN)
        if is_keyed and not recorded.authorized:
            refusal = failure(401, "Invalid or missing API key.", {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, noting)
            return
        try:
            await self._app(scope, _replaying(body, receive), noting)
        except ConnectionDroppedError:
            self._show_if_dropped(recorded)
            raise
        except Exception:
            log.exception("%s %s broke the sandbox", recorded.method, recorded.path)
            if recorded.status:
                raise
            await failure(500, "Internal server error.")(scope, receive, noting)
        else:
            self._show_if_dropped(recorded)

    def _show_if_dropped(self, recorded: RecordedRequest) -> None:
        """Show a request that is over and has got no answer."""
        if not recorded.status:
            recorded.is_dropped = True
            self._show(recorded)

    def _show(self, recorded: RecordedRequest) -> None:
        if shown.is_from_a_client(recorded.path):
            self._event_stream.publish("request", shown.request(recorded))

    def _recorded(self, scope: Scope, body: bytes) -> RecordedRequest:
        """Read the request, and remember it unless it is one of the controls'."""
        headers = Headers(scope=scope)
        recorded = RecordedRequest(
            method=scope["method"],
            path=scope["path"],
            query=dict(QueryParams(scope["query_string"])),
            body=_readable(body),
            status=0,
            authorized=self._is_key(headers.get("authorization", "")),
            at=self._clock.now(),
            sub_account=headers.get("x-sub-account-id"),
            size=len(body),
        )
        if not scope["path"].startswith("/__sandbox/"):
            self._remember(recorded)
        return recorded

    def _remember(self, recorded: RecordedRequest) -> None:
        self._requests.append(recorded)
        self._bytes += recorded.size
        while len(self._requests) > LOG_LIMIT or (self._bytes > LOG_BYTES and len(self._requests) > 1):
            self._bytes -= self._requests.pop(0).size

    def _is_key(self, authorization: str) -> bool:
        scheme, _, key = authorization.partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(key.strip().encode(), self._key.encode())


async def _whole_body(receive: Receive) -> bytes | None:
    """The body, or None when the client left halfway: half a write must not be carried out."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Hand the body over once, and afterwards whatever the server says, such as that the client left."""
    unread = [body]

    async def replay() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay


def _readable(body: bytes) -> Any:
    if not body:
        return None
    if len(body) > _BODY_LIMIT:
        return f"{body[:_BODY_LIMIT].decode(errors='replace')}… ({len(body)} bytes)"
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
