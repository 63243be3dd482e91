"""Serve the hosted application on a socket until SIGTERM or SIGINT."""

import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.routing import Route

from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.config.settings import read
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.app import MCP_PATH, PROBES, SSE_PATH, HostedApp, SurfaceOf, no_surface
from agentphone_mcp.server.http.auth.base import AuthBackend, LoopbackAuth
from agentphone_mcp.system.connection_owner import owner_finder
from agentphone_mcp.system.http.protocol import bounded_protocol
from agentphone_mcp.system.http.requests import CapacityMiddleware
from agentphone_mcp.system.open_file_limit import most_connections
from agentphone_mcp.system.sockets import listening

_KEPT_SECONDS = 75
"""How long an idle connection stays open: longer than clients and load balancers keep theirs, so that they close first
and send no request on a connection that is being closed."""
_GRACE_SECONDS = 24
"""How long open connections may last after the listening socket was closed; requests under way end before that."""
_SECONDS_TO_NOTICE = 5
"""How long new connections are accepted after the signal, if a load balancer polls /readyz."""
_A_MOMENT = 0.1
_FOR_ALL_USERS = (
    "Every user of this machine can connect and act with your key, as this system does not tell whose a connection is: "
    "with --http-auth local, only those can who may read your token."
)
_VERBOSE_LOGGERS = ("mcp.server.streamable_http", "mcp.server.streamable_http_manager", "mcp.server.sse")
"""The SDK logs session ids and whole bodies here."""
_SECRETS = re.compile(r"(?<=ID: ).*|[\w-]{16,}", re.DOTALL)
"""Ids of sessions, and whatever a client sent as one."""


class _Server(uvicorn.Server):
    """Let requests under way finish when uvicorn shuts down."""

    def __init__(self, config: uvicorn.Config, app: HostedApp) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._app.health.is_watched:
            await self._wait_for_load_balancer()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._app.finish)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()

    async def _wait_for_load_balancer(self) -> None:
        """Serve on until requests go elsewhere; one sent to a closed socket would fail, and may not be repeatable."""
        self._app.health.is_leaving = True
        with anyio.move_on_after(_SECONDS_TO_NOTICE):
            while not self.force_exit:  # noqa: ASYNC110 - uvicorn sets it at a second signal
                await anyio.sleep(_A_MOMENT)


def serve(server: uvicorn.Server, settings: HttpSettings, say: Callable[[str], None]) -> None:
    """Serve until the process receives SIGTERM or SIGINT, and say the address to the person who started it.

    Raises:
        CannotListen: if the port is taken or the address does not belong to this machine.
    """
    with listening(settings.host, settings.port) as listener:
        address = f"http://{settings.in_url}:{listener.getsockname()[1]}"
        old = f", and for old clients on {address}{SSE_PATH}" if settings.transport == "sse" else ""
        say(f"Serving on {address}{MCP_PATH}{old}")
        if settings.auth == "none" and owner_finder(settings.host) is None:
            say(_FOR_ALL_USERS)
        elif settings.auth == "local":
            from agentphone_mcp.server.http.auth.local_token import local_token_file

            say(f"Clients send the token in {local_token_file()}, which agentphone-mcp install --remote enters.")
        # uvicorn raises the signal again after its shutdown, which would end the process before our own cleanup.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        anyio.run(partial(server.serve, sockets=[listener]), backend_options=event_loop_options())


def web_server(
    config: Config, settings: HttpSettings, accounts: AccountPool, precomputed: SurfaceOf = no_surface
) -> uvicorn.Server:
    """Make the web server, ready to be run on a socket.

    Raises:
        ConfigError: if callers cannot be authenticated with these settings.
    """
    for name in _VERBOSE_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.addFilter(_remove_sessions)
    # sse-starlette would otherwise end all streams at the signal, also those that carry an answer.
    AppStatus.disable_automatic_graceful_drain()
    auth, routes = _auth(config, settings)
    app = HostedApp(config, settings, accounts, auth, routes, precomputed)
    most = most_connections()
    uvicorn_config = uvicorn.Config(
        # uvicorn's own limit would count connections without a request, and hold for probes as well.
        CapacityMiddleware(app.asgi, most, PROBES),
        http=bounded_protocol(most),
        # Without a logging setup of its own, uvicorn's lines pass our formatter, which redacts the key.
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEPT_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return _Server(uvicorn_config, app)


def _remove_sessions(record: logging.LogRecord) -> bool:
    """Remove what could be the id of a session from a line, as who knows it and has a token could use the session."""
    record.msg, record.args = _SECRETS.sub("[removed]", record.getMessage()), ()
    return True


def _auth(config: Config, settings: HttpSettings) -> tuple[AuthBackend, Sequence[Route]]:
    """Return the chosen auth backend and its public routes; only that backend is imported."""
    match settings.auth:
        case "token":
            from agentphone_mcp.server.http.auth.tokens import StaticTokenAuth

            return StaticTokenAuth(Path(os.path.expanduser(settings.tokens_file))), ()
        case "relay":
            from agentphone_mcp.server.http.auth.own_key import OwnKeyAuth

            return OwnKeyAuth(config.base_url, config.timeout), ()
        case "jwt":
            # Importing cryptography takes a tenth of the start-up time, and only this backend needs it.
            from agentphone_mcp.server.http.auth.jwks import KeySet
            from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier

            def jwt_auth(resource: str) -> JwtAuth:
                keys = KeySet(settings.jwt_issuer, settings.jwks_url or None)
                return JwtAuth(JwtVerifier(keys, resource), resource)

            auth = read("AGENTPHONE_HTTP_AUTH=jwt", jwt_auth, settings.resource_url)
            return auth, auth.routes()
        case "local":
            from agentphone_mcp.server.http.auth.local_token import LocalTokenAuth

            return LocalTokenAuth(), ()
        case "none":
            return LoopbackAuth(owner_finder(settings.host)), ()


def event_loop_options() -> dict[str, Any]:
    """Choose the fastest installed event loop, for `anyio.run(..., backend_options=...)`."""
    return {"use_uvloop": find_spec("uvloop") is not None}
