"""The sandbox as an ASGI app: one account, one key, all the routes."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from agentphone_mcp.sandbox import account, agents, calls, contacts, messages, numbers, transcripts, view, webhooks
from agentphone_mcp.sandbox.account_seed import seeded_account
from agentphone_mcp.sandbox.answers import InvalidError, RefusalError, failure, invalid, refused
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.courier import Courier
from agentphone_mcp.sandbox.door import Door, Recorded
from agentphone_mcp.sandbox.engine import Engine
from agentphone_mcp.sandbox.feed import Feed
from agentphone_mcp.sandbox.world import World


class Sandbox:
    """A pretend AgentPhone account.

    `app` serves it in-process (httpx.ASGITransport); `running()` serves it over HTTP and then fills in `url`.
    Whoever uses `app` without its lifespan calls `aclose()` when done, which stops the calls still in progress.
    """

    def __init__(self, *, speed: float = 1.0, key: str | None = None) -> None:
        self.key = key or f"sk_sandbox_{secrets.token_hex(16)}"
        self.url = ""
        self.requests: list[Recorded] = []
        clock = Clock(speed)
        state = seeded_account(clock.now())
        feed = Feed(key=self.key, balance=lambda: self.world.account.purse.balance)
        self.world = World(state, clock, Engine(state, clock, feed), Courier(state, clock, feed), feed=feed)
        self.app = Starlette(
            routes=[
                *account.routes,
                *webhooks.routes,
                *agents.routes,
                *numbers.routes,
                *calls.routes,
                *transcripts.routes,
                *messages.routes,
                *contacts.routes,
                *view.routes,
            ],
            middleware=[Middleware(Door, key=self.key, clock=clock, requests=self.requests, feed=feed)],
            exception_handlers={RefusalError: refused, InvalidError: invalid, HTTPException: _unrouted},
            lifespan=self._lifespan,
        )
        self.app.router.redirect_slashes = False
        self.app.state.world = self.world
        self.app.state.requests = self.requests

    async def aclose(self) -> None:
        """Stop the calls in progress and let the listeners of their transcripts go."""
        self.world.feed.close()
        await self.world.engine.aclose()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncGenerator[None, None]:
        yield
        await self.aclose()


async def _unrouted(_: Request, error: Exception) -> Response:
    """404 for an unknown path and 405 for a wrong method, as JSON."""
    unrouted = cast(HTTPException, error)
    return failure(unrouted.status_code, unrouted.detail, unrouted.headers)
