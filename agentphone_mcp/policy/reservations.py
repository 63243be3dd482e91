"""A place in the ledger for an action, once all that stands in its way is told: policy, limits, the same action, unresolved."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.records import Entry, NewEntry, Question
from agentphone_mcp.policy.limits import Limit, LimitExceeded
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.reconciliation import Reconciler

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

_WAIT_FOR_FIRST = 20.0
"""Seconds that a second action waits for the same one under way; hosts give up on a tool after a minute."""
_LOOK_AGAIN = 0.1


class Reservations:
    """Reserves actions in the ledger of one account; every method may raise `LedgerUnavailable`.

    Args:
        policy: what is allowed.
        reconciler: the account's ledger, and how it is settled.
        clock: seconds since the epoch.
    """

    def __init__(self, policy: Policy, reconciler: Reconciler, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy
        self._reconciler = reconciler
        self._ledger = reconciler.ledger
        self._clock = clock

    def check_destination(self, action: Action) -> None:
        """Refuse to reach whom the policy do not allow.

        Raises:
            Refused: with the rule.
        """
        if action.to_number is not None:
            self._policy.destinations.check(action.to_number)

    async def reserve(self, action: Action, *, repeat: bool) -> int | Entry:
        """Write down what is about to be done, or find the earlier action that it repeats.

        Raises:
            Refused: if it may not be done; that is written down too.
        """
        new_entry = self._intent(action)
        try:
            self.check_destination(action)
            found = await self._wait_and_make(action, new_entry, repeat=repeat)
            if isinstance(found, Entry):
                await self._ledger.run(partial(_tell, found, action))
                if found.outcome == "done" and found.fingerprint != action.fingerprint:
                    raise Refused(refusals.reworded(found, self._clock()))
            return found
        except LimitExceeded as reached:
            no = Refused(refusals.limit_exceeded(reached, action.cost.micros, self._clock()))
        except Refused as refused:
            no = refused
        await self._ledger.run(lambda ledger: ledger.refuse(new_entry, str(no)))
        raise no

    async def refuse(self, action: Action, reason: str) -> None:
        """Write down what was not done, and why."""
        new_entry = self._intent(action)
        await self._ledger.run(lambda ledger: ledger.refuse(new_entry, reason))

    async def find_conflict(self, action: Action, *, repeat: bool) -> Entry | LimitExceeded | None:
        """What the reservation would meet; nothing is written."""
        new_entry, met = self._intent(action), self._limits(action)
        return await self._ledger.run(lambda ledger: ledger.find_conflict(new_entry, met, repeat=repeat))

    async def record_question(self, action: Action, *, repeat: bool) -> Question:
        """Write down that a person is asked."""
        new_entry = self._intent(action)
        return await self._ledger.run(lambda ledger: ledger.record_question(new_entry, repeat=repeat))

    async def open_question(self, action: Action) -> Question | None:
        """The question that was asked and not answered."""
        new_entry = self._intent(action)
        return await self._ledger.run(lambda ledger: ledger.open_question(new_entry))

    async def _wait_and_make(self, action: Action, new_entry: NewEntry, *, repeat: bool) -> int | Entry:
        give_up_at = self._clock() + _WAIT_FOR_FIRST
        costs_are_settled = is_undecidable = False
        while True:
            try:
                found = await self._try_to_make(action, new_entry, repeat=repeat)
            except LimitExceeded as reached:
                if not reached.limit.is_money or costs_are_settled:
                    raise
                # Calls are taken to be long until their seconds are known.
                await self._reconciler.reconcile_costs()
                costs_are_settled = True
                continue
            if not isinstance(found, Entry) or found.outcome == "done" or is_undecidable:
                return found
            if found.outcome == "unknown":
                is_undecidable = await self._reconciler.reconcile(found) is None
            elif self._clock() > give_up_at:
                raise Refused(refusals.under_way(found, self._clock()))
            else:
                await anyio.sleep(_LOOK_AGAIN)

    async def _try_to_make(self, action: Action, new_entry: NewEntry, *, repeat: bool) -> int | Entry:
        if not self._policy.requires_human_approval or action.approval.answer == "yes":
            limits, within = self._limits(action), self._policy.seconds_to_write
            return await self._ledger.run(
                lambda ledger: ledger.reserve(new_entry, limits, repeat=repeat, within=within)
            )
        match await self.find_conflict(action, repeat=repeat):
            case Entry() as earlier:
                return earlier
            case LimitExceeded() as reached:
                raise reached
            case None:
                raise Refused(refusals.not_approved(action.approval))

    def _limits(self, action: Action) -> list[Limit]:
        return self._policy.limits.applicable_to(action.tool, action.cost.micros)

    def _intent(self, action: Action) -> NewEntry:
        return NewEntry(
            account=self._reconciler.account,
            tool=action.tool,
            fingerprint=action.fingerprint,
            target=action.target,
            summary=action.summary,
            cost=action.cost.micros,
            minute_cost=action.cost.minute_micros,
            to_number=action.to_number,
            match_on=action.match_on,
            preview_hash=action.preview_hash,
            is_repeatable=action.confirmation is None,
            approved_by=action.approval.by,
            approved_how="person" if action.approval.answer == "yes" else "confirm",
            question=action.approval.question,
        )


def _tell(earlier: Entry, action: Action, ledger: "Ledger") -> None:
    """Write down that somebody hears of the earlier action now, and what became of a yes that was given to this one."""
    if earlier.outcome == "done":
        ledger.mark_reported(earlier)
    if action.approval.question is not None and action.approval.answer == "yes":
        ledger.close_question(
            action.approval.question, f"agreed to, but row {earlier.id} is the same and {earlier.outcome}"
        )
