"""Run web servers on a free port of loopback, in the loop of the test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from agentphone_mcp.system.sockets import listening


@asynccontextmanager
async def running(server: uvicorn.Server) -> AsyncGenerator[str]:
    """Run a server without its signal handlers, and give its URL."""
    with listening("127.0.0.1", 0) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


def app_server(app: ASGIApp, **settings: Any) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1, **settings))
