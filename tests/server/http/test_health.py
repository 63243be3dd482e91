"""Probes are answered also when what they ask about never answers."""

import threading
from collections.abc import Generator

import anyio
import pytest
from starlette.requests import Request

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.server.http import health
from agentphone_mcp.server.http.auth.loopback import LoopbackAuth
from agentphone_mcp.server.http.health import Health

PROBE = Request({"type": "http", "method": "GET", "path": "/readyz", "headers": []})


class Frozen(LedgerHandle):
    """A ledger whose database has stopped in the middle of everything."""

    def __init__(self) -> None:
        super().__init__("postgresql://127.0.0.1/frozen")
        self.thawed = threading.Event()
        self.asked = 0

    def open(self) -> None:
        """Wait."""
        self.asked += 1
        self.thawed.wait()


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Generator[Frozen]:
    """Such a ledger, and probes that are not patient."""
    monkeypatch.setattr(health, "_SECONDS_TO_ASK", 0.05)
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0)
    ledger = Frozen()
    yield ledger
    ledger.thawed.set()


async def test_a_database_that_never_answers_makes_the_server_not_ready(frozen: Frozen) -> None:
    """However often it is asked, one thread waits for it."""
    probed = Health(frozen, LoopbackAuth())
    with anyio.fail_after(60):
        for _ in range(5):
            answer = await probed.ready(PROBE)
            assert answer.status_code == 503
            assert b"the ledger cannot be reached" in answer.body
        assert (await probed.live(PROBE)).status_code == 200
    assert frozen.asked == 1
