"""Give a gated tool its action: described by the server, and approved by a person where that is required.

The model sees neither the action nor the question; it can only pass `confirm`. With `AGENTPHONE_APPROVAL=human` the
host asks its user: during the call in protocol versions before 2026-07-28, between two calls from then on.
"""

import functools
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, cast

import anyio
from mcp.server.elicitation import CancelledElicitation, ElicitationResult
from mcp.server.mcpserver import Context, Resolve
from mcp.server.mcpserver.resolve import Elicit, find_resolved_parameters
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitResult
from mcp_types.version import is_version_at_least
from pydantic import BaseModel, Field, StrictBool, ValidationError

from agentphone_mcp.features.context import AccountGate, tool_context
from agentphone_mcp.policy.access import OPERATOR
from agentphone_mcp.policy.actions import Action, Approval, ApprovalAnswer
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.ledger.records import Question
from agentphone_mcp.policy.untrusted import clean

Describe = Callable[..., Awaitable[Action]]
_ASKS_BETWEEN_CALLS = "2026-07-28"
_REROUTES = frozenset(
    {
        "set_webhook",
        "delete_webhook",
        "attach_number",
        "detach_number",
        "release_number",
        "update_agent",
        "delete_agent",
    }
)
"""What changes who gets calls, texts and their words: one at a time, or one would replace what another has just set."""
_DISMISSED: dict[str, ApprovalAnswer] = {"decline": "declined", "cancel": "cancelled"}


class Consent(BaseModel):
    """Define the form that the host shows its user."""

    allow: Annotated[StrictBool, Field(title="Allow", description="Let your assistant do this, once")]


def spending(tool: str, describe: Describe) -> Resolve:
    """Resolve the action of a tool that may do the same thing twice if `repeat` is set."""
    described = _completed(tool, describe)

    async def question(
        action: Annotated[Action, Resolve(described)],
        confirm: bool | None,
        repeat: bool,
        gate: AccountGate,
        ctx: Context,
    ) -> Question | None:
        return await _find_question(action, confirm, gate, ctx, repeat=repeat)

    return _approved(described, question)


def destroying(tool: str, describe: Describe) -> Resolve:
    """Resolve the action of a tool whose `confirm` names what it destroys."""
    described = _completed(tool, describe)

    async def question(
        action: Annotated[Action, Resolve(described)], confirm: str | None, gate: AccountGate, ctx: Context
    ) -> Question | None:
        return await _find_question(action, confirm, gate, ctx)

    return _approved(described, question)


def _completed(tool: str, describe: Describe) -> Describe:
    """Add to a description its tool, all arguments that the model gave, and how to describe it anew."""
    injected = find_resolved_parameters(describe)

    @functools.wraps(describe)
    async def described(**given: Any) -> Action:
        action = await describe(**given)
        # Arguments that the description resolved, such as the number of an agent, win over those that were given.
        arguments = {name: given[name] for name in given if name not in injected} | dict(action.arguments)
        again = functools.partial(describe, **given)
        one_of = _REROUTES if tool in _REROUTES else frozenset[str]()
        return replace(action, tool=tool, arguments=_normalize(arguments), refresh=again, one_of=one_of)

    return described


def _normalize(value: Any) -> Any:
    """Make equal arguments compare equal: drop empty values, and normalize Unicode and invisible characters."""
    match value:
        case str():
            return unicodedata.normalize("NFC", clean(value)).strip()
        case dict():
            normalized = {name: _normalize(item) for name, item in cast("dict[str, Any]", value).items()}
            return {name: item for name, item in normalized.items() if item not in (None, False, "", [], {})}
        case list():
            return [_normalize(item) for item in cast("list[Any]", value)]
        case _:
            return value


def _approved(described: Describe, find_question: Callable[..., Awaitable[Question | None]]) -> Resolve:
    async def ask(
        question: Annotated[Question | None, Resolve(find_question)], gate: AccountGate, ctx: Context
    ) -> Elicit[Consent] | ApprovalAnswer:
        if question is None:
            return "not asked"
        if not _can_ask(ctx):
            return "cannot be asked"
        if gate.is_too_late(question):
            return "timed out"
        if is_version_at_least(ctx.protocol_version or "", _ASKS_BETWEEN_CALLS):
            # The SDK would report an invalid answer in terms of our code, and the ledger would not record it.
            return Elicit(_question_text(question), Consent) if _has_valid_answers(ctx) else "cancelled"
        return await _ask_now(question, ctx, gate.policy.seconds_to_answer)

    async def approved(
        action: Annotated[Action, Resolve(described)],
        question: Annotated[Question | None, Resolve(find_question)],
        outcome: Annotated[ElicitationResult[Any], Resolve(ask)],
        ctx: Context,
    ) -> Action:
        answer = _answer_of(outcome.data) if outcome.action == "accept" else _DISMISSED[outcome.action]
        return replace(action, approval=Approval(_approver(ctx), answer, question.id if question else None))

    return Resolve(approved)


async def _find_question(
    action: Action, confirm: bool | str | None, gate: AccountGate, ctx: Context, *, repeat: bool = False
) -> Question | None:
    """Return what a person must be asked; refuse to callers without the scope spend what asks for `confirm`."""
    scope = tool_context(ctx).caller.scope
    if action.needs_approval and scope != "spend":
        if confirm is not None:
            await gate.refuse(
                replace(action, approval=Approval(_approver(ctx))), f"it takes the scope spend, not {scope}"
            )
        raise Refused(
            f"Nothing was done: what asks for confirm takes the scope spend, and this connection has {scope}. It would "
            f"have been: {action.summary}"
        )
    return await gate.confirmation_request(action, confirm, repeat=repeat, is_answering=ctx.request_state is not None)


async def _ask_now(question: Question, ctx: Context, seconds: float) -> ApprovalAnswer:
    with anyio.move_on_after(seconds):
        try:
            outcome = await ctx.elicit(_question_text(question), Consent)
        except ValueError:
            # The answer has another shape than the form; a person who meant yes can be asked again.
            outcome = CancelledElicitation()
        except MCPError:
            return "cannot be asked"
        return _answer_of(outcome.data) if outcome.action == "accept" else _DISMISSED[outcome.action]
    return "timed out"


def _answer_of(consent: Consent | ApprovalAnswer) -> ApprovalAnswer:
    if isinstance(consent, Consent):
        return "yes" if consent.allow else "declined"
    return consent


def _has_valid_answers(ctx: Context) -> bool:
    """Return whether the host sent answers that have the shape of the form."""
    answers = (ctx.input_responses or {}).values()
    try:
        return all(
            isinstance(answer, ElicitResult) and (answer.action != "accept" or Consent.model_validate(answer.content))
            for answer in answers
        )
    except ValidationError:
        return False


def _question_text(question: Question) -> str:
    """Word the question with its number in the ledger, so that an answer fits no other question in the same words."""
    return clean(f"Allow this {'once more ' if question.is_repeat else ''}(no. {question.id})? {question.text}")


def _can_ask(ctx: Context) -> bool:
    """Return whether the host can show its user a form; if it cannot, the SDK's error would not reach the model."""
    elicitation = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _approver(ctx: Context) -> str:
    """Name the host, and the caller unless it is the operator, for the ledger."""
    params, caller = ctx.session.client_params, tool_context(ctx).caller
    host = f"{params.client_info.name} {params.client_info.version}"[:200] if params else "unknown host"
    return host if caller == OPERATOR else f"{host} of {caller.name}"
