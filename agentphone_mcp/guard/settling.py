"""Deeds whose answer was lost, and calls whose cost was an estimate: settled by what the API says of them now."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.guard.books import Books, LedgerUnavailable
from agentphone_mcp.guard.entries import Entry, Found

if TYPE_CHECKING:
    from agentphone_mcp.guard.ledger import Ledger

LookUp = Callable[[Entry, frozenset[str]], Awaitable[Found | None]]
"""Asks the API whether a deed happened, among what no other deed claims; None where it still cannot be told."""
SecondsOf = Callable[[Entry], Awaitable[float | None]]
"""Asks the API how long a call lasted; None while it goes on."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settler:
    """Settles what is open in the ledger of one account; it reads from the API and never spends.

    Attributes:
        account: a hash of the key.
        books: the ledger.
        look_up: tells whether a deed happened.
        seconds_of: tells how long a call lasted.
    """

    account: str
    books: Books
    look_up: LookUp
    seconds_of: SecondsOf

    async def settle(self, entry: Entry) -> Found | None:
        """Find out whether a deed happened, and write it down; None where that still cannot be told."""
        claimed = await self.books.ask(lambda ledger: ledger.claimed(self.account, entry.tool))
        try:
            found = await self.look_up(entry, claimed)
        except ApiError as cannot:
            logger.info("cannot tell yet whether row %d of the ledger happened: %s", entry.id, cannot)
            return None
        if found is not None:
            await self.books.ask(lambda ledger: ledger.settle_doubt(entry, found))
        return found

    async def settle_costs(self) -> None:
        """Replace the estimates of calls that have ended by what they cost."""
        for entry in await self.books.ask(lambda ledger: ledger.estimates(self.account)):
            try:
                seconds = await self.seconds_of(entry)
            except ApiError as cannot:
                logger.info("cannot tell yet what row %d of the ledger cost: %s", entry.id, cannot)
                continue
            if seconds is not None:
                await self.books.ask(partial(_write_seconds, entry, seconds))

    async def settle_all(self) -> None:
        """Settle what an earlier run left open. It runs beside the server, so its failures end in the log alone."""
        if not self.books.may_exist:
            return
        try:
            for entry in await self.books.ask(lambda ledger: ledger.doubts(self.account)):
                await self.settle(entry)
            await self.settle_costs()
        except LedgerUnavailable as broken:
            logger.warning("the ledger cannot be reconciled: %s", broken)
        except Exception:
            logger.exception("the ledger could not be reconciled")


def _write_seconds(entry: Entry, seconds: float, ledger: "Ledger") -> None:
    ledger.settle_seconds(entry, seconds)
