"""A hosted server in the test's own process, and an AgentPhone that knows who asked it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from agentphone_mcp.api.key import ApiKey
from agentphone_mcp.config import Config
from agentphone_mcp.hosting.serve import listening, web_server
from agentphone_mcp.hosting.settings import HttpSettings
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.switchboard import Switchboard

Hosting = Callable[..., AbstractAsyncContextManager[str]]
"""Serves while the context lasts, and gives the server's address without a path."""
Dial = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def hosted(config: Config, settings: HttpSettings) -> AsyncGenerator[str]:
    """Serve in this process, on a free port of loopback."""
    with listening("127.0.0.1", 0) as listener:
        server = web_server(config, settings, Switchboard(config))
        # The signals of the process are the test runner's.
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
def hosting(sandbox: Sandbox, state: Path) -> Hosting:
    """Serve on the sandbox; `http` are the settings of HTTP, all others those of `Config`."""

    def hosting(http: HttpSettings | None = None, **settings: Any) -> AbstractAsyncContextManager[str]:
        known = {"api_key": ApiKey(sandbox.key), "base_url": sandbox.url, "state": str(state)}
        return hosted(Config(**known | settings), http or HttpSettings())

    return hosting


@pytest.fixture
def dial() -> Dial:
    """Connect a client of the SDK that sends these headers with each request."""

    @asynccontextmanager
    async def dial(url: str, headers: dict[str, str] | None = None, **settings: Any) -> AsyncGenerator[Client]:
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), **settings) as client,
        ):
            yield client

    return dial
