"""The ledger at hand: opened when it is first needed, and kept out of the event loop's way."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from agentphone_mcp.policy.ledger.location import IN_MEMORY, LedgerUnavailable, ledger_file

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

Told = TypeVar("Told")


class LedgerHandle:
    """A ledger that is not opened before it is needed: the database library takes a while to import.

    Args:
        place: a folder, a SQLAlchemy URL, or `IN_MEMORY`.
        redact: removes what must not be written down.
    """

    def __init__(self, place: str, redact: Callable[[str], str] = str) -> None:
        self._place = place
        self._redact = redact
        self._ledger: Ledger | None = None
        self._opening = Lock()
        self._probing = Lock()

    @property
    def may_exist(self) -> bool:
        """Whether there may be something in it already; only a file can tell without being opened."""
        if self._ledger is not None or self._place == IN_MEMORY:
            return self._ledger is not None
        try:
            file = ledger_file(self._place)
            return file is None or file.exists()
        except (OSError, RuntimeError):
            # Why it cannot be told is said when it is opened.
            return True

    async def run(self, operation: "Callable[[Ledger], Told]") -> Told:
        """Let a worker thread read or write.

        Raises:
            LedgerUnavailable: when that fails.
        """
        from anyio.to_thread import run_sync

        return await run_sync(lambda: operation(self.open()))

    async def probe(self) -> None:
        """Find out whether it can be read, by a thread that may be left alone with a database that never answers.

        Raises:
            LedgerUnavailable: when it cannot, or an earlier probe is waiting still.
        """

        from anyio.to_thread import run_sync

        def look() -> None:
            with self._probing:
                self.open().has_pending("")

        if self._probing.locked():
            raise LedgerUnavailable("the ledger", "it does not answer")
        if self.may_exist:
            await run_sync(look, abandon_on_cancel=True)

    def open(self) -> "Ledger":
        """The ledger itself.

        Raises:
            LedgerUnavailable: when it cannot be opened.
        """
        from agentphone_mcp.policy.ledger.ledger import Ledger

        with self._opening:
            if self._ledger is None:
                self._ledger = Ledger(self._place, redact=self._redact)
            return self._ledger

    def close(self) -> None:
        """Close what was opened."""
        if self._ledger is not None:
            self._ledger.close()
