"""A hurried sandbox, in-process and over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox, running


@pytest.fixture
def speed() -> float:
    """So fast that a call of 40 s takes a tenth of a second; tests that look at a ringing call override it."""
    return 400


@pytest.fixture
async def sandbox(speed: float) -> AsyncIterator[Sandbox]:
    """A sandbox in this process."""
    sandbox = Sandbox(speed=speed)
    yield sandbox
    await sandbox.aclose()


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client that holds the sandbox's key."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox.app),
        base_url="http://sandbox.test",
        headers={"Authorization": f"Bearer {sandbox.key}"},
    ) as client:
        yield client


@pytest.fixture
def call_until_ended(api: httpx.AsyncClient) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Places a call and answers with it once it has ended, `events` being what its stream told."""

    async def place(**wanted: Any) -> dict[str, Any]:
        placed = await api.post("/v1/calls", json={"agentId": "agt_frontdesk", **wanted})
        assert placed.status_code == 201, placed.text
        call_id = placed.json()["id"]
        async with asyncio.timeout(10):
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
    """A sandbox behind a real HTTP server."""
    with running(speed=speed) as sandbox:
        yield sandbox


@pytest.fixture
async def http(served: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the served sandbox."""
    headers = {"Authorization": f"Bearer {served.key}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, trust_env=False) as client:
        yield client
