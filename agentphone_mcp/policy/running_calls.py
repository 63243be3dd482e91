"""Decide when the calls that run have to end, as the limit of dollars is used up, and hang them up.

A call counts while it runs, by the second from when it was requested, and at most as long as the plan lets one run.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.policy.limits import Limit, Limits
from agentphone_mcp.policy.pricing import cost_of_seconds
from agentphone_mcp.policy.reconciliation import Reconciler

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

HangUp = Callable[[str], Awaitable[object]]
"""Asks the API to end a call, by its id."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two looks at the ledger while a call runs, as other processes spend from the same limit."""
_IDLE_PAUSE = 60.0
"""The same while none runs: another process may have ended while its calls run on."""
_FIRST_RETRY, _LONGEST_RETRY = 2.0, 30.0
"""Seconds before calls that were not hung up are tried again; doubled each time."""

logger = logging.getLogger(__name__)


class RunningCalls:
    """Watches the calls of one account that the ledger knows; the clocks are in seconds, `steady` never jumps."""

    def __init__(
        self,
        limits: Limits,
        reconciler: Reconciler,
        hang_up: HangUp,
        seconds_to_write: float,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limits.spend
        self._has_any = False
        self._reconciler = reconciler
        self._hang_up = hang_up
        self._seconds_to_write = seconds_to_write
        self._clock = clock
        self._steady = steady
        self._first_seen: dict[int, tuple[float, float]] = {}
        self._retry = _FIRST_RETRY

    @property
    def may_have_any(self) -> bool:
        """Tell whether any call may run that this may have to hang up."""
        return self.limit is not None and (self._has_any or self._reconciler.call_may_run.is_set())

    async def check(self) -> float:
        """Hang up the calls that run if the limit is used up; return the seconds until the next check.

        Raises:
            LedgerUnavailable: if the ledger cannot be read or written.
        """
        if self.limit is None:
            return math.inf
        running = await self._look()
        left = await self._seconds_left(self.limit, running)
        if left <= 0:
            # Calls may have ended meanwhile, and cost less than they count.
            await self._reconciler.reconcile_costs()
            running = await self._look()
            left = await self._seconds_left(self.limit, running)
        if left <= 0:
            await self._hang_up_all(self.limit, running)
            pause, self._retry = self._retry, min(2 * self._retry, _LONGEST_RETRY)
            return pause
        self._retry = _FIRST_RETRY
        return min(max(left, _SHORTEST_PAUSE), _LONGEST_PAUSE if running else _IDLE_PAUSE)

    async def wait(self, seconds: float) -> None:
        """Wait until the next check, or until a call was placed."""
        if self._reconciler.call_may_run.is_set():
            self._reconciler.call_may_run = anyio.Event()
            return
        with anyio.move_on_after(seconds):
            await self._reconciler.call_may_run.wait()

    async def _look(self) -> list[Entry]:
        running, now = await self._reconciler.running_calls(), self._steady()
        self._has_any = bool(running)
        seen = {entry.id: self._first_seen.get(entry.id, (self._age(entry), now)) for entry in running}
        self._first_seen = seen
        return running

    async def _seconds_left(self, limit: Limit, running: list[Entry]) -> float:
        """Compute how long the calls may run on; what the ledger reserved for their first minutes is not spent yet."""
        if not running:
            return math.inf
        account, since = self._reconciler.account, self._clock() - limit.seconds
        used = await self._reconciler.ledger.run(lambda ledger: ledger.calls.settled_cost(account, since))
        a_second = 0.0
        for entry in running:
            seconds, minute_cost = self._seconds_of(entry, limit), entry.minute_cost or 0
            used += cost_of_seconds(minute_cost, seconds)
            a_second += minute_cost / 60
        return max(0.0, limit.maximum - used) / a_second if a_second else math.inf

    def _seconds_of(self, entry: Entry, limit: Limit) -> float:
        """Return how long a call has run within the limit's window; a clock that is set back does not shorten it."""
        first_age, first_seen = self._first_seen[entry.id]
        seconds = max(self._age(entry), first_age + self._steady() - first_seen)
        return min(seconds, limit.seconds, self._reconciler.longest_call)

    def _age(self, entry: Entry) -> float:
        return max(0.0, self._clock() - entry.at)

    async def _hang_up_all(self, limit: Limit, running: list[Entry]) -> None:
        """Hang up the calls whose id is known, at once; the others are looked up again at the next check."""
        async with anyio.create_task_group() as tasks:
            for entry in running:
                if entry.outcome == "done":
                    tasks.start_soon(self._hang_up_one, limit, entry)

    async def _hang_up_one(self, limit: Limit, entry: Entry) -> None:
        call_id, name = entry.call_id, str(limit)
        if call_id is None:
            return
        try:
            if not await self._reconciler.ledger.run(
                lambda ledger: ledger.calls.claim_hang_up(entry, name, self._seconds_to_write)
            ):
                return
        except LedgerUnavailable as exc:
            logger.warning("call %s is not hung up yet, as the ledger cannot be written: %s", call_id, exc)
            return
        try:
            await self._hang_up(call_id)
        except ApiError as exc:
            logger.warning("call %s could not be hung up, as the limit %s is used up: %s", call_id, name, exc)
        except Exception:
            # A fault with one call must not keep the others from being hung up.
            logger.exception("call %s could not be hung up", call_id)
        else:
            logger.warning("call %s was hung up, as the limit %s is used up", call_id, name)
            await self._write(lambda ledger: ledger.calls.note_hung_up(entry, name))
            return
        await self._write(lambda ledger: ledger.calls.release_hang_up(entry))

    async def _write(self, operation: "Callable[[Ledger], None]") -> None:
        try:
            await self._reconciler.ledger.run(operation)
        except LedgerUnavailable:
            self._reconciler.write_later(operation)
