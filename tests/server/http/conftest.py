"""Run hosted servers in the test's own process and in others."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.serve import web_server
from tests.server.http.auth.tokens.tokens_file import entry
from tests.server.http.serving import running
from tests.support import COMMAND, PATIENCE, clean_environment

Hosting = Callable[..., AbstractAsyncContextManager[str]]
"""Serves while the context lasts; gives the URL of the server without a path."""
Dial = Callable[..., AbstractAsyncContextManager[Client]]
StartServer = Callable[..., AbstractAsyncContextManager["Server"]]
"""Serves in a process with these variables while the context lasts."""
CLIENT_SECONDS = 300
"""How long a client waits while many others connect."""
TOKENS = {name: f"apmcp_{name}-{'x' * 36}" for name in ("ada", "ben")}


@pytest.fixture
def hosting(sandbox: Sandbox, state: Path) -> Hosting:
    """Serve the sandbox; `http` are the settings of HTTP, all others those of `Config`."""

    def hosting(http: HttpSettings | None = None, **settings: Any) -> AbstractAsyncContextManager[str]:
        defaults = {"api_key": ApiKey(sandbox.key), "base_url": sandbox.url, "ledger_location": str(state)}
        config = Config(**defaults | settings)
        return running(web_server(config, http or HttpSettings(), AccountPool(config)))

    return hosting


@pytest.fixture
def dial() -> Dial:
    """Connect a client of the SDK that sends these headers with each request."""

    @asynccontextmanager
    async def dial(url: str, headers: dict[str, str] | None = None, **settings: Any) -> AsyncGenerator[Client]:
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=CLIENT_SECONDS, verify=False) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), **settings) as client,
        ):
            yield client

    return dial


class Server:
    """A server in a process of its own.

    Attributes:
        url: its URL without a path.
        log: the lines that it wrote to stderr.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.log: list[str] = []
        self._serving = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def wait_until_serving(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._serving.wait()
        assert self.url, self.log

    async def stop(self) -> None:
        """Stop it as a supervisor does, and wait for its end."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
            await self._listening

    async def _listen(self) -> None:
        while line := (await self.process.stderr.readline()).decode().rstrip():
            self.log.append(line)
            if line.startswith("Serving on "):
                self.url = line.removeprefix("Serving on ").removesuffix("/mcp")
                self._serving.set()
        self._serving.set()


@pytest.fixture
def starting(sandbox: Sandbox, tmp_path: Path) -> StartServer:
    """Start servers of Ada and Ben on the sandbox, without the settings of this machine."""
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("".join(entry(name, token, "spend") for name, token in TOKENS.items()))
    variables = {
        "AGENTPHONE_TRANSPORT": "streamable-http",
        "AGENTPHONE_PORT": "0",
        "AGENTPHONE_HTTP_AUTH": "token",
        "AGENTPHONE_HTTP_TOKENS_FILE": str(tokens),
        "AGENTPHONE_API_KEY": sandbox.key,
        "AGENTPHONE_BASE_URL": sandbox.url,
    }

    @asynccontextmanager
    async def starting(*command: str, **settings: str) -> AsyncGenerator[Server]:
        process = await asyncio.create_subprocess_exec(
            *(command or COMMAND), env=clean_environment(**variables | settings), stderr=asyncio.subprocess.PIPE
        )
        server = Server(process)
        try:
            await server.wait_until_serving()
            yield server
        finally:
            await server.stop()

    return starting


@pytest.fixture
def bearer() -> Callable[[str], dict[str, str]]:
    return lambda name: {"Authorization": f"Bearer {TOKENS[name]}"}
