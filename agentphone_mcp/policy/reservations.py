"""A place in the ledger for a deed, once all that stands in its way is told: rules, caps, the same deed, doubts."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Deed
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.records import Entry, Intent, Question
from agentphone_mcp.policy.limits import Cap, CapReached
from agentphone_mcp.policy.reconciliation import Settler
from agentphone_mcp.policy.rules import Rules

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

_WAIT_FOR_FIRST = 20.0
"""Seconds that a second deed waits for the same one under way; hosts give up on a tool after a minute."""
_LOOK_AGAIN = 0.1


class Reservations:
    """Reserves deeds in the ledger of one account; every method may raise `LedgerUnavailable`.

    Args:
        rules: what is allowed.
        settler: the account's ledger, and how it is settled.
        clock: seconds since the epoch.
    """

    def __init__(self, rules: Rules, settler: Settler, clock: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._settler = settler
        self._books = settler.books
        self._clock = clock

    def check_destination(self, deed: Deed) -> None:
        """Refuse to reach whom the rules do not allow.

        Raises:
            Refused: with the rule.
        """
        if deed.to_number is not None:
            self._rules.destinations.check(deed.to_number)

    async def make(self, deed: Deed, *, repeat: bool) -> int | Entry:
        """Write down what is about to be done, or find the earlier deed that it repeats.

        Raises:
            Refused: if it may not be done; that is written down too.
        """
        intent = self._intent(deed)
        try:
            self.check_destination(deed)
            found = await self._wait_and_make(deed, intent, repeat=repeat)
            if isinstance(found, Entry):
                await self._books.ask(partial(_tell, found, deed))
                if found.outcome == "done" and found.fingerprint != deed.fingerprint:
                    raise Refused(refusals.reworded(found, self._clock()))
            return found
        except CapReached as reached:
            no = Refused(refusals.cap_reached(reached, deed.cost.micros, self._clock()))
        except Refused as refused:
            no = refused
        await self._books.ask(lambda ledger: ledger.refuse(intent, str(no)))
        raise no

    async def refuse(self, deed: Deed, reason: str) -> None:
        """Write down what was not done, and why."""
        intent = self._intent(deed)
        await self._books.ask(lambda ledger: ledger.refuse(intent, reason))

    async def in_the_way(self, deed: Deed, *, repeat: bool) -> Entry | CapReached | None:
        """What the reservation would meet; nothing is written."""
        intent, met = self._intent(deed), self._caps(deed)
        return await self._books.ask(lambda ledger: ledger.stands_in_the_way(intent, met, repeat=repeat))

    async def ask(self, deed: Deed, *, repeat: bool) -> Question:
        """Write down that a person is asked."""
        intent = self._intent(deed)
        return await self._books.ask(lambda ledger: ledger.ask(intent, repeat=repeat))

    async def asked(self, deed: Deed) -> Question | None:
        """The question that was asked and not answered."""
        intent = self._intent(deed)
        return await self._books.ask(lambda ledger: ledger.asked(intent))

    async def _wait_and_make(self, deed: Deed, intent: Intent, *, repeat: bool) -> int | Entry:
        give_up_at = self._clock() + _WAIT_FOR_FIRST
        costs_are_settled = cannot_be_told = False
        while True:
            try:
                found = await self._try_to_make(deed, intent, repeat=repeat)
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

    async def _try_to_make(self, deed: Deed, intent: Intent, *, repeat: bool) -> int | Entry:
        if not self._rules.needs_person or deed.approval.answer == "yes":
            caps, within = self._caps(deed), self._rules.seconds_to_write
            return await self._books.ask(lambda ledger: ledger.reserve(intent, caps, repeat=repeat, within=within))
        match await self.in_the_way(deed, repeat=repeat):
            case Entry() as earlier:
                return earlier
            case CapReached() as reached:
                raise reached
            case None:
                raise Refused(refusals.not_approved(deed.approval))

    def _caps(self, deed: Deed) -> list[Cap]:
        return self._rules.limits.on(deed.tool, deed.cost.micros)

    def _intent(self, deed: Deed) -> Intent:
        return Intent(
            account=self._settler.account,
            tool=deed.tool,
            fingerprint=deed.fingerprint,
            subject=deed.subject,
            what=deed.what,
            cost=deed.cost.micros,
            minute_cost=deed.cost.minute_micros,
            to_number=deed.to_number,
            clues=deed.clues,
            essence=deed.essence,
            is_repeatable=deed.proof is None,
            approved_by=deed.approval.by,
            approved_how="person" if deed.approval.answer == "yes" else "confirm",
            question=deed.approval.question,
        )


def _tell(earlier: Entry, deed: Deed, ledger: "Ledger") -> None:
    """Write down that somebody hears of the earlier deed now, and what became of a yes that was given to this one."""
    if earlier.outcome == "done":
        ledger.tell(earlier)
    if deed.approval.question is not None and deed.approval.answer == "yes":
        ledger.close_question(
            deed.approval.question, f"agreed to, but row {earlier.id} is the same and {earlier.outcome}"
        )
