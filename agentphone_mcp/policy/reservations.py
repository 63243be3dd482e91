"""A place in the ledger for an action, once all that stands in its way is told: rules, caps, the same action, doubts."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Action
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.records import Entry, Intent, Question
from agentphone_mcp.policy.limits import Cap, CapReached
from agentphone_mcp.policy.reconciliation import Settler
from agentphone_mcp.policy.rules import Rules

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

_WAIT_FOR_FIRST = 20.0
"""Seconds that a second action waits for the same one under way; hosts give up on a tool after a minute."""
_LOOK_AGAIN = 0.1


class Reservations:
    """Reserves actions in the ledger of one account; every method may raise `LedgerUnavailable`.

    Args:
        rules: what is allowed.
        settler: the account's ledger, and how it is settled.
        clock: seconds since the epoch.
    """

    def __init__(self, rules: Rules, settler: Settler, clock: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._settler = settler
        self._ledger = settler.ledger
        self._clock = clock

    def check_destination(self, action: Action) -> None:
        """Refuse to reach whom the rules do not allow.

        Raises:
            Refused: with the rule.
        """
        if action.to_number is not None:
            self._rules.destinations.check(action.to_number)

    async def make(self, action: Action, *, repeat: bool) -> int | Entry:
        """Write down what is about to be done, or find the earlier action that it repeats.

        Raises:
            Refused: if it may not be done; that is written down too.
        """
        intent = self._intent(action)
        try:
            self.check_destination(action)
            found = await self._wait_and_make(action, intent, repeat=repeat)
            if isinstance(found, Entry):
                await self._ledger.run(partial(_tell, found, action))
                if found.outcome == "done" and found.fingerprint != action.fingerprint:
                    raise Refused(refusals.reworded(found, self._clock()))
            return found
        except CapReached as reached:
            no = Refused(refusals.cap_reached(reached, action.cost.micros, self._clock()))
        except Refused as refused:
            no = refused
        await self._ledger.run(lambda ledger: ledger.refuse(intent, str(no)))
        raise no

    async def refuse(self, action: Action, reason: str) -> None:
        """Write down what was not done, and why."""
        intent = self._intent(action)
        await self._ledger.run(lambda ledger: ledger.refuse(intent, reason))

    async def in_the_way(self, action: Action, *, repeat: bool) -> Entry | CapReached | None:
        """What the reservation would meet; nothing is written."""
        intent, met = self._intent(action), self._caps(action)
        return await self._ledger.run(lambda ledger: ledger.stands_in_the_way(intent, met, repeat=repeat))

    async def ask(self, action: Action, *, repeat: bool) -> Question:
        """Write down that a person is asked."""
        intent = self._intent(action)
        return await self._ledger.run(lambda ledger: ledger.ask(intent, repeat=repeat))

    async def asked(self, action: Action) -> Question | None:
        """The question that was asked and not answered."""
        intent = self._intent(action)
        return await self._ledger.run(lambda ledger: ledger.asked(intent))

    async def _wait_and_make(self, action: Action, intent: Intent, *, repeat: bool) -> int | Entry:
        give_up_at = self._clock() + _WAIT_FOR_FIRST
        costs_are_settled = cannot_be_told = False
        while True:
            try:
                found = await self._try_to_make(action, intent, repeat=repeat)
            except CapReached as reached:
                if not reached.cap.is_money or costs_are_settled:
                    raise
                # Calls are taken to be long until their seconds are known.
                await self._settler.settle_costs()
                costs_are_settled = True
                continue
            if not isinstance(found, Entry) or found.outcome == "done" or cannot_be_told:
                return found
            if found.outcome == "unknown":
                cannot_be_told = await self._settler.settle(found) is None
            elif self._clock() > give_up_at:
                raise Refused(refusals.under_way(found, self._clock()))
            else:
                await anyio.sleep(_LOOK_AGAIN)

    async def _try_to_make(self, action: Action, intent: Intent, *, repeat: bool) -> int | Entry:
        if not self._rules.needs_person or action.approval.answer == "yes":
            caps, within = self._caps(action), self._rules.seconds_to_write
            return await self._ledger.run(lambda ledger: ledger.reserve(intent, caps, repeat=repeat, within=within))
        match await self.in_the_way(action, repeat=repeat):
            case Entry() as earlier:
                return earlier
            case CapReached() as reached:
                raise reached
            case None:
                raise Refused(refusals.not_approved(action.approval))

    def _caps(self, action: Action) -> list[Cap]:
        return self._rules.limits.on(action.tool, action.cost.micros)

    def _intent(self, action: Action) -> Intent:
        return Intent(
            account=self._settler.account,
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
        ledger.tell(earlier)
    if action.approval.question is not None and action.approval.answer == "yes":
        ledger.close_question(
            action.approval.question, f"agreed to, but row {earlier.id} is the same and {earlier.outcome}"
        )
