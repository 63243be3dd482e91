"""The one door that every tool that spends or destroys goes through."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from pydantic import BaseModel, ConfigDict

from agentphone_mcp.api.errors import ApiError, OutcomeUnknown
from agentphone_mcp.api.models import ApiModel
from agentphone_mcp.api.redaction import SecretText
from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Action, Outcome, Result
from agentphone_mcp.policy.errors import AnsweredBefore, Refused
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import Entry, Question, Settled
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.reconciliation import Reconciler
from agentphone_mcp.policy.reservations import Reservations

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

_NAMES_OF_IDS = ("id", "call_id", "conversation_id", "phone_number")

logger = logging.getLogger(__name__)


class Earlier(BaseModel):
    """A result as it was kept in the ledger."""

    model_config = ConfigDict(extra="allow")


class Gate:
    """Carries out confirmed actions, once, and explains the others.

    Args:
        policy: what is allowed.
        reconciler: the account's ledger, and how it is settled.
        clock: seconds since the epoch.
    """

    def __init__(self, policy: Policy, reconciler: Reconciler, clock: Callable[[], float] = time.time) -> None:
        self.policy = policy
        self._reservations = Reservations(policy, reconciler, clock)
        self._reconciler = reconciler
        self._ledger = reconciler.ledger
        self._clock = clock

    async def execute(
        self, action: Action, confirm: bool | str | None, do: Callable[[], Awaitable[Result]], *, repeat: bool = False
    ) -> Outcome[Result]:
        """Do it if it was confirmed and nothing stands in its way; say what would happen if not.

        Args:
            action: what it is.
            confirm: the tool's argument: exactly True, or the action's confirmation where it has one.
            do: the write; called once at most, and never before the confirmation.
            repeat: whether it is wanted although the same was done.

        Returns:
            `unknown` when the answer to the write was lost: it may have happened. `replayed` when the same was done
            before, and not now.

        Raises:
            Refused: when a rule forbids it, `confirm` names another thing than the one that would be destroyed, the
                same is still under way, or the ledger cannot be written.
        """
        if action.is_free:
            return await _do_freely(action, do)
        if confirm is None or confirm is False:
            self._reservations.check_destination(action)
            return await self._preview(action, repeat=repeat)
        if not action.is_confirmed(confirm):
            await self._note_refusal(action, "confirm does not match")
            raise Refused(f"Nothing was done: confirm does not match. {action.summary} {action.how_to_confirm()}")
        try:
            reserved = await self._reservations.reserve(action, repeat=repeat)
        except LedgerUnavailable as broken:
            logger.error("nothing is spent, as the ledger cannot be written: %s", broken)
            raise Refused(refusals.ledger_unavailable(broken, to_operator=not self.policy.is_shared)) from broken
        if isinstance(reserved, Entry):
            return self._as_before(reserved, action)
        return await self._do(action, reserved, do)

    async def confirmation_request(
        self, action: Action, confirm: bool | str | None, *, repeat: bool, is_answering: bool
    ) -> Question | None:
        """What a person must be asked before a confirmed action; None where nothing would come of it anyway.

        Args:
            action: what it is.
            confirm: the tool's argument.
            repeat: whether it is wanted although the same was done.
            is_answering: whether the host comes back with an answer: then it is the question that was asked.

        Raises:
            Refused: when that question was answered before, or the action is not any more what it was about.
        """
        if not self.policy.requires_human_approval or action.is_free or not action.is_confirmed(confirm):
            return None
        try:
            self._reservations.check_destination(action)
            if await self._reservations.find_conflict(action, repeat=repeat):
                return None
            asked = await (
                self._reservations.open_question(action)
                if is_answering
                else self._reservations.record_question(action, repeat=repeat)
            )
        except (Refused, LedgerUnavailable):
            # `execute` meets the same, and says so.
            return None
        if asked is None:
            raise AnsweredBefore
        if not asked.is_complete:
            raise Refused("Nothing was done: it is too long to be shown to your user as a whole. Shorten its texts.")
        if asked.preview_hash != action.preview_hash:
            raise Refused(refusals.changed(action))
        return asked

    def is_too_late(self, question: Question) -> bool:
        """Whether an answer to it counts no more."""
        return self._clock() - question.at > self.policy.seconds_to_answer

    async def _note_refusal(self, action: Action, reason: str) -> None:
        try:
            await self._reservations.refuse(action, reason)
        except LedgerUnavailable as broken:
            logger.warning("a refusal could not be written down: %s", broken)

    async def _preview(self, action: Action, *, repeat: bool) -> Outcome[Any]:
        how = action.how_to_confirm()
        try:
            met = await self._reservations.find_conflict(action, repeat=repeat)
        except LedgerUnavailable as broken:
            logger.warning("a preview could not look into the ledger: %s", broken)
            met = None
        if isinstance(met, Entry):
            how = f"{_said_of(met, action, self._clock())} {how}"
        elif met is not None:
            how = f"As things stand it would be refused. {refusals.limit_exceeded(met, action.cost.micros, self._clock())}"
        return Outcome(status="needs_confirmation", what=action.summary, next_step=how)

    async def _do(self, action: Action, row: int, do: Callable[[], Awaitable[Result]]) -> Outcome[Result]:
        """Do what was reserved. It is not given up half-way: what was sent may happen, and then its answer counts."""
        try:
            await checkpoint_if_cancelled()
            await _check_that_nothing_changed(action)
        except Exception as changed:
            await self._settle(row, "failed", reason=_reason_of(changed))
            raise
        except BaseException:
            await self._settle(row, "failed", reason="cancelled before anything was sent")
            raise
        with CancelScope(shield=True):
            return await self._do_and_settle(action, row, do)
        raise AssertionError("unreachable: nothing is cancelled in there")

    async def _do_and_settle(self, action: Action, row: int, do: Callable[[], Awaitable[Result]]) -> Outcome[Result]:
        try:
            result = await do()
        except OutcomeUnknown as lost:
            said = _said_by(lost)
            await self._settle(row, "unknown", reason=said)
            self._reconciler.notify()
            return _lost(action, said)
        except BaseException as failure:
            # What the API refused did not happen; of a bug of ours nobody knows when it struck.
            outcome = "failed" if isinstance(failure, ApiError) else "unknown"
            await self._settle(row, outcome, reason=_reason_of(failure))
            raise
        ids = {name: str(value) for name, value in result if name in _NAMES_OF_IDS and value}
        await self._settle(row, "done", ids=ids, result=_kept(result))
        if action.cost.minute_micros is not None:
            self._reconciler.notify()
        return Outcome(status="done", what=action.summary, result=result, next_step=action.next_step)

    async def _settle(self, row: int, outcome: Settled, **came_of_it: Any) -> None:
        """Write down what came of it; that this fails must not hide it from whoever waits for the answer."""

        def settle(ledger: "Ledger") -> None:
            ledger.settle(row, outcome, **came_of_it)

        try:
            with CancelScope(shield=True):
                await self._ledger.run(settle)
        except LedgerUnavailable as broken:
            logger.error("row %d of the ledger is not settled yet, although it is %s: %s", row, outcome, broken)
            self._reconciler.write_later(settle)

    def _as_before(self, earlier: Entry, action: Action) -> Outcome[Any]:
        said = _said_of(earlier, action, self._clock())
        if earlier.outcome != "done":
            return Outcome(status="unknown", what=action.summary, replayed=True, next_step=said)
        if earlier.ids and not earlier.result:
            said = f"It has the id {', '.join(earlier.ids.values())}. {said}"
        # Sent as it was, whichever model it once had.
        kept = Earlier.model_validate(earlier.result) if earlier.result else None
        return Outcome[Any].model_construct(
            status="done", what=earlier.summary, replayed=True, result=kept, next_step=said
        )


async def _check_that_nothing_changed(action: Action) -> None:
    """See that an action is still what somebody agreed to: they may have been asked, or waited for, minutes ago.

    Raises:
        Refused: if it is not.
        ApiError: if that cannot be told.
    """
    if action.refresh is None or (action.confirmation is None and action.approval.answer != "yes"):
        return
    now = await action.refresh()
    if now.preview_hash != action.preview_hash:
        raise Refused(refusals.changed(now))


async def _do_freely(action: Action, do: Callable[[], Awaitable[Result]]) -> Outcome[Result]:
    try:
        return Outcome(status="done", what=action.summary, result=await do(), next_step=action.next_step)
    except OutcomeUnknown as lost:
        return _lost(action, _said_by(lost))


def _kept(result: BaseModel) -> dict[str, Any] | None:
    """What of a result may be kept: nothing with a secret, which is shown once, and no words of strangers."""
    if any(isinstance(value, SecretText) for _, value in result):
        return None
    strangers = {*result.untrusted_fields()} if isinstance(result, ApiModel) else set[str]()
    return result.model_dump(mode="json", exclude_none=True, exclude=strangers)


def _lost(action: Action, said: str) -> Outcome[Any]:
    return Outcome(
        status="unknown",
        what=action.summary,
        next_step=f"It may or may not have happened ({said}). Look with {action.verify_with} before anything else; do not "
        "just repeat it.",
    )


def _reason_of(failure: BaseException) -> str:
    return str(failure) or type(failure).__name__


def _said_by(lost: OutcomeUnknown) -> str:
    said = f"{lost.status} {lost.detail}".strip() if lost.status else lost.detail
    return f"{said}, request id {lost.request_id}" if lost.request_id else said


def _said_of(earlier: Entry, action: Action, now: float) -> str:
    match earlier.outcome:
        case "done":
            return refusals.replayed(earlier, action, now)
        case "pending":
            return refusals.under_way(earlier, now)
        case _:
            return refusals.still_unknown(earlier, action, now)
