"""Log every request, check its key, and answer 500 when a handler fails."""

import hashlib
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
from agentphone_mcp.sandbox.redaction import without_keys
from agentphone_mcp.sandbox.responses import failure
from agentphone_mcp.system.http.requests import BodyTooLong, complete_body, replaying

log = logging.getLogger(__name__)

LOG_LIMIT = 10_000
"""How many requests are kept, as long as they have no more than LOG_BYTES in total."""
LOG_BYTES = 8_000_000
LARGEST_BODY = 1_000_000
LARGEST_BODY_WITHOUT_KEY = 16 * 1024
"""Bytes; a sign-up has some hundred."""
_LONGEST_PATH_WITHOUT_KEY = 300
_KEYED = ("/v1", "/__sandbox/")
_OPEN = ("/__sandbox/page/",)
"""The files of the web page, which say nothing of the account."""
_WATCHED = ("/__sandbox/view", "/__sandbox/events")
"""What the web page shows, to whoever has the token in its link."""
_OPEN_THE_LINK = "Open the link that the sandbox printed when it started; its token lets this page in."


def watch_token(key: str) -> str:
    """Return the token in the link to the web page: it lasts as long as the key, and does not reveal it."""
    return hashlib.sha256(f"agentphone-mcp sandbox page {key}".encode()).hexdigest()[:32]


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
        self._watch_token = watch_token(key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_known = self._is_bearer_of(self._key, scope)
        recorded = self._recorded(scope, is_known)

        async def record_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                recorded.status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", recorded.request_id.encode())]
                self._publish(recorded)
            await send(message)

        refusal = self._refusal(scope, is_known)
        try:
            body = b"" if refusal else await complete_body(scope, receive, _largest_body(is_known))
        except BodyTooLong:
            refusal, body = failure(413, "The body is too long."), b""
        if body is None:
            return
        recorded.body = without_keys(_decode(body))
        recorded.size += len(body)
        self._keep(recorded)
        if refusal:
            # The body of whoever is refused is not waited for.
            await refusal(scope, receive, record_status)
            return
        await self._serve(recorded, scope, replaying(body, receive), record_status)

    async def _serve(self, recorded: RecordedRequest, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionDroppedError:
            self._publish_if_dropped(recorded)
            raise
        except Exception:
            log.exception("%s %s failed in the sandbox", recorded.method, recorded.path)
            if recorded.status:
                raise
            await failure(500, "Internal server error.")(scope, receive, send)
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

    def _refusal(self, scope: Scope, is_known: bool) -> ASGIApp | None:
        """Return the 401 for a request without the key, or the page's token; None if it is let in."""
        path = scope["path"]
        if is_known or not path.startswith(_KEYED) or path.startswith(_OPEN):
            return None
        if path not in _WATCHED:
            return failure(401, "Invalid or missing API key.", {"WWW-Authenticate": "Bearer"})
        # A browser's EventSource sends no header of ours.
        given = QueryParams(scope["query_string"]).get("token", "")
        is_watcher = self._is_bearer_of(self._watch_token, scope) or _are_equal(given, self._watch_token)
        return None if is_watcher else failure(401, _OPEN_THE_LINK, {"WWW-Authenticate": "Bearer"})

    def _recorded(self, scope: Scope, is_known: bool) -> RecordedRequest:
        """Read the request.

        Of one without the key little is kept, as anybody on this machine can send them.
        """
        path, query = scope["path"], scope["query_string"]
        account = Headers(scope=scope).get("x-sub-account-id") if is_known else None
        # Nothing that is recorded, and so logged or shown, has a key that a client sends where none belongs.
        return RecordedRequest(
            method=scope["method"],
            path=without_keys(path if is_known else path[:_LONGEST_PATH_WITHOUT_KEY]),
            query=without_keys(dict(QueryParams(query))) if is_known else {},
            body=None,
            status=0,
            authorized=is_known,
            at=self._clock.now(),
            sub_account=without_keys(account),
            size=len(path) + len(query) if is_known else _LONGEST_PATH_WITHOUT_KEY,
        )

    def _keep(self, recorded: RecordedRequest) -> None:
        """Keep a request in the log unless it is one of the sandbox's own."""
        if recorded.path.startswith("/__sandbox/"):
            return
        self._requests.append(recorded)
        self._bytes += recorded.size
        while len(self._requests) > LOG_LIMIT or (self._bytes > LOG_BYTES and len(self._requests) > 1):
            self._bytes -= self._requests.pop(0).size

    def _is_bearer_of(self, secret: str, scope: Scope) -> bool:
        scheme, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _are_equal(given.strip(), secret)


def _largest_body(is_known: bool) -> int:
    return LARGEST_BODY if is_known else LARGEST_BODY_WITHOUT_KEY


def _are_equal(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def _decode(body: bytes) -> Any:
    if not body:
        return None
    try:
        decoded = json.loads(body)
        # Python reads NaN and numbers without end, which are no JSON and cannot be shown as such.
        json.dumps(decoded, allow_nan=False)
        return decoded
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
