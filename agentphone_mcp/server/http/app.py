"""Build a hosted server as one ASGI application: health probes, middleware, and MCP behind admission."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.policy.access import OPERATOR, SCOPES, Scope
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.auth.base import AuthBackend
from agentphone_mcp.server.http.health import Health
from agentphone_mcp.server.http.middleware.admission import AdmissionMiddleware
from agentphone_mcp.server.http.middleware.concurrency import ConcurrencyLimiter, limits_of
from agentphone_mcp.server.http.middleware.draining import DrainingMiddleware
from agentphone_mcp.server.http.middleware.requests import LARGEST_BODY, AccessLog, NoResumptionMiddleware
from agentphone_mcp.server.sdk_overrides import overriding
from agentphone_mcp.server.server import AgentPhoneServer
from agentphone_mcp.server.stdio.precomputed import PrecomputedSurface
from agentphone_mcp.system.http.requests import BodyLimitMiddleware, TrustedOriginMiddleware

SurfaceOf = Callable[[Scope], PrecomputedSurface | None]
MCP_PATH, SSE_PATH, MESSAGES_PATH = "/mcp", "/sse", "/messages/"
_SLASHED_PATH = f"{MCP_PATH}/"
"""Many people type this; it is served without a redirect."""
_LIVE, _READY = "/healthz", "/readyz"
PROBES = frozenset((_LIVE, _READY))
_SECONDS_TO_FINISH = 20.0
_SECONDS_TO_ANSWER = 2.0
_SECONDS_TO_CONNECT = 0.5
"""Clients that wait for the start have sent their first request by then."""
_CORS_HEADERS = (
    "Authorization",
    "X-API-Key",
    "Content-Type",
    "Last-Event-ID",
    "MCP-Protocol-Version",
    "Mcp-Session-Id",
    "Mcp-Method",
    "Mcp-Name",
)
_CHECKED_ALREADY = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""`TrustedOriginMiddleware` has checked Host and Origin, for every path."""


def no_surface(_: Scope) -> None:
    """Return no precomputed surface, so that features are built before the first client connects."""


class _Sessions(StreamableHTTPSessionManager):
    """Limit the SDK's sessions for each caller."""

    def __init__(self, server: Server[Any], *, limiter: ConcurrencyLimiter, idle_timeout: float) -> None:
        super().__init__(
            server,
            security_settings=_CHECKED_ALREADY,
            session_idle_timeout=idle_timeout,
            max_request_body_size=LARGEST_BODY,
        )
        self._limiter = limiter

    @overriding(StreamableHTTPSessionManager)
    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        # The SDK ends sessions in several places, so the open ones are counted anew.
        sessions = sum(owner == requestor for owner in self._session_owners.values()) + 1
        has_room = requestor is None or self._limiter.has_room(requestor["client_id"], {"sessions": sessions})
        return super()._admit_session(requestor) if has_room else None


def _bounded(app: ASGIApp) -> ASGIApp:
    return NoResumptionMiddleware(BodyLimitMiddleware(app, LARGEST_BODY))


