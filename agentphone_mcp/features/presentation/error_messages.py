"""Explain API errors to a model: the request, what the API said, and what to do next."""

import re

from pydantic import BaseModel, ValidationError

from agentphone_mcp.api import errors
from agentphone_mcp.api.provenance import ServerText
from agentphone_mcp.policy.untrusted import clean, mark
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
"""Next steps for error codes that say more than their status."""
_TRY_AGAIN = "Nothing was changed; try again in a moment, and tell your user if it goes on."
_BY_TYPE: dict[type[errors.ApiError], str] = {
    errors.KeyMissing: "Ask your user to run `agentphone-mcp login` (with uvx: `uvx agentphone-mcp login`), or to set "
    f"{KEY_VARIABLE} (or {KEY_FILE_VARIABLE}) in this server's entry, and to restart it; started with --sandbox it "
    "needs no key and costs nothing.",
    errors.DestinationRefused: "The key goes to AgentPhone's own hosts only, so this was not followed.",
    errors.Unauthorized: f"The key in {KEY_VARIABLE} (or {KEY_FILE_VARIABLE}, or of `agentphone-mcp login`; X-API-Key "
    "where callers bring theirs) is wrong or revoked; ask your user to check it.",
    errors.PaymentRequired: "The balance is too low or no payment method is on file; ask your user to top up, then try "
    "again.",
    errors.Forbidden: "Do not try again: the account or the destination does not allow it. Tell your user why.",
    errors.BadRequest: "Correct the argument it names and call again.",
    errors.Conflict: "Nothing was done; what it names stands in the way.",
    errors.OutcomeUnknown: "Look before you repeat it: the list tools show whether it did.",
    errors.Unreachable: _TRY_AGAIN,
    errors.TooLarge: "Ask for less of it: with a smaller limit, or for one thing at a time.",
    errors.UnreadableAnswer: _TRY_AGAIN,
    errors.ServerError: _TRY_AGAIN,
    errors.Unsendable: "Nothing was sent; leave that value out, or shorten it.",
    errors.ApiError: "Do not repeat it unchanged; tell your user what the API said.",
}
"""Next steps by type of error; the first type that fits counts."""
_RECORDING = "/v1/calls/{call_id}/recording"
_ARGUMENT_PROBLEMS = {
    "extra_forbidden": "there is no such argument",
    "unexpected_keyword_argument": "there is no such argument",
    "bool_type": "it must be the boolean true, not a text or a number",
    "string_type": "it must be a text",
}
"""What is wrong with an argument, by pydantic's type of error."""
_HOUR = 3600
_CODE = re.compile(r"[A-Z][A-Z0-9_]{1,47}")
"""What an error code of the API looks like; another text in its place is marked."""
_LONGEST_NAME = 100
_MOST_PROBLEMS = 10
_MAX_DETAIL = 500


class Failed(BaseModel):
    """Stands in for a part of a result that could not be read."""

    error: ServerText


def explain(error: errors.ApiError) -> str:
    """Write what happened, what to do next, and the request id, which AgentPhone's support asks for."""
    reference = f" (request id {error.request_id})" if error.request_id else ""
    return f"{_what_happened(error)} {_next_step(error)}{reference}".strip()


def explain_arguments(tool: str, error: ValidationError) -> str:
    """Write which arguments are invalid and why, the first ten of them; nothing was sent to the API."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    reasons = [
        f"{_location(problem['loc'])}: "
        + (_ARGUMENT_PROBLEMS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ").rstrip("."))
        for problem in problems[:_MOST_PROBLEMS]
    ]
    if len(problems) > _MOST_PROBLEMS:
        reasons.append(f"and {len(problems) - _MOST_PROBLEMS} more")
    return f"{tool} was not run. {'; '.join(reasons)}."


def _location(path: tuple[int | str, ...]) -> str:
    """Name an argument; one of endless length is not named, as every character of an answer is looked at closely."""
    name = ".".join(map(str, path)) or "arguments"
    return name if len(name) <= _LONGEST_NAME else f"an argument with a name of {len(name)} characters"


def _what_happened(error: errors.ApiError) -> str:
    detail = _detail(error)
    suffix = f": {detail}" if detail else ""
    match error:
        case errors.KeyMissing():
            return "No AgentPhone API key is configured, so nothing was sent."
        case errors.Unsendable() | errors.DestinationRefused():
            return f"{error.request} was stopped on our side{suffix}."
        case errors.Paced() | errors.Unreachable():
            what = "was not sent" if isinstance(error, errors.Paced) else "got no answer from AgentPhone"
            return f"{error.request} {what}{suffix}."
        case errors.OutcomeUnknown():
            status = f" (status {error.status})" if error.status else ""
            return f"{error.request} was sent, and it may or may not have happened{status}{suffix}."
        case errors.UnreadableAnswer():
            return f"{error.request} was answered with {error.status}, but {detail}."
        case _:
            code = f" {_code(error.code)}" if error.code else ""
            return f"{error.request} was answered with {error.status}{code}{suffix.rstrip('.')}."


def _detail(error: errors.ApiError) -> str:
    """Write the explanation in an error, marked unless it is ours: the API may quote strangers in its own."""
    if error.status is None or isinstance(error, errors.UnreadableAnswer):
        return clean(error.detail)[:_MAX_DETAIL]
    return mark(error.detail, _MAX_DETAIL)


def _code(code: str) -> str:
    code = clean(code)
    return code if _CODE.fullmatch(code) else mark(code, _MAX_DETAIL)


def _next_step(error: errors.ApiError) -> str:
    match error:
        case errors.StatusError(code=str(code)) if code in _BY_CODE:
            return _BY_CODE[code]
        case errors.NotFound() | errors.BadPathValue():
            return _where_ids_are(error)
        case errors.TooLarge() if error.request.path == _RECORDING:
            return "get_recording has its URL where there is one; your user also finds it in AgentPhone's dashboard."
        case errors.RateLimited() | errors.Paced():
            return f"Nothing was done; try again {_when(error.retry_after)}."
        case _:
            return next(text for kind, text in _BY_TYPE.items() if isinstance(error, kind))


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
