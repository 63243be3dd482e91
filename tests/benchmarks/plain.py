"""Be the floor of `hosting.py`: a bare SDK server whose one tool sends the same request."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from mcp.server.mcpserver import Context, MCPServer
from one_tool import serve

Plain = MCPServer[httpx.AsyncClient]


@asynccontextmanager
async def connected(_: Plain) -> AsyncGenerator[httpx.AsyncClient]:
    """Open one client for all requests."""
    headers = {"Authorization": f"Bearer {os.environ['AGENTPHONE_API_KEY']}"}
    async with httpx.AsyncClient(
        base_url=os.environ["AGENTPHONE_BASE_URL"], headers=headers, trust_env=False, timeout=30
    ) as http:
        yield http


async def get_call(call_id: str, ctx: Context[httpx.AsyncClient]) -> dict[str, Any]:
    """Show one call: status, times, transcript."""
    answer = await ctx.request_context.lifespan_context.get(f"/v1/calls/{call_id}")
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    server = Plain("plain", lifespan=connected, log_level="WARNING")
    server.tool()(get_call)
    serve(server, "streamable-http")
