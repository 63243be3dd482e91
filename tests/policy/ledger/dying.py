"""Be a server that kills itself with SIGKILL at the point of a purchase that its argument names."""

import os
import signal
import sys
from collections.abc import AsyncIterator

import anyio
import httpx
from mcp.client import Client

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.server.server import create_server


def die() -> None:
    """End at once, without any cleanup."""
    os.kill(os.getpid(), signal.SIGKILL)


class LastBody(httpx.AsyncByteStream):
    """A response body after whose last byte the process dies."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part
        die()


class DyingTransport(httpx.AsyncHTTPTransport):
    """A transport that kills the process before or after its first write."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; die before a write is sent, once it is answered, or after its whole answer is read."""
        if request.method == "GET":
            return await super().handle_async_request(request)
        if sys.argv[1] == "before-the-request":
            die()
        response = await super().handle_async_request(request)
        if sys.argv[1] == "before-the-answer":
            die()
        response.stream = LastBody(response.stream)
        return response


async def main() -> None:
    """Buy a number."""
    config = Config(
        ApiKey(os.environ["AGENTPHONE_API_KEY"]),
        os.environ["AGENTPHONE_BASE_URL"],
        ledger_location=os.environ["AGENTPHONE_STATE"],
    )
    async with Client(create_server(config, inner=DyingTransport())) as client:
        await client.call_tool("buy_number", {"area_code": "415", "confirm": True})


if __name__ == "__main__":
    anyio.run(main)
