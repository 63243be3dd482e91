"""Provide a fast sandbox, in-process and over HTTP, and a webhook that records what it gets."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.sandbox.http.api_versions import ApiVersion
from tests.sandbox.calling import Place, SetHook
from tests.sandbox.clients import in_process, over_http


@pytest.fixture
def speed() -> float:
    """Let a call of 40 s take a tenth of a second; tests of a ringing call override this."""
    return 400


@pytest.fixture
def api_version() -> ApiVersion:
    return "union"


@pytest.fixture
async def sandbox(speed: float, api_version: ApiVersion) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(speed=speed, api_version=api_version)
    yield sandbox
    await sandbox.aclose()


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(sandbox) as client:
        yield client


@pytest.fixture
def call_until_ended(api: httpx.AsyncClient) -> Place:
    """Place a call and return it once it has ended, with the events of its stream as `events`."""

    async def place(**wanted: Any) -> dict[str, Any]:
        placed = await api.post("/v1/calls", json={"agentId": "agt_frontdesk", **wanted})
        assert placed.status_code == 201, placed.text
        call_id = placed.json()["id"]
        async with asyncio.timeout(60):
            # In-process, the stream's answer is complete when the call has ended.
            stream = await api.get(f"/v1/calls/{call_id}/transcript/stream")
        call = (await api.get(f"/v1/calls/{call_id}")).json()
        return {**call, "events": _events(stream.text)}

    return place


def _events(stream: str) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture
def served(speed: float) -> Iterator[Sandbox]:
    with running(speed=speed) as sandbox:
        yield sandbox


@pytest.fixture
async def http(served: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with over_http(served) as client:
        yield client


@dataclass
class Received:
    """Record a request to the webhook, and whether its signature was valid."""

    event: dict[str, Any]
    body: bytes
    headers: dict[str, str]
    is_genuine: bool


class Hook:
    """Imitate a developer's webhook: check signatures as the vendor's Flask example does, and answer.

    `answer` gets each event. A dict or list is answered as JSON, bytes as they are, a number as a status, and an async
    iterator line by line as NDJSON. `status` is that of all answers but numbers.
    """

    def __init__(self) -> None:
        self.url = ""
        self.secret = ""
        self.status = 200
        self.content_type = "application/json"
        self.headers: dict[str, str] = {}
        self.received: list[Received] = []
        self._news = asyncio.Event()
        self._busy: set[asyncio.Task[Any]] = set()
        self.answer: Callable[[dict[str, Any]], Any] = lambda _: {"status": "ok"}

    def events(self, name: str) -> list[dict[str, Any]]:
        return [each.event for each in self.received if each.event["event"] == name]

    def speak(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        """Answer each agent.message by its data, and accept all other events."""
        self.answer = lambda event: answer(event["data"]) if event["event"] == "agent.message" else {}

    async def until(self, name: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while not self.events(name):
                self._news.clear()
                await self._news.wait()
        return self.events(name)[-1]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._busy.add(task)
        try:
            await self._handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sandbox has heard enough
        finally:
            writer.close()
            self._busy.discard(task)

    async def aclose(self) -> None:
        """Cancel the answers in progress."""
        for task in list(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head.splitlines()[1:-1])}
        body = await reader.readexactly(int(headers["content-length"]))
        received = Received(json.loads(body), body, headers, self._verify(body, headers))
        self.received.append(received)
        self._news.set()
        await self._reply(writer, self.answer(received.event) if received.is_genuine else 401)

    def _verify(self, body: bytes, headers: dict[str, str]) -> bool:
        timestamp = headers["x-webhook-timestamp"]
        if abs(time.time() - int(timestamp)) > 300:
            return False
        expected = hmac.new(self.secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"sha256={expected}", headers["x-webhook-signature"])

    async def _reply(self, writer: asyncio.StreamWriter, answer: Any) -> None:
        status = answer if isinstance(answer, int) else self.status
        streams = hasattr(answer, "__aiter__")
        content_type = "application/x-ndjson; charset=utf-8" if streams else self.content_type
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n{more}Connection: close\r\n\r\n".encode())
        if streams:
            async for line in answer:
                writer.write(json.dumps(line).encode() + b"\n")
                await writer.drain()
        elif isinstance(answer, bytes):
            writer.write(answer)
        elif not isinstance(answer, int):
            writer.write(json.dumps(answer).encode())
        await writer.drain()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """Start a webhook that is not set in the account yet."""
    hook = Hook()
    server = await asyncio.start_server(hook.handle, "127.0.0.1", 0)
    hook.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook"
    async with server:
        yield hook
        await hook.aclose()


@pytest.fixture
async def set_hook(api: httpx.AsyncClient, hook: Hook) -> SetHook:
    """Set the hook as the project's webhook, or as that of an agent."""

    async def set_it(path: str = "/v1/webhooks", **more: Any) -> None:
        answer = await api.post(path, json={"url": hook.url, **more})
        hook.secret = answer.json()["secret"]

    return set_it


@pytest.fixture
async def order(api: httpx.AsyncClient, set_hook: SetHook, call_until_ended: Place) -> Place:
    """Place a call of the webhook agent and return it once it has ended."""
    await api.post("/v1/agents/agt_orderline/numbers", json={"numberId": "num_frontdesk"})
    await set_hook("/v1/agents/agt_orderline/webhook")

    async def place(to_number: str = "+14155559999", **wanted: Any) -> dict[str, Any]:
        return await call_until_ended(agentId="agt_orderline", toNumber=to_number, **wanted)

    return place
