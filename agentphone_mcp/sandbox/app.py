"""Build the sandbox as an ASGI app, and serve it over HTTP from its own thread, on loopback only."""

import asyncio
import secrets
import socket
import threading
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from agentphone_mcp.sandbox.authentication import AuthenticationMiddleware, watch_token
from agentphone_mcp.sandbox.calls.simulator import CallSimulator
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.context import SandboxContext
from agentphone_mcp.sandbox.data.models import RecordedRequest
from agentphone_mcp.sandbox.data.persistence import DurabilityMiddleware, Persister, load
from agentphone_mcp.sandbox.data.seed import seeded_account
from agentphone_mcp.sandbox.event_stream import EventStream
from agentphone_mcp.sandbox.http.api_versions import ApiVersion, VersionFilter, routes_of_version
from agentphone_mcp.sandbox.http.faults import Fault, FaultInjection, Faults
from agentphone_mcp.sandbox.responses import (
    InvalidError,
    RefusalError,
    answer_invalid,
    answer_invalid_as_400,
    answer_refusal,
    failure,
)
from agentphone_mcp.sandbox.routes import (
    account,
    agents,
    calls,
    contacts,
    control,
    messages,
    numbers,
    sign_up,
    transcripts,
    view,
    webhooks,
)
from agentphone_mcp.sandbox.webhooks.deliveries import WebhookDispatcher
from agentphone_mcp.sandbox.webhooks.events import WebhookEvents
from agentphone_mcp.sandbox.webhooks.sender import WebhookSender
from agentphone_mcp.system.http.requests import CapacityMiddleware, TrustedOriginMiddleware
from agentphone_mcp.system.sockets import listening

HOST = "127.0.0.1"
_GRACE = 0.3
_HOSTS = [form for name in (HOST, "localhost", "[::1]") for form in (name, f"{name}:*")]
_MOST_REQUESTS = 1_000
_ROUTES = (account, webhooks, agents, numbers, calls, transcripts, messages, contacts, sign_up, control, view)


class Sandbox:
    """Serve a simulated AgentPhone account.

    `app` serves it in-process (httpx.ASGITransport); `running()` serves it over HTTP and then fills in `url`.
    Webhooks are delivered to this machine only, unless `allow_remote_webhooks`.
    A caller that uses `app` without its lifespan must call `aclose()`, which stops the calls still in progress.

    Args:
        speed: how much faster than real time calls go.
        key: the key to accept; by default that of the state file, or else a random one.
        api_version: which version of the API answers: `seeds` (the older one), `new`, or the `union` of both.
        faults: rules that break answers, as text or as `Fault`.
        state: the file that keeps the account across restarts; created if missing.

    Raises:
        StateFileError: if the state file is invalid, or cannot be read or written.
        BadFaultError: if the text of a rule is invalid.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        key: str | None = None,
        api_version: ApiVersion = "union",
        faults: Iterable[Fault | str] = (),
        state: Path | None = None,
        allow_remote_webhooks: bool = False,
    ) -> None:
        self.url = ""
        self.requests: list[RecordedRequest] = []
        self.faults = Faults(faults)
        self.allow_remote_webhooks = allow_remote_webhooks
        clock = Clock(speed)
        saved = load(state) if state else None
        if saved:
            clock.started_at = max(clock.started_at, saved.now)
        kept = saved.account if saved else seeded_account(clock.now())
        self.key = key or (saved.key if saved else f"sk_sandbox_{secrets.token_hex(16)}")
        self._persister = Persister(state, kept, self.key, clock) if state else None
        event_stream = EventStream(key=self.key, balance=lambda: kept.balance.amount)
        dispatcher = WebhookDispatcher(kept, clock, WebhookSender(allow_remote=allow_remote_webhooks), event_stream)
        events = WebhookEvents(kept, clock, dispatcher, api_version)
        simulator = CallSimulator(kept, clock, events, event_stream)
        self.context = SandboxContext(kept, clock, simulator, dispatcher, events, event_stream, api_version)
        kept_out = Middleware(TrustedOriginMiddleware, hosts=_HOSTS, origins=[f"http://{host}" for host in _HOSTS])
        self.app = Starlette(
            routes=routes_of_version([route for module in _ROUTES for route in module.routes], api_version),
            middleware=[
                kept_out,
                Middleware(CapacityMiddleware, most=_MOST_REQUESTS),
                *([Middleware(VersionFilter, api_version=api_version)] if api_version != "union" else []),
                Middleware(
                    AuthenticationMiddleware,
                    key=self.key,
                    clock=clock,
                    requests=self.requests,
                    event_stream=event_stream,
                ),
                Middleware(FaultInjection, faults=self.faults),
                *([Middleware(DurabilityMiddleware, persister=self._persister)] if self._persister else []),
            ],
            exception_handlers={
                RefusalError: answer_refusal,
                InvalidError: answer_invalid_as_400 if api_version == "seeds" else answer_invalid,
                HTTPException: _unrouted,
            },
            lifespan=self._lifespan,
        )
        self.app.router.redirect_slashes = False
        self.app.state.context = self.context
        self.app.state.key = self.key
        self.app.state.faults = self.faults
        self.app.state.requests = self.requests

    @property
    def page_url(self) -> str:
        """Return the link to the web page, with the token that lets it in; a browser sends what follows # nowhere."""
        return f"{self.url}/#token={watch_token(self.key)}"

    async def aclose(self) -> None:
        """Stop the calls and deliveries in progress, and end the streams of transcripts and events."""
        self.context.event_stream.close()
        await self.context.simulator.aclose()
        await self.context.dispatcher.aclose()
        if self._persister:
            await self._persister.save()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None, None]:
        self.context.dispatcher.resume()
        yield
        await self.aclose()


