"""Reserve an action in the ledger before it is done, or refuse it.

Checked in this order: destination, the same action done before or unresolved, limits, approval.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.records import Entry, NewEntry, Question
from agentphone_mcp.policy.limits import LimitExceeded
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.pricing import cost_of_call
from agentphone_mcp.policy.reconciliation import Reconciler

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

_WAIT_FOR_FIRST = 20.0
"""Seconds that an action waits for the same one that is pending; hosts give up on a tool after a minute."""
_POLL_INTERVAL = 0.1


class Reservations:
    """Reserves actions in the ledger of one account; every method may raise `LedgerUnavailable`."""

    def __init__(self, policy: Policy, reconciler: Reconciler, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy
        self._reconciler = reconciler
        self._ledger = reconciler.ledger
        self._clock = clock

    def check_destination(self, action: Action) -> None:
        """Check that the policy allows to reach the action's number.

        Raises:
            Refused: with the rule that forbids it.
        """
        if action.to_number is not None:
            self._policy.destinations.check(action.to_number)

    async def reserve(self, action: Action, *, repeat: bool) -> int | Entry:
        """Write down what is about to be done and return its row, or the earlier action that it repeats.

        Raises:
            Refused: if it may not be done; the refusal is written down too.
        """
        new_entry = self._new_entry(action)
        try:
            self.check_destination(action)
            reserved = await self._wait_and_reserve(action, new_entry, repeat=repeat)
            if isinstance(reserved, Entry):
                await self._ledger.run(partial(_record_replay, reserved, action))
                if reserved.outcome == "done" and reserved.fingerprint != action.fingerprint:
                    raise Refused(refusals.reworded(reserved, self._clock()))
        except Refused as exc:
            reason = str(exc)
            await self._ledger.run(lambda ledger: ledger.refuse(new_entry, reason))
            raise
        return reserved

    async def refuse(self, action: Action, reason: str) -> None:
        """Write down that an action was refused, and why."""
        new_entry = self._new_entry(action)
        await self._ledger.run(lambda ledger: ledger.refuse(new_entry, reason))

    async def find_conflict(self, action: Action, *, repeat: bool) -> Entry | LimitExceeded | None:
        """Find what would keep the action from being reserved, without writing anything."""
        new_entry, limits = self._new_entry(action), self._policy.limits
        return await self._ledger.run(lambda ledger: ledger.find_conflict(new_entry, limits, repeat=repeat))

    async def record_question(self, action: Action, *, repeat: bool) -> Question:
        """Write down that a person is asked to approve the action."""
        new_entry = self._new_entry(action)
        return await self._ledger.run(lambda ledger: ledger.record_question(new_entry, repeat=repeat))

    async def open_question(self, action: Action) -> Question | None:
        """Find the latest question about the action that is not answered yet."""
        new_entry = self._new_entry(action)
        return await self._ledger.run(lambda ledger: ledger.open_question(new_entry))

    async def _wait_and_reserve(self, action: Action, new_entry: NewEntry, *, repeat: bool) -> int | Entry:
        give_up_at = self._clock() + _WAIT_FOR_FIRST
        are_costs_current = is_undecidable = False
        while True:
            reserved = await self._try_to_reserve(action, new_entry, repeat=repeat)
            if isinstance(reserved, LimitExceeded):
                if not reserved.limit.is_money or are_costs_current:
                    raise Refused(reserved.message(self._clock()))
                # A call counts with an estimate until its duration is known: the true costs may leave room.
                await self._reconciler.reconcile_costs()
                new_entry = self._new_entry(action)
                are_costs_current = True
            elif not isinstance(reserved, Entry) or reserved.outcome == "done" or is_undecidable:
                return reserved
            elif reserved.outcome == "unknown":
                is_undecidable = await self._reconciler.reconcile(reserved) is None
            elif self._clock() > give_up_at:
                raise Refused(refusals.under_way(reserved, action, self._clock()))
            else:
                await anyio.sleep(_POLL_INTERVAL)

    async def _try_to_reserve(
        self, action: Action, new_entry: NewEntry, *, repeat: bool
    ) -> int | Entry | LimitExceeded:
        if not self._needs_person(action) or action.approval.answer == "yes":
            limits, within = self._policy.limits, self._policy.seconds_to_write
            return await self._ledger.run(
                lambda ledger: ledger.reserve(new_entry, limits, repeat=repeat, within=within)
            )
        conflict = await self.find_conflict(action, repeat=repeat)
        if conflict is None:
            raise Refused(refusals.not_approved(action.approval))
        return conflict

    def _needs_person(self, action: Action) -> bool:
        return self._policy.requires_human_approval and action.needs_approval

    def _new_entry(self, action: Action) -> NewEntry:
        how = "person" if action.approval.answer == "yes" else "confirm"
        longest = self._reconciler.longest_call
        return NewEntry(
            account=self._reconciler.account,
            tool=action.tool,
            fingerprint=action.fingerprint,
            target=action.target,
            # What a person agreed to is kept as they read it.
            summary=action.question if self._needs_person(action) else action.summary,
            cost=cost_of_call(action.cost.micros, action.cost.minute_micros, longest),
            minute_cost=action.cost.minute_micros,
            to_number=action.to_number,
            match_on=action.match_on,
            preview_hash=action.preview_hash,
            is_repeatable=action.is_repeatable,
            one_of=action.one_of,
            approved_by=action.approval.by,
            approved_how=how if action.needs_approval else "not needed",
            question=action.approval.question,
            longest_call=longest,
        )


def _record_replay(earlier: Entry, action: Action, ledger: "Ledger") -> None:
    """Write down that the earlier action is reported now, and close the question that approved this one."""
    if earlier.outcome == "done":
        ledger.mark_reported(earlier)
    if action.approval.question is not None and action.approval.answer == "yes":
        ledger.close_question(
            action.approval.question, f"agreed to, but row {earlier.id} is the same and {earlier.outcome}"
        )
