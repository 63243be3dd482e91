"""Refuse requests by middleware of ASGI: of untrusted hosts and origins, with long bodies, and too many at once."""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class TrustedOriginMiddleware:
    """Refuse requests with an untrusted Host or Origin, whatever their path and method.

    Args:
        hosts: trusted values of Host; `name:*` is the name at any port.
        origins: trusted values of Origin, likewise; a request without one comes from no web page.
        open_paths: paths without secrets, which probes request by IP address.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], origins: Iterable[str], open_paths: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 421 or 403."""
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


class CapacityMiddleware:
    """Answer 503 while too many requests are under way, but for those of probes.

    Args:
        most: how many may be.
        open_paths: the paths of probes, which have to be answered just then.
    """

    def __init__(self, app: ASGIApp, most: int, open_paths: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._most = most
        self._open_paths = open_paths
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._most:
            busy = PlainTextResponse(
                "Too many requests are under way.", 503, {"Retry-After": "5", "Connection": "close"}
            )
            await busy(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1


class BodyLimitMiddleware:
    """Forward complete requests, answer 413 to long bodies, and drop requests whose client disconnects first.

    Args:
        largest: the most bytes of a body.
    """

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await complete_body(scope, receive, self._largest)
        except BodyTooLong:
            await PlainTextResponse("Request body too large", 413)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, replaying(body, receive), send)


class BodyTooLong(Exception):
    """Raised when the body of a request is longer than it may be."""


async def complete_body(scope: Scope, receive: Receive, largest: int) -> bytes | None:
    """Read the body of a request; None if its client left halfway, and half a write must not be carried out.

    Raises:
        BodyTooLong: as soon as it is known to be longer than `largest` bytes.
    """
    declared = Headers(scope=scope).get("Content-Length", "").lstrip("0")
    # Only so many digits are read, as Python refuses to read thousands.
    if declared.isdecimal() and (len(declared) > len(str(largest)) or int(declared) > largest):
        raise BodyTooLong
    body, has_more = bytearray(), True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > largest:
            raise BodyTooLong
        has_more = message.get("more_body", False)
    return bytes(body)


def replaying(body: bytes, receive: Receive) -> Receive:
    """Return the body once, and afterwards the server's messages, such as a disconnect."""
    unread = [body]

    async def receive_again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return receive_again


def _matches(trusted: frozenset[str], given: str) -> bool:
    given = given.lower()
    name, colon, port = given.rpartition(":")
    return given in trusted or (bool(colon) and port.isdecimal() and f"{name}:*" in trusted)
