"""Answer probes even if the ledger never does."""

import threading
from collections.abc import Generator

import anyio
import pytest
from starlette.requests import Request

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.server.http import health
from agentphone_mcp.server.http.auth.base import LoopbackAuth
from agentphone_mcp.server.http.health import Health

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
