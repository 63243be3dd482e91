"""What `hosting.py` compares with: a server of the bare SDK, whose one tool sends the same request and nothing else."""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from mcp.server.mcpserver import Context, MCPServer

Plain = MCPServer[httpx.AsyncClient]


@asynccontextmanager
async def connected(_: Plain) -> AsyncGenerator[httpx.AsyncClient]:
    """One client for all requests."""
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


def main() -> None:
    """Serve on a port of loopback, and say where on stderr."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--port", type=int, default=0)
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # named, so that asyncio switches Nagle's delay off
    listener.bind(("127.0.0.1", asked.parse_args().port))
    listener.listen()
    server = Plain("plain", lifespan=connected, log_level="WARNING")
    server.tool()(get_call)
    sys.stderr.write(f"Serving on http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
    sys.stderr.flush()
    config = uvicorn.Config(server.streamable_http_app(), log_config=None, access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
