"""Hosted servers in the test's own process and in others, an authorization server that obeys, and a clock."""

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.serve import web_server
from agentphone_mcp.system.sockets import listening
from tests.support import ROOT

Hosting = Callable[..., AbstractAsyncContextManager[str]]
"""Serves while the context lasts, and gives the server's address without a path."""
Dial = Callable[..., AbstractAsyncContextManager[Client]]
Starting = Callable[..., AbstractAsyncContextManager["Server"]]
"""Serves in a process of its own, which is told by these variables, while the context lasts."""
PATIENCE = 60
"""Seconds for what takes a moment, on whichever machine."""
LONG_LIMITS = 300
"""Seconds for what many clients do at once."""
TOKENS = {name: f"apmcp_{name}-{'x' * 36}" for name in ("ada", "ben")}
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
RESOURCE = "https://phone.example/mcp"


@asynccontextmanager
async def hosted(config: Config, settings: HttpSettings) -> AsyncGenerator[str]:
    """Serve in this process, on a free port of loopback."""
    with listening("127.0.0.1", 0) as listener:
        server = web_server(config, settings, AccountPool(config))
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
        known = {"api_key": ApiKey(sandbox.key), "base_url": sandbox.url, "ledger_location": str(state)}
        return hosted(Config(**known | settings), http or HttpSettings())

    return hosting


@pytest.fixture
def dial() -> Dial:
    """Connect a client of the SDK that sends these headers with each request."""

    @asynccontextmanager
    async def dial(url: str, headers: dict[str, str] | None = None, **settings: Any) -> AsyncGenerator[Client]:
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=LONG_LIMITS, verify=False) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), **settings) as client,
        ):
            yield client

    return dial


class Server:
    """A server in a process of its own, which has said where it serves.

    Attributes:
        url: its address without a path.
        log: the lines that it wrote to stderr.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.log: list[str] = []
        self._is_serving = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def has_started(self) -> None:
        """Wait until it can be reached."""
        async with asyncio.timeout(PATIENCE):
            await self._is_serving.wait()
        assert self.url, self.log

    async def stop(self) -> None:
        """Stop it as a supervisor does, and wait for its end; a bounded time."""
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
        while said := (await self.process.stderr.readline()).decode().rstrip():
            self.log.append(said)
            if said.startswith("Serving on "):
                self.url = said.removeprefix("Serving on ").removesuffix("/mcp")
                self._is_serving.set()
        self._is_serving.set()


@pytest.fixture
def starting(sandbox: Sandbox, tmp_path: Path) -> Starting:
    """Start a server of Ada's and Ben's on the sandbox; nothing of the machine's own settings reaches it."""
    tokens = tmp_path / "tokens.toml"
    hashes = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    tokens.write_text("".join(f'[tokens.{name}]\nsha256 = "{one}"\nscope = "spend"\n' for name, one in hashes.items()))
    told = {
        "PYTHONPATH": str(ROOT),
        "AGENTPHONE_TRANSPORT": "streamable-http",
        "AGENTPHONE_PORT": "0",
        "AGENTPHONE_HTTP_AUTH": "token",
        "AGENTPHONE_HTTP_TOKENS_FILE": str(tokens),
        "AGENTPHONE_API_KEY": sandbox.key,
        "AGENTPHONE_BASE_URL": sandbox.url,
    }

    @asynccontextmanager
    async def starting(*command: str, **settings: str) -> AsyncGenerator[Server]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGENTPHONE_")}
        process = await asyncio.create_subprocess_exec(
            *(command or (sys.executable, "-m", "agentphone_mcp")),
            env=inherited | told | settings,
            stderr=asyncio.subprocess.PIPE,
        )
        server = Server(process)
        try:
            await server.has_started()
            yield server
        finally:
            await server.stop()

    return starting


@pytest.fixture
def bearer() -> Callable[[str], dict[str, str]]:
    """The headers of Ada or Ben."""
    return lambda name: {"Authorization": f"Bearer {TOKENS[name]}"}


class Clock:
    """Seconds since some moment, as told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@cache
def private_key(algorithm: str, kid: str) -> Any:
    """A key pair, made once for all tests: RSA takes its time."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa.generate_private_key(65537, 2048)


def jwk(algorithm: str, kid: str) -> dict[str, Any]:
    """The public half, as an issuer publishes it."""
    public = private_key(algorithm, kid).public_key()
    return json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public)) | {"kid": kid, "use": "sig"}


class Issuer:
    """Signs whatever it is asked to, and publishes its metadata and keys; requests of each path are kept."""

    jwk = staticmethod(jwk)
    private_key = staticmethod(private_key)

    def __init__(self, url: str = "https://issuer.example") -> None:
        self.url = url
        self.keys = [jwk("RS256", "first")]
        self.requests: list[str] = []
        self.headers: list[httpx.Headers] = []
        self.answers: dict[str, httpx.Response] = {}
        self.is_down = False
        self.transport = httpx.MockTransport(self._handle)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good token says, with changes; None leaves a claim out."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": RESOURCE,
            "sub": "user-7",
            "client_id": "desk",
            "iat": now,
            "exp": now + 600,
            "scope": "read write",
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(
        self, algorithm: str = "RS256", kid: str = "first", headers: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        """A token that is good but for what was asked for."""
        key = self.private_key(algorithm, kid)
        body = json.dumps(self.claims(**changes)).encode()
        return jwt.PyJWS().encode(body, key, algorithm, headers={"kid": kid} | (headers or {}))

    def document(self, path: str) -> Any:
        """What is published there; None for nothing."""
        if path == "/jwks":
            return {"keys": self.keys}
        if path == "/.well-known/oauth-authorization-server":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        return None

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        self.headers.append(request.headers)
        if self.is_down:
            raise httpx.ConnectError("connection refused", request=request)
        if told := self.answers.get(request.url.path):
            return told
        document = self.document(request.url.path)
        return httpx.Response(404) if document is None else httpx.Response(200, json=document)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    """An authorization server of the test's own."""
    return Issuer()


@pytest.fixture
def another_issuer() -> Callable[[str], Issuer]:
    """Make one at another address."""
    return Issuer
