"""What every request passes on its way in: the log, the key, and an answer even when a handler breaks."""

import json
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.sandbox import shown
from agentphone_mcp.sandbox.answers import failure
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.feed import Feed

log = logging.getLogger(__name__)


@dataclass
class Recorded:
    """A request as it arrived; `status` is 0 until it is answered, `at` is the sandbox's time."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    authorized: bool
    at: datetime
    sub_account: str | None = None


class Door:
    """ASGI middleware that records each request and lets only the sandbox's key into /v1."""

    def __init__(self, app: ASGIApp, key: str, clock: Clock, requests: list[Recorded], feed: Feed) -> None:
        self._app = app
        self._key = key
        self._clock = clock
        self._requests = requests
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _whole_body(receive)
        if body is None:
            return
        headers = Headers(scope=scope)
        recorded = Recorded(
            method=scope["method"],
            path=scope["path"],
            query=dict(QueryParams(scope["query_string"])),
            body=_readable(body),
            status=0,
            authorized=self._is_key(headers.get("authorization", "")),
            at=self._clock.now(),
            sub_account=headers.get("x-sub-account-id"),
        )
        self._requests.append(recorded)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                recorded.status = message["status"]
                if shown.is_from_a_client(recorded.path):
                    self._feed.tell("request", shown.request(recorded))
            await send(message)

        if scope["path"].startswith("/v1") and not recorded.authorized:
            refusal = failure(401, "Invalid or missing API key.", {"WWW-Authenticate": "Bearer"})
            await refusal(scope, receive, noting)
            return
        try:
            await self._app(scope, _replaying(body, receive), noting)
        except Exception:
            log.exception("%s %s broke the sandbox", recorded.method, recorded.path)
            if recorded.status:
                raise
            await failure(500, "Internal server error.")(scope, receive, noting)

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
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
