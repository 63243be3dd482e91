"""Be a host in the event loop of its server: JSON lines as over stdio, without a process."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from anyio import AsyncFile
from figures import Odd
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from processes import HELLO

_MOMENT = 10


class NearHost:
    """Stand in for both files that `stdio_server` takes; send one request at a time."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[str | None] = asyncio.Queue()
        self._asked = 0
        self._answer = asyncio.get_running_loop().create_future()

    async def __aiter__(self) -> AsyncGenerator[str]:
        """Yield the host's lines."""
        while (line := await self._said.get()) is not None:
            yield line

    async def write(self, text: str) -> None:
        """Receive a message."""
        message = json.loads(text)
        if message.get("id") == self._asked:
            self._answer.set_result(message)

    async def flush(self) -> None:
        """Do nothing: every write is passed on at once."""

    async def call(self, tool: str, **arguments: object) -> None:
        """Call a tool and check that it succeeded.

        Raises:
            Odd: if it did not.
        """
        result = await self._ask("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError") or "needs_confirmation" in str(result.get("structuredContent")):
            raise Odd(f"{tool} answered {result['content']}")

    async def shake_hands(self) -> None:
        """Initialize the session."""
        await self._ask("initialize", HELLO)
        self._say({"method": "notifications/initialized"})

    def leave(self) -> None:
        """End the host's lines."""
        self._said.put_nowait(None)

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._answer = asyncio.get_running_loop().create_future()
        self._say({"id": self._asked, "method": method, "params": params})
        answer = await self._answer
        if "result" not in answer:
            raise Odd(f"{method} is answered with {answer}")
        return answer["result"]

    def _say(self, message: dict[str, Any]) -> None:
        self._said.put_nowait(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


@asynccontextmanager
async def near(serve: Callable[[NearHost], Awaitable[None]]) -> AsyncGenerator[NearHost]:
    """Connect to a server, initialize it, and yield its host."""
    host = NearHost()
    served = asyncio.ensure_future(serve(host))
    try:
        await asyncio.wait_for(host.shake_hands(), _MOMENT)
        yield host
    finally:
        host.leave()
        await asyncio.wait_for(served, _MOMENT)


async def serve_by_the_sdk(server: MCPServer[Any], host: NearHost) -> None:
    """Serve this host as `run_stdio_async` serves stdio."""
    file = cast("AsyncFile[str]", host)
    async with stdio_server(file, file) as (said, told):
        least = server._lowlevel_server  # pyright: ignore[reportPrivateUsage] - its only way to streams
        await least.run(said, told, least.create_initialization_options())