async def _unrouted(_: Request, error: Exception) -> Response:
    """Answer an unknown path with 404 and a wrong method with 405, as JSON."""
    exc = cast(HTTPException, error)
    return failure(exc.status_code, exc.detail, exc.headers)


@contextmanager
def running(
    *,
    speed: float = 1.0,
    port: int = 0,
    key: str | None = None,
    api_version: ApiVersion = "union",
    faults: Iterable[Fault | str] = (),
    state: Path | None = None,
    allow_remote_webhooks: bool = False,
) -> Generator[Sandbox, None, None]:
    """Serve a sandbox at `sandbox.url` until the block is left; the settings are those of `Sandbox`.

    Raises:
        CannotListen: an OSError, if `port` is in use. `Sandbox` may raise others.
    """
    with listening(HOST, port) as listener:
        sandbox = Sandbox(
            speed=speed,
            key=key,
            api_version=api_version,
            faults=faults,
            state=state,
            allow_remote_webhooks=allow_remote_webhooks,
        )
        sandbox.url = f"http://{HOST}:{listener.getsockname()[1]}"
        service = _Service(sandbox, listener)
        service.start()
        try:
            yield sandbox
        finally:
            service.stop()


class _Service:
    """Run the server in a thread with an event loop. The socket listens before it starts, so no request fails."""

    def __init__(self, sandbox: Sandbox, listener: socket.socket) -> None:
        import uvicorn

        from agentphone_mcp.system.http.timeouts_h11 import ClientTimeoutsH11

        class Protocol(ClientTimeoutsH11):
            """Bound connections, of which one address may have all here."""

            limits = replace(ClientTimeoutsH11.limits, connections=_MOST_REQUESTS)

        self._sandbox = sandbox
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._leaving = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="agentphone-sandbox", daemon=True)
        self._server = uvicorn.Server(
            uvicorn.Config(
                sandbox.app,
                http=Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )

        sandbox.faults.disconnect = self._disconnect

    def _disconnect(self, client: Any) -> bool:
        """Abort the connection of a client; tell whether it was found."""
        for connection in list(self._server.server_state.connections):
            if connection.transport.get_extra_info("peername") == client:
                connection.transport.abort()
                return True
        return False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        serving = asyncio.create_task(self._server.serve([self._listener]))
        leaving = asyncio.create_task(self._leaving.wait())
        await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        # Open transcript streams end with their calls, so that the server has nothing left to wait for.
        await self._sandbox.aclose()
        self._server.should_exit = True
        leaving.cancel()
        await asyncio.wait([serving], timeout=_GRACE)
        # The rest are clients that never finish their request or never read the answer.
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await serving
