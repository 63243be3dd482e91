"""Check the Host and Origin of every request, against DNS rebinding."""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class TrustedOriginMiddleware:
    """Refuse requests with an untrusted Host or Origin, whatever their path and method.

    Args:
        app: what answers the others.
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


def _matches(trusted: frozenset[str], given: str) -> bool:
    given = given.lower()
    name, colon, port = given.rpartition(":")
    return given in trusted or (bool(colon) and port.isdecimal() and f"{name}:*" in trusted)