class HostedApp:
    """Serve all callers of one process.

    Args:
        accounts: opened and closed with the application.
        routes: further routes, served without authentication.
        precomputed: returns the tools and instructions for callers of a scope, so that features are imported later.
    """

    def __init__(
        self,
        config: Config,
        settings: HttpSettings,
        accounts: AccountPool,
        auth: AuthBackend,
        routes: Sequence[Route] = (),
        precomputed: SurfaceOf = no_surface,
    ) -> None:
        self._accounts = accounts
        self._more_routes = routes
        limiter = ConcurrencyLimiter(limits_of(settings))
        self._draining = DrainingMiddleware(limiter)
        self.health = Health(accounts.ledger, auth)
        # Without a scope for each caller, all have the operator's.
        is_for_all = settings.auth in ("none", "local", "relay")
        self._servers: dict[Scope, AgentPhoneServer] = {
            scope: self._server(config, scope, precomputed(scope), is_for_all=is_for_all)
            for scope in ((OPERATOR.scope,) if is_for_all else SCOPES)
        }
        self._sessions: dict[Scope, _Sessions] = {
            scope: _Sessions(
                server._lowlevel_server,  # pyright: ignore[reportPrivateUsage] - the SDK counts no sessions by caller
                limiter=limiter,
                idle_timeout=settings.idle_timeout,
            )
            for scope, server in self._servers.items()
        }

        def admission(apps: dict[Scope, ASGIApp]) -> AdmissionMiddleware:
            return AdmissionMiddleware(auth, apps, limiter=limiter, idle_timeout=settings.idle_timeout)

        mcp: dict[Scope, ASGIApp] = {
            scope: _bounded(sessions.handle_request) for scope, sessions in self._sessions.items()
        }
        self._admission = dict.fromkeys((MCP_PATH, _SLASHED_PATH), admission(mcp))
        if settings.transport == "sse":
            sse: dict[Scope, ASGIApp] = {
                scope: _bounded(server.sse_app(transport_security=_CHECKED_ALREADY))
                for scope, server in self._servers.items()
            }
            self._admission |= dict.fromkeys((SSE_PATH, MESSAGES_PATH), admission(sse))
        self.asgi = self._application(settings)

    async def finish(self) -> None:
        """Accept no more requests, and let those under way finish for at most half a minute."""
        self.health.is_leaving = True
        await self._draining.drain(_SECONDS_TO_FINISH)
        async with anyio.create_task_group() as closing:
            for admission in set(self._admission.values()):
                closing.start_soon(admission.close, _SECONDS_TO_ANSWER)

    def _server(
        self, config: Config, scope: Scope, precomputed: PrecomputedSurface | None, *, is_for_all: bool
    ) -> AgentPhoneServer:
        @asynccontextmanager
        async def lifespan(_: object) -> AsyncGenerator[AccountPool]:
            # All servers share one pool, which the application opens and closes.
            yield self._accounts

        server = AgentPhoneServer(config, scope, lifespan, precomputed=precomputed, is_for_all=is_for_all)
        server.middleware.append(self._draining.handle)
        return server

    def _application(self, settings: HttpSettings) -> Starlette:
        routes: list[BaseRoute] = [
            Route(_LIVE, self.health.live),
            Route(_READY, self.health.ready),
            *(Route(path, admission) for path, admission in self._admission.items()),
            *self._more_routes,
        ]
        middleware = [
            Middleware(
                AccessLog, paths=frozenset((*self._admission, *PROBES, *(route.path for route in self._more_routes)))
            ),
            Middleware(
                TrustedOriginMiddleware,
                hosts=settings.known_hosts,
                origins=settings.known_origins,
                open_paths=PROBES,
            ),
        ]
        if settings.allowed_origins:
            middleware.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=settings.allowed_origins,
                    allow_methods=["GET", "POST", "DELETE"],
                    allow_headers=_CORS_HEADERS,
                    expose_headers=["Mcp-Session-Id", "WWW-Authenticate"],
                )
            )
        app = Starlette(routes=routes, middleware=middleware, lifespan=self._lifespan)
        # Behind a proxy that ends TLS Starlette would redirect to http, and clients would send keys in clear text.
        app.router.redirect_slashes = False
        return app

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._accounts)
            for sessions in self._sessions.values():
                await stack.enter_async_context(sessions.run())
            tasks = await stack.enter_async_context(anyio.create_task_group())
            for admission in set(self._admission.values()):
                tasks.start_soon(admission.end_expired_requests)
            tasks.start_soon(self._get_ready)
            yield
            tasks.cancel_scope.cancel()

    async def _get_ready(self) -> None:
        """Load everything before it is needed, but serve the clients that waited for the start first."""
        await anyio.sleep(_SECONDS_TO_CONNECT)
        await self._accounts.get_ready()
        for server in self._servers.values():
            await server.get_ready()
