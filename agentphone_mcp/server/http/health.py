"""Answer health probes: whether the process is alive, and whether to send it requests."""

import logging
from collections import deque

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.server.http.auth.base import AuthBackend

_FRESH_SECONDS = 2.0
"""How long an answer is reused: probes are not authenticated, so anybody can send many."""
_PROBE_SECONDS = 10.0
_WATCHED_SECONDS = 30.0
"""Readiness counts as watched if /readyz was polled twice within this many seconds."""

logger = logging.getLogger(__name__)


class Health:
    """Answer probes with a status and a short reason; details go to the log."""

    def __init__(self, ledger: LedgerHandle, auth: AuthBackend) -> None:
        self.is_leaving = False
        """Tell whether this server will soon stop and requests should go elsewhere."""
        self._ledger = ledger
        self._auth = auth
        self._polls: deque[float] = deque(maxlen=2)
        self._checking = anyio.Lock()
        self._fresh_until = 0.0
        self._reason: str | None = None

    @property
    def is_watched(self) -> bool:
        """Return whether a load balancer polls /readyz, and so will notice that the server is stopping."""
        return len(self._polls) == 2 and anyio.current_time() - self._polls[0] < _WATCHED_SECONDS

    async def live(self, _: Request) -> Response:
        """Answer 200: the process is alive."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Answer 200 if callers can be authenticated and the ledger answers, else 503."""
        self._polls.append(anyio.current_time())
        reason = "stopping" if self.is_leaving else await self._recent_reason()
        if reason:
            return JSONResponse({"status": "not ready", "why": reason}, 503)
        return JSONResponse({"status": "ready"})

    async def _recent_reason(self) -> str | None:
        async with self._checking:
            if anyio.current_time() >= self._fresh_until:
                self._reason = await self._check()
                self._fresh_until = anyio.current_time() + _FRESH_SECONDS
            return self._reason

    async def _check(self) -> str | None:
        if reason := await self._auth.unavailable_reason():
            logger.warning("not ready: %s", reason)
            return "nobody can be let in"
        try:
            with anyio.fail_after(_PROBE_SECONDS):
                await self._ledger.probe()
        except (LedgerUnavailable, TimeoutError) as exc:
            logger.warning("not ready: %s", exc or "the ledger does not answer")
            return "the ledger cannot be reached"
        return None
