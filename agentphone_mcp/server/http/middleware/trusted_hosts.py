"""Which names a request may ask for, and from which web pages it may come: the guard against DNS rebinding."""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class TrustedOriginMiddleware:
    """Refuses a Host or an Origin that is not known, whatever the path and the method.

    Args:
        app: what is guarded.
        hosts: known values of Host; `name:*` is the name at any port.
        origins: known values of Origin, likewise; a request without one comes from no web page.
        open_paths: those that tell nothing, and that probes ask for by an address.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str], origins: Iterable[str], open_paths: frozenset[str]
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer 421 or 403."""
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            headers = Headers(scope=scope)
            hosts, origins = headers.getlist("Host"), headers.getlist("Origin")
            if len(hosts) != 1 or not _is_among(self._hosts, hosts[0]):
                await PlainTextResponse("This server is not known by that name.", 421)(scope, receive, send)
                return
            if len(origins) > 1 or not all(_is_among(self._origins, origin) for origin in origins):
                await PlainTextResponse("Web pages of that origin may not use this server.", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_among(known: frozenset[str], given: str) -> bool:
    given = given.lower()
    name, colon, port = given.rpartition(":")
    return given in known or (bool(colon) and port.isdecimal() and f"{name}:*" in known)
