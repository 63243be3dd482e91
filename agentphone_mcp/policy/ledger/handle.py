"""Open the ledger when it is first needed, and run its operations in worker threads."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from agentphone_mcp.policy.ledger.location import IN_MEMORY, LedgerUnavailable, ledger_file

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

Value = TypeVar("Value")


class LedgerHandle:
    """Open the ledger when it is first needed, as the database library takes a while to import."""

    def __init__(self, location: str, redact: Callable[[str], str] = str) -> None:
        self._location = location
        self._redact = redact
        self._ledger: Ledger | None = None
        self._opening = Lock()
        self._probing = Lock()

    @property
    def may_exist(self) -> bool:
        """Tell whether the ledger may have entries already; a database server counts as such, unopened."""
        if self._ledger is not None or self._location == IN_MEMORY:
            return self._ledger is not None
        try:
            file = ledger_file(self._location)
            return file is None or file.exists()
        except (OSError, RuntimeError):
            # Opening it raises the reason.
            return True

    async def run(self, operation: "Callable[[Ledger], Value]") -> Value:
        """Run an operation on the ledger in a worker thread.

        Raises:
            LedgerUnavailable: if the ledger cannot be opened, read or written.
        """
        from anyio.to_thread import run_sync

        return await run_sync(lambda: operation(self.open()))

    async def probe(self) -> None:
        """Check that the ledger can be read; the worker thread is abandoned if the database never answers.

        Raises:
            LedgerUnavailable: if it cannot be read, or an earlier probe is still waiting.
        """
        from anyio.to_thread import run_sync

        def read() -> None:
            with self._probing:
                self.open().has_pending("")

        if self._probing.locked():
            raise LedgerUnavailable("the ledger", "it does not answer")
        if self.may_exist:
            await run_sync(read, abandon_on_cancel=True)

    def open(self) -> "Ledger":
        """Return the ledger, opened at the first call; that may raise `LedgerUnavailable`."""
        from agentphone_mcp.policy.ledger.ledger import Ledger

        with self._opening:
            if self._ledger is None:
                self._ledger = Ledger(self._location, redact=self._redact)
            return self._ledger

    def close(self) -> None:
        """Close the ledger, if it was opened."""
        if self._ledger is not None:
            self._ledger.close()
