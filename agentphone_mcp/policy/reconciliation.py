"""Settle actions whose answer was lost, and calls whose cost is an estimate, by what the API says now."""

import logging
import math
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
"""Asks the API whether an action happened, ignoring the ids of other actions; None if that is still unclear."""
DurationOf = Callable[[Entry], Awaitable[CallDuration]]
"""Asks the API how long a call lasted."""
LongestCall = Callable[[], Awaitable[float | None]]
"""Asks the API for how many seconds the account's plan lets a call run; None where it does not tell."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
"""Seconds before the API is asked again about a row, or a failing ledger is tried again; doubled each time, up to the
duration that an estimate covers."""
_BATCH_SIZE = 10
_LOST_AFTER = 1_200
"""Seconds after which a call whose answer was lost, and which the API does not list, does not run."""
_PLAN_IS_GOOD_FOR = 3_600
_GIVE_UP_AFTER = 86_400
"""Seconds after which an unresolved action is looked up only when the same action is requested again."""

logger = logging.getLogger(__name__)


class Reconciler:
    """Settles the open rows in the ledger of one account, a hash of its key; it only reads from the API."""

    def __init__(
        self,
        account: str,
        ledger: LedgerHandle,
        look_up: LookUp,
        call_duration: DurationOf,
        longest_call: LongestCall | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.account = account
        self.ledger = ledger
        self.longest_call = math.inf
        """Seconds that the account's plan lets a call run, as far as the API was asked already."""
        self.call_may_run = anyio.Event()
        """Set, and replaced by who waits for it, when a call was placed or may have been."""
        self._look_up = look_up
        self._call_duration = call_duration
        self._ask_longest_call = longest_call
        self._clock = clock
        self._ask_again_at = -math.inf
        self._wake_up = anyio.Event()
        self._unwritten: deque[Callable[[Ledger], None]] = deque()
        self._pauses: dict[int, float] = {}
        self._due: dict[int, float] = {}
        self._pause_of_failure = 0.0

    @property
    def pause(self) -> float:
        """Return the seconds until an open row is due, or until a failing ledger is tried again."""
        now = time.monotonic()
        return self._pause_of_failure or max(0.0, min((*self._due.values(), now + _LONGEST_PAUSE)) - now)

    async def reconcile(self, entry: Entry) -> LookupResult | None:
        """Look up whether an action happened, and write it down; None if that is still unclear.

        Other actions may settle during the look-up, so the ledger decides at the end which one owns what was found.
        """
        try:
            found, is_settled = await self._find(entry)
        except ApiError as exc:
            logger.info("cannot tell yet whether row %d of the ledger happened: %s", entry.id, exc)
            return None
        return found if is_settled else None

    async def _find(self, entry: Entry) -> tuple[LookupResult | None, bool]:
        """Return what a look-up found, and whether it was written down as the result of this action."""
        claimed = await self.ledger.run(lambda ledger: ledger.claimed_ids(self.account, entry.tool))
        found = await self._look_up(entry, claimed)
        return found, bool(found and await self.ledger.run(lambda ledger: ledger.settle_unresolved(entry, found)))

    async def running_calls(self) -> list[Entry]:
        """List the calls that may run, as far as the ledger knows."""
        if not self.ledger.may_exist:
            return []
        return await self.ledger.run(lambda ledger: ledger.calls.running(self.account))

    async def reconcile_costs(self) -> None:
        """Replace the estimates of calls by their cost, or by their cost so far; learn how long one may run."""
        running = await self.running_calls()
        if running:
            await self._learn_longest_call()
        for entry in running:
            if entry.outcome == "unknown":
                await self._reconcile_lost(entry)
        await self._reconcile_costs([entry for entry in await self.running_calls() if entry.outcome == "done"])

    async def _reconcile_lost(self, entry: Entry) -> None:
        """Look for a call whose answer was lost; what the API never listed stops to count as running."""
        try:
            found, _ = await self._find(entry)
        except ApiError as exc:
            logger.info("cannot tell yet whether row %d of the ledger runs: %s", entry.id, exc)
            return
        # What is found may belong to another action, and may never be told apart.
        if self._clock() - entry.at > (_GIVE_UP_AFTER if found else _LOST_AFTER):
            await self.ledger.run(partial(_settle_cost, entry, CallDuration(None, is_over=True)))

    async def _learn_longest_call(self) -> None:
        if self._ask_longest_call is None or time.monotonic() < self._ask_again_at:
            return
        try:
            self.longest_call = await self._ask_longest_call() or math.inf
        except ApiError as exc:
            logger.info("cannot tell how long a call may run: %s", exc)
        else:
            self._ask_again_at = time.monotonic() + _PLAN_IS_GOOD_FOR

    async def _reconcile_costs(self, estimates: list[Entry]) -> bool:
        """Settle the cost of these calls; return whether any is still open."""
        is_open = False
        for entry in estimates:
            try:
                duration = await self._call_duration(entry)
            except NotFound:
                duration = CallDuration(None, is_over=True)
            except ApiError as exc:
                logger.info("cannot tell yet what row %d of the ledger cost: %s", entry.id, exc)
                is_open = True
                continue
            if not duration.is_over:
                duration = CallDuration(min(self._clock() - entry.at, self.longest_call), is_over=False)
            is_open = is_open or not duration.is_over
            await self.ledger.run(partial(_settle_cost, entry, duration))
        return is_open

    async def reconcile_all(self) -> bool:
        """Settle what can be settled now; return whether any row is still open. Failures are only logged."""
        if not self.ledger.may_exist:
            return False
        # A ledger that keeps failing is logged once as a warning, then at debug level.
        level = logging.DEBUG if self._pause_of_failure else logging.WARNING
        try:
            is_open = await self._reconcile_all()
        except LedgerUnavailable as exc:
            logger.log(level, "the ledger cannot be reconciled: %s", exc)
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
        due, due_costs = self._take_due(unresolved), self._take_due(estimates)
        results = [await self.reconcile(entry) for entry in due]
        is_open = await self._reconcile_costs(due_costs) or None in results
        is_open = is_open or len(due) + len(due_costs) < len(rows)
        return is_open or await self.ledger.run(lambda ledger: ledger.has_pending(self.account))

    async def keep_reconciling(self) -> None:
        """Settle open rows, of earlier runs too, for as long as the server runs."""
        while True:
            self._wake_up = anyio.Event()
            if await self.reconcile_all():
                with anyio.move_on_after(self.pause):
                    await self._wake_up.wait()
            else:
                await self._wake_up.wait()
            # The API may not show yet what was left open just now.
            await anyio.sleep(_FIRST_PAUSE)

    def notify(self) -> None:
        """Wake up, as an action left its outcome or cost open."""
        self._wake_up.set()
        self.call_may_run.set()

    def write_later(self, operation: "Callable[[Ledger], None]") -> None:
        """Keep an operation that failed, and run it as soon as the ledger can be written again."""
        self._unwritten.append(operation)
        self.notify()

    def _take_due(self, entries: list[Entry]) -> list[Entry]:
        """Take the rows that are due, a few at a time; the longer one stays open, the less often it is due."""
        now = time.monotonic()
        due = [entry for entry in entries if self._due.get(entry.id, 0) <= now][:_BATCH_SIZE]
        for entry in due:
            self._pauses[entry.id] = min(2 * self._pauses.get(entry.id, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._due[entry.id] = now + self._pauses[entry.id]
        return due

    def _estimates(self, ledger: "Ledger") -> list[Entry]:
        return ledger.estimates(self.account)

    def _unresolved(self, ledger: "Ledger") -> list[Entry]:
        return [entry for entry in ledger.unresolved(self.account) if self._clock() - entry.at < _GIVE_UP_AFTER]


def _settle_cost(entry: Entry, duration: CallDuration, ledger: "Ledger") -> None:
    ledger.settle_call_cost(entry, duration.seconds, is_over=duration.is_over)
