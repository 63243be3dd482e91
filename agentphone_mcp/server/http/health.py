"""What probes ask: whether the process is alive, and whether requests should be sent to it."""

import logging
from collections import deque

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.server.http.auth.base import AuthBackend

_FRESH_SECONDS = 2.0
"""How long an answer is good for: nobody has to say who they are to ask."""
_SECONDS_TO_ASK = 10.0
_REGULARLY = 30.0
"""Within so many seconds somebody who decides where requests go asks at least twice."""

logger = logging.getLogger(__name__)


class Health:
    """Answers probes, without details: these are in the log.

    Args:
        ledger: the ledger, without which nothing may be spent.
        auth: what lets callers in.

    Attributes:
        is_leaving: whether requests should go elsewhere, as this server will soon take no more.
    """

    def __init__(self, ledger: LedgerHandle, auth: AuthBackend) -> None:
        self.is_leaving = False
        self._ledger = ledger
        self._auth = auth
        self._asked: deque[float] = deque(maxlen=2)
        self._asking = anyio.Lock()
        self._until = 0.0
        self._trouble: str | None = None

    @property
    def is_watched(self) -> bool:
        """Whether somebody asks regularly if it is ready, and so will notice when it is not."""
        return len(self._asked) == 2 and anyio.current_time() - self._asked[0] < _REGULARLY

    async def live(self, _: Request) -> Response:
        """Alive: it answers."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Ready, or 503: callers can be let in, and what is spent can be written down."""
        self._asked.append(anyio.current_time())
        unavailable_reason = "stopping" if self.is_leaving else await self._newest_trouble()
        if unavailable_reason:
            return JSONResponse({"status": "not ready", "why": unavailable_reason}, 503)
        return JSONResponse({"status": "ready"})

    async def _newest_trouble(self) -> str | None:
        async with self._asking:
            if anyio.current_time() >= self._until:
                self._trouble = await self._look()
                self._until = anyio.current_time() + _FRESH_SECONDS
            return self._trouble

    async def _look(self) -> str | None:
        if reason := await self._auth.unavailable_reason():
            logger.warning("not ready: %s", reason)
            return "nobody can be let in"
        try:
            with anyio.fail_after(_SECONDS_TO_ASK):
                await self._ledger.probe()
        except (LedgerUnavailable, TimeoutError) as broken:
            logger.warning("not ready: %s", broken or "the ledger does not answer")
            return "the ledger cannot be reached"
        return None
