"""How a gated tool gets its action: described by the server, and let pass by a person where that is wanted.

The model sees neither the action nor the question; it can only pass `confirm` on. With `AGENTPHONE_APPROVAL=human` the
host asks its user: in protocol versions before 2026-07-28 during the call, from then on between two calls.
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
_NO: dict[str, ApprovalAnswer] = {"decline": "declined", "cancel": "cancelled"}


class Consent(BaseModel):
    """What the host asks its user to fill in."""

    allow: Annotated[StrictBool, Field(title="Allow", description="Let your assistant do this, once")]


def spending(tool: str, describe: Describe) -> Resolve:
    """The action of a tool that can do the same twice when it is told to `repeat`."""
    described = _described(tool, describe)

    async def question(
        action: Annotated[Action, Resolve(described)],
        confirm: bool | None,
        repeat: bool,
        gate: AccountGate,
        ctx: Context,
    ) -> Question | None:
        _check_scope(action, ctx)
        return await gate.confirmation_request(
            action, confirm, repeat=repeat, is_answering=ctx.request_state is not None
        )

    return _approved(described, question)


def destroying(tool: str, describe: Describe) -> Resolve:
    """The action of a tool whose `confirm` names what it destroys."""
    described = _described(tool, describe)

    async def question(
        action: Annotated[Action, Resolve(described)], confirm: str | None, gate: AccountGate, ctx: Context
    ) -> Question | None:
        _check_scope(action, ctx)
        return await gate.confirmation_request(
            action, confirm, repeat=False, is_answering=ctx.request_state is not None
        )

    return _approved(described, question)


def _described(tool: str, describe: Describe) -> Describe:
    """Complete an action by its tool and by the arguments that make it what it is: all that the model gave."""
    injected = find_resolved_parameters(describe)

    @functools.wraps(describe)
    async def described(**given: Any) -> Action:
        action = await describe(**given)
        # What the action itself knows better, such as the number behind an agent, wins over how it was given.
        said = {name: given[name] for name in given if name not in injected} | dict(action.arguments)
        again = functools.partial(describe, **given)
        return replace(action, tool=tool, arguments=_as_meant(said), refresh=again)

    return described


def _as_meant(value: Any) -> Any:
    """The same for every way to write the same: nothing given is nothing, and letters are what is seen."""
    match value:
        case str():
            return unicodedata.normalize("NFC", clean(value)).strip()
        case dict():
            meant = {name: _as_meant(one) for name, one in cast("dict[str, Any]", value).items()}
            return {name: one for name, one in meant.items() if one not in (None, False, "", [], {})}
        case list():
            return [_as_meant(one) for one in cast("list[Any]", value)]
        case _:
            return value


def _approved(described: Describe, question: Callable[..., Awaitable[Question | None]]) -> Resolve:
    async def said(
        asked: Annotated[Question | None, Resolve(question)], gate: AccountGate, ctx: Context
    ) -> Elicit[Consent] | ApprovalAnswer:
        if asked is None:
            return "not asked"
        if not _can_ask(ctx):
            return "cannot be asked"
        if gate.is_too_late(asked):
            return "timed out"
        if is_version_at_least(ctx.protocol_version or "", _ASKS_BETWEEN_CALLS):
            # The SDK would speak of a wrong shape in words about our code, and the ledger would not hear of it.
            return Elicit(_words_of(asked), Consent) if _is_readable(ctx) else "cancelled"
        return await _ask_now(asked, ctx, gate.policy.seconds_to_answer)

    async def approved(
        action: Annotated[Action, Resolve(described)],
        asked: Annotated[Question | None, Resolve(question)],
        outcome: Annotated[ElicitationResult[Any], Resolve(said)],
        ctx: Context,
    ) -> Action:
        answer = _read(outcome.data) if outcome.action == "accept" else _NO[outcome.action]
        return replace(action, approval=Approval(_by(ctx), answer, asked.id if asked else None))

    return Resolve(approved)


def _check_scope(action: Action, ctx: Context) -> None:
    """Hold back the action of a tool that asks for `confirm` only now and then, and so is open to who may not spend."""
    scope = tool_context(ctx).caller.scope
    if not action.is_free and scope != "spend":
        raise Refused(
            f"Nothing was done: what asks for confirm takes the scope spend, and this connection has {scope}. It would "
            f"have been: {action.summary}"
        )


async def _ask_now(asked: Question, ctx: Context, seconds: float) -> ApprovalAnswer:
    with anyio.move_on_after(seconds):
        try:
            outcome = await ctx.elicit(_words_of(asked), Consent)
        except ValueError:
            # An answer that is none; whoever meant yes can be asked again.
            outcome = CancelledElicitation()
        except MCPError:
            return "cannot be asked"
        return _read(outcome.data) if outcome.action == "accept" else _NO[outcome.action]
    return "timed out"


def _read(consent: Consent | ApprovalAnswer) -> ApprovalAnswer:
    if isinstance(consent, Consent):
        return "yes" if consent.allow else "declined"
    return consent


def _is_readable(ctx: Context) -> bool:
    """Whether what the host came back with is an answer at all."""
    answers = (ctx.input_responses or {}).values()
    try:
        return all(
            isinstance(answer, ElicitResult) and (answer.action != "accept" or Consent.model_validate(answer.content))
            for answer in answers
        )
    except ValidationError:
        return False


def _words_of(asked: Question) -> str:
    """The question; by its number in the ledger an answer to it is none to another one in the same words."""
    return clean(f"Allow this {'once more ' if asked.is_repeat else ''}(no. {asked.id})? {asked.text}")


def _can_ask(ctx: Context) -> bool:
    """Whether the host can show its user a form; without looking, the SDK would fail where no model reads it."""
    elicitation = ctx.client_capabilities.elicitation if ctx.client_capabilities else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _by(ctx: Context) -> str:
    """The host as it names itself, and the caller if it is another than the operator, for the ledger."""
    params, caller = ctx.session.client_params, tool_context(ctx).caller
    host = f"{params.client_info.name} {params.client_info.version}"[:200] if params else "unknown host"
    return host if caller == OPERATOR else f"{host} of {caller.name}"
