"""Answer probes even if the ledger never does."""

import threading
from collections.abc import Generator
from contextlib import AsyncExitStack

import anyio
import httpx
import pytest
from starlette.requests import Request

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.server.http import health, serve
from agentphone_mcp.server.http.auth.base import LoopbackAuth
from agentphone_mcp.server.http.health import Health
from tests.server.http.middleware.requests import ACCEPT
from tests.support import HELLO, PATIENCE

PROBE = Request({"type": "http", "method": "GET", "path": "/readyz", "headers": []})


class Frozen(LedgerHandle):
    """A ledger whose database never answers."""

    def __init__(self) -> None:
        super().__init__("postgresql://127.0.0.1/frozen")
        self.answered = threading.Event()
        self.opened = 0

    def open(self) -> None:
        self.opened += 1
        self.answered.wait()


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Generator[Frozen]:
    """Provide such a ledger, and shorten the time that probes wait."""
    monkeypatch.setattr(health, "_PROBE_SECONDS", 0.05)
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0)
    ledger = Frozen()
    yield ledger
    ledger.answered.set()


async def test_a_database_that_never_answers_makes_the_server_not_ready(frozen: Frozen) -> None:
    probes = Health(frozen, LoopbackAuth())
    with anyio.fail_after(60):
        for _ in range(5):
            answer = await probes.ready(PROBE)
            assert answer.status_code == 503
            assert b"the ledger cannot be reached" in answer.body
        assert (await probes.live(PROBE)).status_code == 200
    assert frozen.opened == 1


@pytest.mark.attack("17", "connections that wait keep out whoever sends a request")
async def test_probes_and_requests_are_answered_beside_a_crowd(hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn answers 503 to everybody, probes too, once as many are connected as its limit says."""
    monkeypatch.setattr(serve, "most_connections", lambda: 20)
    half = b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
    async with hosting() as url, AsyncExitStack() as crowd:
        port = int(url.rpartition(":")[2])
        for number in range(60):
            connection = await crowd.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
            await connection.send(half[: number % len(half)] or b"P")
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            answers = [(await http.get(f"{url}{path}")).status_code for path in ("/healthz", "/readyz")]
            opened = await http.post(f"{url}/mcp", json=HELLO, headers=ACCEPT)
    assert [*answers, opened.status_code] == [200, 200, 200]
