"""Connect each caller to their own account: key, connections, ledger rows, caches and subscriptions apart."""

import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.to_thread import run_sync

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.handle import Books

if TYPE_CHECKING:
    import httpx

    from agentphone_mcp.features.context import ToolContext
    from agentphone_mcp.server.account_connection import Line

_LINE = "agentphone_mcp.server.account_connection"
"""What takes a while to import, and is no part of a start: everything that talks to the API."""
_IDLE_SECONDS = 300.0
"""How long the connections of an account are kept when nobody uses them."""
_MOST_LINES = 1_000
"""How many accounts can be connected at once."""

logger = logging.getLogger(__name__)


class Switchboard:
    """Connects callers to accounts; entered once for as long as a process serves.

    Args:
        config: what the server is told. Its key is the operator's, and never used where callers bring their own.
        inner: what really sends requests; tests inject theirs, below the key's rule.
    """

    def __init__(self, config: Config, *, inner: "httpx.AsyncBaseTransport | None" = None) -> None:
        self._config = config
        self._inner = inner
        self.books = Books(config.state, self.cut)
        self._lines: dict[str, Line] = {}
        # Replaced and never changed, so that `cut` may be called from any thread.
        self._known = (Secrets(config.api_key),)
        self._connecting = anyio.Lock()
        self._open = AsyncExitStack()
        self._tasks: TaskGroup

    async def __aenter__(self) -> "Switchboard":
        self._open.callback(self.books.close)
        self._tasks = await self._open.enter_async_context(anyio.create_task_group())
        if self._config.relays:
            self._tasks.start_soon(self._hang_up_idle_lines)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._tasks.cancel_scope.cancel()
        await self._open.aclose()

    def cut(self, text: str) -> str:
        """Remove the secrets of all accounts that are connected: for what only the operator reads."""
        for secrets in self._known:
            text = secrets.cut(text)
        return text

    async def get_ready(self) -> None:
        """Connect the operator, whose earlier run may have left something in doubt, before anybody calls."""
        if not self._config.relays:
            await self._line(self._config.api_key)

    @asynccontextmanager
    async def connected(self, caller: Caller) -> "AsyncGenerator[ToolContext]":
        """Give the tool context of a caller for one request.

        Raises:
            Refused: when there are too many accounts.
        """
        line = await self._line(caller.key if self._config.relays else self._config.api_key)
        line.users += 1
        try:
            yield replace(line.context, caller=caller)
        finally:
            line.users -= 1
            line.idle_since = anyio.current_time()

    async def _line(self, key: ApiKey | None) -> "Line":
        account = key.account(self._config.sub_account) if key else "no key"
        if account not in self._lines:
            # One at a time: two requests of a caller must not open two lines.
            async with self._connecting:
                if account not in self._lines:
                    if len(self._lines) >= _MOST_LINES and not self._hang_up_longest_idle():
                        raise Refused("Nothing was done: too many accounts use this server now. Try again in a minute.")
                    if _LINE not in sys.modules:
                        # On a thread, so that others are answered meanwhile.
                        await run_sync(import_module, _LINE)
                    self._lines[account] = await self._tasks.start(self._keep, account, key)
        return self._lines[account]

    async def _keep(self, account: str, key: ApiKey | None, *, task_status: "TaskStatus[Line]") -> None:
        from agentphone_mcp.server.account_connection import connected

        secrets, line = Secrets(key), None
        self._known = (*self._known, secrets)
        try:
            async with connected(self._config, account, secrets, key, self.books, self._inner) as line:
                task_status.started(line)
                await line.hung_up.wait()
        except Exception:
            if line is None:
                raise
            # What broke is one account's, and must not end the lines of all others; its next request opens a new one.
            logger.exception("a line broke down")
        finally:
            if line is not None and self._lines.get(account) is line:
                del self._lines[account]
            self._known = tuple(other for other in self._known if other is not secrets)

    async def _hang_up_idle_lines(self) -> None:
        while True:
            await anyio.sleep(_IDLE_SECONDS / 10)
            too_long_ago = anyio.current_time() - _IDLE_SECONDS
            for account, line in list(self._lines.items()):
                if line.is_idle and line.idle_since < too_long_ago:
                    self._hang_up(account)

    def _hang_up_longest_idle(self) -> bool:
        idle = [account for account, line in self._lines.items() if line.is_idle]
        if idle:
            self._hang_up(min(idle, key=lambda account: self._lines[account].idle_since))
        return bool(idle)

    def _hang_up(self, account: str) -> None:
        self._lines.pop(account).hung_up.set()
