"""How long account_overview takes beside one bare request to the same slow API: `python tests/benchmarks/overview.py`.

It asks for four things, and should cost the time of one. The figure is a ratio of medians measured in one run.
"""

import asyncio
import socket
import statistics
import threading
from collections.abc import Awaitable, Callable
from time import perf_counter

import httpx
import uvicorn
from mcp.client import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentphone_mcp.api.key import ApiKey
from agentphone_mcp.config import Config
from agentphone_mcp.server import create_server

LATENCY = 0.2
ROUNDS = 20
ANSWERS = {"/v1/webhooks": None, "/v1/usage": {"plan": {"name": "free"}}}


async def slow(request: Request) -> Response:
    """Answer like the API, a while later."""
    await asyncio.sleep(LATENCY)
    return JSONResponse(ANSWERS.get(request.url.path, {"data": [], "total": 0}))


async def median_ms(deed: Callable[[], Awaitable[object]]) -> float:
    """The median time of some rounds, in milliseconds; the first one, which connects, is left out."""
    times: list[float] = []
    for _ in range(ROUNDS + 1):
        started = perf_counter()
        await deed()
        times.append(perf_counter() - started)
    return statistics.median(times[1:]) * 1000


async def measure(url: str) -> None:
    """Measure both and print the ratio."""
    async with httpx.AsyncClient(trust_env=False) as bare:
        one = await median_ms(lambda: bare.get(f"{url}/v1/usage"))
    async with Client(create_server(Config(api_key=ApiKey("sk_test_benchmark_0000"), base_url=url))) as client:
        overview = await median_ms(lambda: client.call_tool("account_overview", {}))
    print(f"one bare request   {one:7.1f} ms")
    print(f"account_overview   {overview:7.1f} ms   {overview / one:.2f} of a round trip")


def main() -> None:
    """Serve a slow API on loopback and measure against it."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # named, so that asyncio switches Nagle's delay off
    listener.bind(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/{path:path}", slow)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    asyncio.run(measure(f"http://127.0.0.1:{listener.getsockname()[1]}"))
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    main()
