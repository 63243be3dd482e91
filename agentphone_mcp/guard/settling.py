"""Deeds whose answer was lost, and calls whose cost was an estimate: settled by what the API says of them now."""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agentphone_mcp.api.errors import ApiError, NotFound
from agentphone_mcp.guard.books import Books, LedgerUnavailable
from agentphone_mcp.guard.entries import Entry, Found, Length

if TYPE_CHECKING:
    from agentphone_mcp.guard.ledger import Ledger

LookUp = Callable[[Entry, frozenset[str]], Awaitable[Found | None]]
"""Asks the API whether a deed happened, among what no other deed claims; None where it still cannot be told."""
LengthOf = Callable[[Entry], Awaitable[Length]]
"""Asks the API how long a call lasted."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
"""Seconds before the API is asked again; doubled each time that something stays open, up to what an estimate covers."""

logger = logging.getLogger(__name__)


class Settler:
    """Settles what is open in the ledger of one account; it reads from the API and never spends.

    Args:
        account: a hash of the key.
        books: the ledger.
        look_up: tells whether a deed happened.
        length_of: tells how long a call lasted.
    """

    def __init__(self, account: str, books: Books, look_up: LookUp, length_of: LengthOf) -> None:
        self.account = account
        self.books = books
        self._look_up = look_up
        self._length_of = length_of
        self._news = anyio.Event()

    async def settle(self, entry: Entry) -> Found | None:
        """Find out whether a deed happened, and write it down; None where that still cannot be told."""
        claimed = await self.books.ask(lambda ledger: ledger.claimed(self.account, entry.tool))
        try:
            found = await self._look_up(entry, claimed)
        except ApiError as cannot:
            logger.info("cannot tell yet whether row %d of the ledger happened: %s", entry.id, cannot)
            return None
        if found is not None:
            await self.books.ask(lambda ledger: ledger.settle_doubt(entry, found))
        return found

    async def settle_costs(self) -> bool:
        """Replace the estimates of calls by what they cost, or cost at least so far; says whether one is open still."""
        is_open = False
        for entry in await self.books.ask(lambda ledger: ledger.estimates(self.account)):
            try:
                length = await self._length_of(entry)
            except NotFound:
                length = Length(None, is_over=True)
            except ApiError as cannot:
                logger.info("cannot tell yet what row %d of the ledger cost: %s", entry.id, cannot)
                is_open = True
                continue
            if not length.is_over:
                length = Length(time.time() - entry.at, is_over=False)
            is_open = is_open or not length.is_over
            await self.books.ask(partial(_write_length, entry, length))
        return is_open

    async def settle_all(self) -> bool:
        """Settle what can be settled now; says whether something is open still. Failures end in the log alone."""
        if not self.books.may_exist:
            return False
        try:
            found = [await self.settle(entry) for entry in await self.books.ask(self._doubts)]
            is_open = await self.settle_costs()
            return is_open or None in found or await self.books.ask(lambda ledger: ledger.has_pending(self.account))
        except LedgerUnavailable as broken:
            logger.warning("the ledger cannot be reconciled: %s", broken)
        except Exception:
            logger.exception("the ledger could not be reconciled")
        return True

    async def keep_settling(self) -> None:
        """Settle what earlier runs left open, and what this one leaves, as soon as it can be told; never ends."""
        pause = _FIRST_PAUSE
        while True:
            news = self._news
            is_open = await self.settle_all()
            with anyio.move_on_after(pause if is_open else None):
                await news.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)
            if news.is_set():
                self._news = anyio.Event()
                pause = _FIRST_PAUSE
                # What was left open just now is hardly to be seen yet.
                await anyio.sleep(pause)

    def hear(self) -> None:
        """Take in that a deed was done whose outcome or cost is open."""
        self._news.set()

    def _doubts(self, ledger: "Ledger") -> list[Entry]:
        return ledger.doubts(self.account)


def _write_length(entry: Entry, length: Length, ledger: "Ledger") -> None:
    ledger.settle_seconds(entry, length.seconds, is_over=length.is_over)
