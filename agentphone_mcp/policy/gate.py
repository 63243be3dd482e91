"""Execute what spends, reaches people or destroys: only if confirmed, allowed and not done before."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from pydantic import BaseModel, ConfigDict

from agentphone_mcp.api.errors import ApiError, OutcomeUnknown
from agentphone_mcp.api.provenance import Words, foreign_fields
from agentphone_mcp.api.redaction import SecretText
from agentphone_mcp.policy import refusal_messages as refusals
from agentphone_mcp.policy.actions import Action, Outcome, Result
from agentphone_mcp.policy.errors import AnsweredBefore, Refused
from agentphone_mcp.policy.ledger.location import LedgerUnavailable
from agentphone_mcp.policy.ledger.records import LONGEST_SUMMARY, Entry, Question, Settled
from agentphone_mcp.policy.policy import Policy
from agentphone_mcp.policy.previews import Previews
from agentphone_mcp.policy.reconciliation import Reconciler
from agentphone_mcp.policy.reservations import Reservations
from agentphone_mcp.policy.untrusted import mark

if TYPE_CHECKING:
    from agentphone_mcp.policy.ledger.ledger import Ledger

_ID_FIELDS = ("id", "call_id", "conversation_id", "phone_number")

logger = logging.getLogger(__name__)


class StoredResult(BaseModel):
    """Hold a result as the ledger kept it, without the words of strangers."""

    model_config = ConfigDict(extra="allow")
    words_of_extra_fields: ClassVar[Words] = Words.ACCOUNT


class Gate:
    """Executes confirmed actions once, and previews the others; the clock gives seconds since the epoch."""

    def __init__(self, policy: Policy, reconciler: Reconciler, clock: Callable[[], float] = time.time) -> None:
        self.policy = policy
        self._reservations = Reservations(policy, reconciler, clock)
        self._reconciler = reconciler
        self._ledger = reconciler.ledger
        self._clock = clock
        self._previews = Previews()

    async def execute(
        self, action: Action, confirm: bool | str | None, do: Callable[[], Awaitable[Result]], *, repeat: bool = False
    ) -> Outcome[Result]:
        """Execute an action if it is confirmed and nothing forbids it; otherwise preview it.

        Args:
            confirm: the tool's argument: exactly True, or the action's confirmation where it has one.
            do: the write; called at most once, and never before the confirmation.
            repeat: whether to do it although the same was done.

        Returns:
            `unknown` if the answer to the write was lost: it may have happened. `replayed` if the same was done before,
            and not now.

        Raises:
            Refused: if a rule forbids it, `confirm` does not match, the same action is pending, or the ledger cannot
                be written.
        """
        if action.is_free:
            return await _do_freely(action, do)
        if action.needs_approval:
            if confirm is None or confirm is False:
                self._reservations.check_destination(action)
                return await self._preview(action, repeat=repeat)
            if not action.is_confirmed(confirm):
                await self.refuse(action, "confirm does not match")
                raise Refused(f"Nothing was done: confirm does not match. {action.summary} {action.how_to_confirm()}")
            if action.approval.answer != "yes" and self._previews.has_changed(action):
                self._previews.remember(action)
                await self.refuse(action, "it had changed since it was shown")
                raise Refused(refusals.changed(action))
        try:
            reserved = await self._reservations.reserve(action, repeat=repeat)
        except LedgerUnavailable as exc:
            logger.error("nothing is spent, as the ledger cannot be written: %s", exc)
            raise Refused(refusals.ledger_unavailable(exc, to_operator=not self.policy.is_shared)) from exc
        if isinstance(reserved, Entry):
            return self._replay(reserved, action)
        return await self._do(action, reserved, do)

    async def confirmation_request(
        self, action: Action, confirm: bool | str | None, *, repeat: bool, is_answering: bool
    ) -> Question | None:
        """Return the question to ask a person before a confirmed action; None if it would not be executed anyway.

        When the host returns with an answer, it is the question that was asked.

        Raises:
            Refused: if that question was answered before, or the action has changed since.
        """
        is_asked = self.policy.requires_human_approval and action.needs_approval
        if not is_asked or not action.is_confirmed(confirm):
            return None
        try:
            self._reservations.check_destination(action)
            if await self._reservations.find_conflict(action, repeat=repeat):
                return None
            is_readable = len(action.question) <= LONGEST_SUMMARY
            question = (
                await (
                    self._reservations.open_question(action)
                    if is_answering
                    else self._reservations.record_question(action, repeat=repeat)
                )
                if is_readable
                else None
            )
        except (Refused, LedgerUnavailable):
            # `execute` raises the same.
            return None
        if not is_readable:
            await self.refuse(action, "too long to be shown to a person as a whole")
            raise Refused(refusals.too_long(action))
        if question is None:
            raise AnsweredBefore
        if question.preview_hash != action.preview_hash:
            raise Refused(refusals.changed(action))
        return question

    async def refuse(self, action: Action, reason: str) -> None:
        """Write down that an action was refused, and why; a ledger that fails is logged."""
        try:
            await self._reservations.refuse(action, reason)
        except LedgerUnavailable as exc:
            logger.warning("a refusal could not be written down: %s", exc)

    def is_too_late(self, question: Question) -> bool:
        """Tell whether an answer to the question comes too late to count."""
        return self._clock() - question.at > self.policy.seconds_to_answer

    async def hang_up_note(self, call_id: str) -> str | None:
        """Say that the server hung up a call, as a limit was used up; None if it did not."""
        if not self._ledger.may_exist:
            return None
        account = self._reconciler.account
        try:
            told = await self._ledger.run(lambda ledger: ledger.calls.hang_up_of(account, call_id))
        except LedgerUnavailable as exc:
            logger.info("cannot tell whether call %s was hung up: %s", call_id, exc)
            return None
        return told and refusals.hung_up(told)

    async def _preview(self, action: Action, *, repeat: bool) -> Outcome[Any]:
        how = action.how_to_confirm()
        try:
            conflict = await self._reservations.find_conflict(action, repeat=repeat)
        except LedgerUnavailable as exc:
            logger.warning("a preview could not look into the ledger: %s", exc)
            conflict = None
        if isinstance(conflict, Entry):
            how = f"{_explain_earlier(conflict, action, self._clock())} {how}"
        elif conflict is not None:
            how = f"As things stand it would be refused. {conflict.message(self._clock())}"
        self._previews.remember(action)
        return Outcome(status="needs_confirmation", what=action.summary, next_step=how)

    async def _do(self, action: Action, row: int, do: Callable[[], Awaitable[Result]]) -> Outcome[Result]:
        """Do what was reserved; once it is sent it is not cancelled any more, as it may happen anyway."""
        try:
            await checkpoint_if_cancelled()
            await _check_unchanged(action)
        except Exception as exc:
            await self._settle(row, "failed", reason=_reason_of(exc))
            raise
        except BaseException:
            await self._settle(row, "failed", reason="cancelled before anything was sent")
            raise
        with CancelScope(shield=True):
            return await self._do_and_settle(action, row, do)
        raise AssertionError("unreachable: the scope is shielded")

    async def _do_and_settle(self, action: Action, row: int, do: Callable[[], Awaitable[Result]]) -> Outcome[Result]:
        try:
            result = await do()
        except OutcomeUnknown as exc:
            reason = _describe_lost_answer(exc)
            await self._settle(row, "unknown", reason=reason)
            self._reconciler.notify()
            return _unknown(action, _describe_lost_answer(exc, mark))
        except BaseException as exc:
            # What the API refused did not happen; a bug of ours may have struck before or after the write.
            outcome = "failed" if isinstance(exc, ApiError) else "unknown"
            await self._settle(row, outcome, reason=_reason_of(exc))
            raise
        ids = {name: str(value) for name, value in result if name in _ID_FIELDS and value}
        await self._settle(row, "done", ids=ids, result=_storable(result))
        if action.cost.minute_micros is not None:
            self._reconciler.notify()
        return Outcome(status="done", what=action.summary, result=result, next_step=action.next_step)

    async def _settle(self, row: int, outcome: Settled, **details: Any) -> None:
        """Write down the outcome, later if the ledger fails now: the caller must get the answer all the same."""

        def settle(ledger: "Ledger") -> None:
            ledger.settle(row, outcome, **details)

        try:
            with CancelScope(shield=True):
                await self._ledger.run(settle)
        except LedgerUnavailable as exc:
            logger.error("row %d of the ledger is not settled yet, although it is %s: %s", row, outcome, exc)
            self._reconciler.write_later(settle)

    def _replay(self, earlier: Entry, action: Action) -> Outcome[Any]:
        text = _explain_earlier(earlier, action, self._clock())
        if earlier.outcome != "done":
            return Outcome(status="unknown", what=action.summary, replayed=True, next_step=text)
        if earlier.ids and not earlier.result:
            text = f"It has the id {', '.join(earlier.ids.values())}. {text}"
        # Not validated again, as the model of the result may have changed since.
        result = StoredResult.model_validate(earlier.result) if earlier.result else None
        return Outcome[Any].model_construct(
            status="done", what=refusals.shortened(earlier.summary), replayed=True, result=result, next_step=text
        )


async def _check_unchanged(action: Action) -> None:
    """Check right before the write that an action is what was agreed to, perhaps minutes ago.

    Of two that change the same at once, the second is described by what the first has left.

    Raises:
        Refused: if it has changed.
        ApiError: if the API does not say.
    """
    was_approved = action.confirmation is not None or action.approval.answer == "yes"
    if action.refresh is None or not (was_approved or action.one_of):
        return
    now = await action.refresh()
    if now.preview_hash != action.preview_hash:
        raise Refused(refusals.changed(now))


async def _do_freely(action: Action, do: Callable[[], Awaitable[Result]]) -> Outcome[Result]:
    try:
        return Outcome(status="done", what=action.summary, result=await do(), next_step=action.next_step)
    except OutcomeUnknown as exc:
        return _unknown(action, _describe_lost_answer(exc, mark))


def _storable(result: BaseModel) -> dict[str, Any] | None:
    """Dump a result for the ledger without untrusted text; None if it holds a secret, which is shown only once."""
    if any(isinstance(value, SecretText) for _, value in result):
        return None
    return result.model_dump(mode="json", exclude_none=True, exclude=foreign_fields(result))


def _unknown(action: Action, reason: str) -> Outcome[Any]:
    return Outcome(
        status="unknown",
        what=action.summary,
        next_step=f"It may or may not have happened ({reason}). Look with {action.verify_with} before anything else; "
        "do not just repeat it.",
    )


def _reason_of(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__


def _describe_lost_answer(exc: OutcomeUnknown, quote: Callable[[str], str] = str) -> str:
    """Say what came instead of an answer; what the API wrote is quoted with `quote`, for the model as a mark."""
    detail = f"{exc.status} {quote(exc.detail)}".strip() if exc.status else exc.detail
    return f"{detail}, request id {exc.request_id}" if exc.request_id else detail


def _explain_earlier(earlier: Entry, action: Action, now: float) -> str:
    match earlier.outcome:
        case "done":
            return refusals.replayed(earlier, action, now)
        case "pending":
            return refusals.under_way(earlier, action, now)
        case _:
            return refusals.still_unknown(earlier, action, now)
