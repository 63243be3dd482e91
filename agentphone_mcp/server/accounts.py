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
from agentphone_mcp.policy.ledger.handle import LedgerHandle

if TYPE_CHECKING:
    import httpx

    from agentphone_mcp.features.context import ToolContext
    from agentphone_mcp.features.recordings import RecordingSlots
    from agentphone_mcp.server.account_connection import AccountConnection

_CONNECTION_MODULE = "agentphone_mcp.server.account_connection"
"""Imports everything that talks to the API, so it is imported at the first request and not at the start."""
_IDLE_SECONDS = 300.0
"""How long the connections of an account are kept when nobody uses them."""
_MOST_CONNECTIONS = 1_000
"""How many accounts can be connected at once."""

logger = logging.getLogger(__name__)


class AccountPool:
    """Connects callers to accounts; entered once for as long as a process serves.

    The configured key is the operator's, and never used where callers bring their own. Tests inject `inner`, which
    sends the requests, below the key's rule.
    """

    def __init__(self, config: Config, *, inner: "httpx.AsyncBaseTransport | None" = None) -> None:
        self._config = config
        self._inner = inner
        self.ledger = LedgerHandle(config.ledger_location, self.redact)
        self._connections: dict[str, AccountConnection] = {}
        # Replaced and never changed, so that `redact` may be called from any thread.
        self._secrets = (Secrets(config.api_key),)
        self._connecting = anyio.Lock()
        self._recordings: RecordingSlots | None = None
        self._open = AsyncExitStack()
        self._tasks: TaskGroup

    async def __aenter__(self) -> "AccountPool":
        self._open.callback(self.ledger.close)
        self._tasks = await self._open.enter_async_context(anyio.create_task_group())
        if self._config.uses_caller_keys:
            self._tasks.start_soon(self._close_idle)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._tasks.cancel_scope.cancel()
        await self._open.aclose()

    def redact(self, text: str) -> str:
        """Remove the secrets of all accounts that are connected: for what only the operator reads."""
        for secrets in self._secrets:
            text = secrets.redact(text)
        return text

    async def get_ready(self) -> None:
        """Connect the operator, whose earlier run may have left unresolved entries, before the first call."""
        if not self._config.uses_caller_keys:
            await self._connection(self._config.api_key)

    @asynccontextmanager
    async def connected(self, caller: Caller) -> "AsyncGenerator[ToolContext]":
        """Give the tool context of a caller for one request.

        Raises:
            Refused: when there are too many accounts.
        """
        connection = await self._connection(caller.key if self._config.uses_caller_keys else self._config.api_key)
        connection.users += 1
        try:
            yield replace(connection.context, caller=caller)
        finally:
            connection.users -= 1
            connection.idle_since = anyio.current_time()

    async def _connection(self, key: ApiKey | None) -> "AccountConnection":
        account = key.account(self._config.sub_account) if key else "no key"
        if account not in self._connections:
            # One at a time: two requests of a caller must not open two connections.
            async with self._connecting:
                if account not in self._connections:
                    if len(self._connections) >= _MOST_CONNECTIONS and not self._close_longest_idle():
                        raise Refused("Nothing was done: too many accounts use this server now. Try again in a minute.")
                    if _CONNECTION_MODULE not in sys.modules:
                        # On a thread, so that others are answered meanwhile.
                        await run_sync(import_module, _CONNECTION_MODULE)
                    self._connections[account] = await self._tasks.start(self._keep, account, key)
        return self._connections[account]

    async def _keep(self, account: str, key: ApiKey | None, *, task_status: "TaskStatus[AccountConnection]") -> None:
        from agentphone_mcp.features.recordings import RecordingSlots
        from agentphone_mcp.server.account_connection import connected

        # Memory is the process's: all accounts share them.
        self._recordings = self._recordings or RecordingSlots()
        secrets, connection = Secrets(key), None
        self._secrets = (*self._secrets, secrets)
        try:
            async with connected(
                self._config, account, secrets, key, self.ledger, self._inner, self._recordings
            ) as connection:
                task_status.started(connection)
                await connection.closed.wait()
        except Exception:
            if connection is None:
                raise
            # An error of one account must not end the others' connections; its next request opens a new one.
            logger.exception("the connection to an account broke down")
        finally:
            if connection is not None and self._connections.get(account) is connection:
                del self._connections[account]
            self._secrets = tuple(other for other in self._secrets if other is not secrets)

    async def _close_idle(self) -> None:
        while True:
            await anyio.sleep(_IDLE_SECONDS / 10)
            too_long_ago = anyio.current_time() - _IDLE_SECONDS
            for account, connection in list(self._connections.items()):
                if connection.is_idle and connection.idle_since < too_long_ago:
                    self._close(account)

    def _close_longest_idle(self) -> bool:
        idle = [account for account, connection in self._connections.items() if connection.is_idle]
        if idle:
            self._close(min(idle, key=lambda account: self._connections[account].idle_since))
        return bool(idle)

    def _close(self, account: str) -> None:
        self._connections.pop(account).closed.set()
