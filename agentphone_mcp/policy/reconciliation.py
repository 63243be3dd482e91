"""Actions whose answer was lost, and calls whose cost was an estimate: settled by what the API says of them now."""

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agentphone_mcp.api.errors import ApiError, NotFound
from agentphone_mcp.policy.ledger.handle import LedgerHandle
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import CallDuration, Entry, LookupResult

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

LookUp = Callable[[Entry, frozenset[str]], Awaitable[LookupResult | None]]
"""Asks the API whether an action happened, among what no other action claims; None where it still cannot be told."""
DurationOf = Callable[[Entry], Awaitable[CallDuration]]
"""Asks the API how long a call lasted."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
"""Seconds before the API is asked again of the same row, or a ledger that fails is tried again; doubled each time, up
to what an estimate covers."""
_MOST_AT_ONCE = 10
_HOPELESS_AFTER = 86_400
"""Seconds after which an unresolved action is looked into only when somebody asks for the action again."""

logger = logging.getLogger(__name__)


class Reconciler:
    """Settles what is open in the ledger of one account; it reads from the API and never spends.

    Args:
        account: a hash of the key.
        ledger: the ledger.
        look_up: tells whether an action happened.
        call_duration: tells how long a call lasted.
    """

    def __init__(self, account: str, ledger: LedgerHandle, look_up: LookUp, call_duration: DurationOf) -> None:
        self.account = account
        self.ledger = ledger
        self._look_up = look_up
        self._duration_of = call_duration
        self._news = anyio.Event()
        self._unwritten: deque[Callable[[Ledger], None]] = deque()
        self._pauses: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._pause_of_failure = 0.0

    @property
    def pause(self) -> float:
        """Seconds until something that is open is due, or until a ledger that fails is tried again."""
        now = time.monotonic()
        return self._pause_of_failure or max(0.0, min((*self._due.values(), now + _LONGEST_PAUSE)) - now)

    async def reconcile(self, entry: Entry) -> LookupResult | None:
        """Find out whether an action happened, and write it down; None where that still cannot be told.

        While it asks, others do their actions: the ledger has the last word on whose it is that was found.
        """
        claimed = await self.ledger.run(lambda ledger: ledger.claimed_ids(self.account, entry.tool))
        try:
            found = await self._look_up(entry, claimed)
        except ApiError as cannot:
            logger.info("cannot tell yet whether row %d of the ledger happened: %s", entry.id, cannot)
            return None
        if found is None or not await self.ledger.run(lambda ledger: ledger.settle_unresolved(entry, found)):
            return None
        return found

    async def reconcile_costs(self) -> None:
        """Replace the estimates of calls by what they cost, or cost at least so far."""
        await self._reconcile_costs(await self.ledger.run(self._estimates))

    async def _reconcile_costs(self, estimates: list[Entry]) -> bool:
        """Ask for the calls of these rows; says whether one is open still."""
        is_open = False
        for entry in estimates:
            try:
                length = await self._duration_of(entry)
            except NotFound:
                length = CallDuration(None, is_over=True)
            except ApiError as cannot:
                logger.info("cannot tell yet what row %d of the ledger cost: %s", entry.id, cannot)
                is_open = True
                continue
            if not length.is_over:
                length = CallDuration(time.time() - entry.at, is_over=False)
            is_open = is_open or not length.is_over
            await self.ledger.run(partial(_write_length, entry, length))
        return is_open

    async def reconcile_all(self) -> bool:
        """Settle what can be settled now; says whether something is open still. Failures end in the log alone."""
        if not self.ledger.may_exist:
            return False
        # Of a ledger that stays broken one line is enough; what it says meanwhile is there for whoever looks closer.
        level = logging.DEBUG if self._pause_of_failure else logging.WARNING
        try:
            is_open = await self._reconcile_all()
        except LedgerUnavailable as broken:
            logger.log(level, "the ledger cannot be reconciled: %s", broken)
        except Exception:
            logger.log(level, "the ledger could not be reconciled", exc_info=True)
        else:
            if self._pause_of_failure:
                logger.info("the ledger can be reconciled again")
            self._pause_of_failure = 0.0
            return is_open
        self._pause_of_failure = min(2 * self._pause_of_failure, _LONGEST_PAUSE) or _FIRST_PAUSE
        return True

    async def _reconcile_all(self) -> bool:
        while self._unwritten:
            await self.ledger.run(self._unwritten[0])
            self._unwritten.popleft()
        unresolved, estimates = await self.ledger.run(self._unresolved), await self.ledger.run(self._estimates)
        rows = {entry.id for entry in (*unresolved, *estimates)}
        self._due = {row: due for row, due in self._due.items() if row in rows}
        self._pauses = {row: pause for row, pause in self._pauses.items() if row in rows}
        asked, costs_asked = self._due_of(unresolved), self._due_of(estimates)
        found = [await self.reconcile(entry) for entry in asked]
        is_open = await self._reconcile_costs(costs_asked) or None in found
        is_open = is_open or len(asked) + len(costs_asked) < len(rows)
        return is_open or await self.ledger.run(lambda ledger: ledger.has_pending(self.account))

    async def keep_reconciling(self) -> None:
        """Settle what earlier runs left open, and what this one leaves, as soon as it can be told; never ends."""
        while True:
            self._news = anyio.Event()
            if await self.reconcile_all():
                with anyio.move_on_after(self.pause):
                    await self._news.wait()
            else:
                await self._news.wait()
            # What was left open just now is hardly to be seen yet.
            await anyio.sleep(_FIRST_PAUSE)

    def notify(self) -> None:
        """Take in that an action was done whose outcome or cost is open."""
        self._news.set()

    def write_later(self, what: "Callable[[Ledger], None]") -> None:
        """Write down what is known as soon as the ledger can be written again."""
        self._unwritten.append(what)
        self.notify()

    def _due_of(self, entries: list[Entry]) -> list[Entry]:
        """Those that the API may be asked of now, a few at a time; each the more seldom, the longer it stays open."""
        now = time.monotonic()
        due = [entry for entry in entries if self._due.get(entry.id, 0) <= now][:_MOST_AT_ONCE]
        for entry in due:
            self._pauses[entry.id] = min(2 * self._pauses.get(entry.id, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._due[entry.id] = now + self._pauses[entry.id]
        return due

    def _estimates(self, ledger: "Ledger") -> list[Entry]:
        return ledger.estimates(self.account)

    def _unresolved(self, ledger: "Ledger") -> list[Entry]:
        return [entry for entry in ledger.unresolved(self.account) if time.time() - entry.at < _HOPELESS_AFTER]


def _write_length(entry: Entry, length: CallDuration, ledger: "Ledger") -> None:
    ledger.settle_call_cost(entry, length.seconds, is_over=length.is_over)
