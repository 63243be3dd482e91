"""An API error as the sentence that a model reads: what was asked, what the API said, what to do next."""

from pydantic import BaseModel, ValidationError

from agentphone_mcp.api import errors
from agentphone_mcp.policy.untrusted import clean
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE

_LISTS = {
    "agent_id": "list_agents",
    "number_id": "list_numbers",
    "call_id": "list_calls",
    "conversation_id": "list_conversations",
    "contact_id": "list_contacts",
}
_CARRIER = "The carrier did not take it; try again later, and tell your user if it goes on."
_NO_WEBHOOK = {
    "/v1/webhooks/test": "set_webhook makes the project's webhook.",
    "/v1/agents/{agent_id}/webhook/test": "list_agents gives a valid agent_id; set_webhook with it makes a webhook.",
}
_BY_CODE = {
    "VALIDATION_ERROR_NUMBER_LIMIT": (
        "Nothing was bought; the account may have no more numbers. Ask your user to release one, or to have AgentPhone "
        "raise the limit."
    ),
    "CARRIER_ERROR": _CARRIER,
    "TWILIO_ERROR": _CARRIER,
}
"""Refusals that say less by their status than by their code."""
_HOUR = 3600
_LONGEST_DETAIL = 500


class Failed(BaseModel):
    """A part of an answer that could not be had, and why."""

    error: str


def explain(error: errors.ApiError) -> str:
    """Write what happened, what to do next, and what AgentPhone's support would ask for."""
    named = f" (request id {error.request_id})" if error.request_id else ""
    return f"{_what_happened(error)} {_next_step(error)}{named}".strip()


def explain_arguments(tool: str, wrong: ValidationError) -> str:
    """Name the arguments that are wrong and why; nothing was asked of the API."""
    found = "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'arguments'}: {_argument_problem(one['type'], one['msg'])}"
        for one in wrong.errors(include_url=False, include_input=False, include_context=False)
    )
    return f"{tool} was not run. {found}."


def _argument_problem(kind: str, said: str) -> str:
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "there is no such argument"
    if kind == "bool_type":
        return "it must be the boolean true, not a text or a number"
    if kind == "string_type":
        return "it must be a text"
    return said.removeprefix("Value error, ").rstrip(".")


def _what_happened(error: errors.ApiError) -> str:
    detail = _bounded(error.detail)
    said = f": {detail}" if detail else ""
    match error:
        case errors.KeyMissing():
            return "No AgentPhone API key is configured, so nothing was sent."
        case errors.Unsendable() | errors.DestinationRefused():
            return f"{error.request} was stopped on our side{said}."
        case errors.Unreachable():
            return f"{error.request} got no answer from AgentPhone{said}."
        case errors.OutcomeUnknown():
            status = f" (status {error.status})" if error.status else ""
            return f"{error.request} was sent, and it may or may not have happened{status}{said}."
        case errors.UnreadableAnswer():
            return f"{error.request} was answered with {error.status}, but {detail}."
        case _:
            code = f" {_bounded(error.code)}" if error.code else ""
            return f"{error.request} was answered with {error.status}{code}{said.rstrip('.')}."


def _bounded(said: str) -> str:
    """The API's own words without what nobody sees, and not too many of them."""
    said = clean(said)
    return said if len(said) <= _LONGEST_DETAIL else f"{said[:_LONGEST_DETAIL]}… (cut here)"


def _next_step(error: errors.ApiError) -> str:  # noqa: C901, PLR0911, PLR0912 - one row for each error is the point of it
    match error:
        case errors.StatusError(code=str(code)) if code in _BY_CODE:
            return _BY_CODE[code]
        case errors.KeyMissing():
            return (
                "Ask your user to run `agentphone-mcp login` (with uvx: `uvx agentphone-mcp login`), or to set "
                f"{KEY_VARIABLE} (or {KEY_FILE_VARIABLE}) in this server's entry, and to restart it; started with "
                "--sandbox it needs no key and costs nothing."
            )
        case errors.DestinationRefused():
            return "The key goes to AgentPhone's own hosts only, so this was not followed."
        case errors.Unauthorized():
            return (
                f"The key in {KEY_VARIABLE} (or {KEY_FILE_VARIABLE}, or of `agentphone-mcp login`; X-API-Key where "
                "callers bring theirs) is wrong or revoked; ask your user to check it."
            )
        case errors.PaymentRequired():
            return "The balance is too low or no payment method is on file; ask your user to top up, then try again."
        case errors.Forbidden():
            return "Do not try again: the account or the destination does not allow it. Tell your user why."
        case errors.NotFound() | errors.BadPathValue():
            return _where_ids_are(error)
        case errors.RateLimited():
            return f"Nothing was done; try again {_when(error.retry_after)}."
        case errors.BadRequest():
            return "Correct the argument it names and call again."
        case errors.Conflict():
            return "Nothing was done; what it names stands in the way."
        case errors.OutcomeUnknown():
            return "Look before you repeat it: the list tools show whether it did."
        case errors.Unreachable() | errors.UnreadableAnswer() | errors.ServerError():
            return "Nothing was changed; try again in a moment, and tell your user if it goes on."
        case errors.Unsendable():
            return "Nothing was sent; leave that value out, or shorten it."
        case _:
            return "Do not repeat it unchanged; tell your user what the API said."


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "in a minute"
    return f"in {seconds:.0f} seconds" if seconds <= _HOUR else "much later: the limit holds for over an hour"


def _where_ids_are(error: errors.ApiError) -> str:
    if error.request.path in _NO_WEBHOOK:
        return _NO_WEBHOOK[error.request.path]
    if error.request.is_read and not error.request.ids:
        return "This account's API does not have that: do without it, and tell your user."
    lists = [f"{_LISTS[name]} gives a valid {name}" for name in error.request.ids if name in _LISTS]
    return f"{' and '.join(lists)}." if lists else "The list tools give valid ids."
