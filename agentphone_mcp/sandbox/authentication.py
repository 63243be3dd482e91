"""Log every request, check its key, and answer 500 when a handler fails."""

import json
import logging
import secrets
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.sandbox import rows
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.models import RecordedRequest
from agentphone_mcp.sandbox.event_stream import EventStream
from agentphone_mcp.sandbox.http.faults import ConnectionDroppedError
from agentphone_mcp.sandbox.responses import failure

log = logging.getLogger(__name__)

LOG_LIMIT = 10_000
"""How many requests are kept, as long as their bodies have no more than LOG_BYTES in total."""
LOG_BYTES = 8_000_000
_BODY_LIMIT = 1_000_000
_KEYED = ("/v1", "/__sandbox/")
# The live view needs no key, as a browser has none; it checks where the request comes from instead.
_OPEN = ("/__sandbox/events", "/__sandbox/view", "/__sandbox/page/")


class AuthenticationMiddleware:
    """Record each request, and require the sandbox's key for /v1 and /__sandbox/ (ASGI middleware)."""

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
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        recorded = self._recorded(scope, body)

        async def record_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                recorded.status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", recorded.request_id.encode())]
                self._publish(recorded)
            await send(message)

        is_keyed = scope["path"].startswith(_KEYED) and not scope["path"].startswith(_OPEN)
        if is_keyed and not recorded.authorized:
            refusal = failure(401, "Invalid or missing API key.", {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, record_status)
            return
        try:
            await self._app(scope, _replay(body, receive), record_status)
        except ConnectionDroppedError:
            self._publish_if_dropped(recorded)
            raise
        except Exception:
            log.exception("%s %s failed in the sandbox", recorded.method, recorded.path)
            if recorded.status:
                raise
            await failure(500, "Internal server error.")(scope, receive, record_status)
        else:
            self._publish_if_dropped(recorded)

    def _publish_if_dropped(self, recorded: RecordedRequest) -> None:
        """Publish a request that ended without an answer."""
        if not recorded.status:
            recorded.is_dropped = True
            self._publish(recorded)

    def _publish(self, recorded: RecordedRequest) -> None:
        if rows.is_from_a_client(recorded.path):
            self._event_stream.publish("request", rows.request(recorded))

    def _recorded(self, scope: Scope, body: bytes) -> RecordedRequest:
        """Read the request, and keep it in the log unless it is one of the sandbox's own."""
        headers = Headers(scope=scope)
        recorded = RecordedRequest(
            method=scope["method"],
            path=scope["path"],
            query=dict(QueryParams(scope["query_string"])),
            body=_decode(body),
            status=0,
            authorized=self._is_key(headers.get("authorization", "")),
            at=self._clock.now(),
            sub_account=headers.get("x-sub-account-id"),
            size=len(body),
        )
        if not recorded.path.startswith("/__sandbox/"):
            self._requests.append(recorded)
            self._bytes += recorded.size
        while len(self._requests) > LOG_LIMIT or (self._bytes > LOG_BYTES and len(self._requests) > 1):
            self._bytes -= self._requests.pop(0).size
        return recorded

    def _is_key(self, authorization: str) -> bool:
        scheme, _, key = authorization.partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(key.strip().encode(), self._key.encode())


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body, or None if the client left halfway: half a write must not be carried out."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return the body once, and afterwards the server's messages, such as a disconnect."""
    unread = [body]

    async def receive_again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return receive_again


def _decode(body: bytes) -> Any:
    if not body:
        return None
    if len(body) > _BODY_LIMIT:
        return f"{body[:_BODY_LIMIT].decode(errors='replace')}… ({len(body)} bytes)"
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
