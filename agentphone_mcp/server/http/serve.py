"""Serves a hosted application on a socket, until the process is told to stop."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.routing import Route

from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.config.settings import read
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.app import MCP_PATH, SSE_PATH, HostedApp, SurfaceOf, no_surface
from agentphone_mcp.server.http.auth.base import AuthBackend
from agentphone_mcp.server.http.auth.loopback import LoopbackAuth
from agentphone_mcp.server.http.uvicorn_protocols.timeouts import ClientTimeouts
from agentphone_mcp.system.open_file_limit import most_connections
from agentphone_mcp.system.sockets import listening

if TYPE_CHECKING:
    from agentphone_mcp.server.http.auth.jwt import JwtAuth


_KEPT_SECONDS = 75
"""How long an idle connection stays open: longer than clients and balancers keep theirs, so that they close first and
none of their requests meets a closing auth."""
_GRACE_SECONDS = 24
"""How long open connections may go on when nobody can connect any more; what is under way is broken off before."""
_SECONDS_TO_BE_NOTICED = 5
"""How long new connections are still taken after the signal, if a load balancer polls /readyz."""
_A_MOMENT = 0.1
_NAMES_SESSIONS = ("mcp.server.streamable_http", "mcp.server.streamable_http_manager", "mcp.server.sse")
"""Where the SDK writes ids of sessions and whole bodies into the log."""


class _Server(uvicorn.Server):
    """The web server, which lets what is under way finish."""

    def __init__(self, config: uvicorn.Config, app: HostedApp) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._app.health.is_watched:
            await self._be_noticed()
        async with anyio.create_task_group() as finishing:
            finishing.start_soon(self._app.finish)
            await super().shutdown(sockets)
            finishing.cancel_scope.cancel()

    async def _be_noticed(self) -> None:
        """Serve on until requests are sent elsewhere: one that meets a closing socket fails, and nobody may repeat it."""
        self._app.health.is_leaving = True
        with anyio.move_on_after(_SECONDS_TO_BE_NOTICED):
            while not self.force_exit:  # noqa: ASYNC110 - the web server sets it, when it is told a second time
                await anyio.sleep(_A_MOMENT)


def serve(server: uvicorn.Server, settings: HttpSettings, say: Callable[[str], None]) -> None:
    """Serve until the process is told to stop.

    Args:
        server: what serves, as `web_server` makes it.
        settings: how it is reached.
        say: tells whoever started the process where it is.

    Raises:
        CannotListen: if the port is taken or the address is none of this machine.
    """
    with listening(settings.host, settings.port) as listener:
        place = f"http://{settings.in_url}:{listener.getsockname()[1]}"
        old = f", and for old clients on {place}{SSE_PATH}" if settings.transport == "sse" else ""
        say(f"Serving on {place}{MCP_PATH}{old}")
        # uvicorn sends itself the signal once more when all is done, which would end the process before our own end.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        anyio.run(partial(server.serve, sockets=[listener]), backend_options=event_loop_options())


def web_server(
    config: Config, settings: HttpSettings, accounts: AccountPool, precomputed: SurfaceOf = no_surface
) -> uvicorn.Server:
    """Make what serves, ready to be run on a socket.

    Args:
        config: what the server is told.
        settings: how it is reached.
        accounts: connects callers to accounts.
        precomputed: what the server says of itself to callers of each scope.

    Raises:
        ConfigError: if callers cannot be told from strangers with these settings.
    """
    for name in _NAMES_SESSIONS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Else it would cut every stream when the server is told to stop, also those that carry an answer.
    AppStatus.disable_automatic_graceful_drain()
    auth, routes = _auth(config, settings)
    app = HostedApp(config, settings, accounts, auth, routes, precomputed)
    web = uvicorn.Config(
        app.asgi,
        http=protocol(),
        # Without its own logging, uvicorn's lines pass our formatter, which redacts the key out.
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=most_connections(),
        timeout_keep_alive=_KEPT_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return _Server(web, app)


def _auth(config: Config, settings: HttpSettings) -> tuple[AuthBackend, Sequence[Route]]:
    """What lets callers in, and what it has to say to everybody; the others are not even imported."""
    match settings.auth:
        case "token":
            from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth

            return StaticTokenAuth(Path(os.path.expanduser(settings.tokens_file))), ()
        case "relay":
            from agentphone_mcp.server.http.auth.own_key import OwnKeyAuth

            return OwnKeyAuth(config.base_url, config.timeout), ()
        case "jwt":
            auth = read(
                "AGENTPHONE_HTTP_AUTH=jwt", lambda resource: _jwt_auth(settings, resource), settings.resource_url
            )
            return auth, auth.routes()
        case "none":
            return LoopbackAuth(), ()


def _jwt_auth(settings: HttpSettings, resource: str) -> "JwtAuth":
    # Cryptography takes a tenth of a start, and nobody else needs it.
    from agentphone_mcp.server.http.auth.jwks import KeySet
    from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier

    return JwtAuth(JwtVerifier(KeySet(settings.jwt_issuer, settings.jwks_url or None), resource), resource)


def protocol() -> type[ClientTimeouts]:
    """The faster protocol of those that are installed, for `uvicorn.Config(http=...)`."""
    try:
        from agentphone_mcp.server.http.uvicorn_protocols.timeouts_httptools import ClientTimeoutsHttpTools
    except ImportError:
        from agentphone_mcp.server.http.uvicorn_protocols.timeouts_h11 import ClientTimeoutsH11

        return ClientTimeoutsH11
    return ClientTimeoutsHttpTools


def event_loop_options() -> dict[str, Any]:
    """The faster event loop of those that are installed, for `anyio.run(..., backend_options=...)`."""
    return {"use_uvloop": find_spec("uvloop") is not None}
