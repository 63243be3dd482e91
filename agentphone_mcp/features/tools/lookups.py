"""Whether an action whose answer was lost happened after all, by what the API shows now; nothing here writes."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from agentphone_mcp.api.calls import Call
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import NotFound
from agentphone_mcp.api.messages import Message
from agentphone_mcp.api.models import ApiModel
from agentphone_mcp.api.numbers import PhoneNumber
from agentphone_mcp.policy.ledger.records import CallDuration, Entry, LookupResult

_BEFORE, _AFTER = timedelta(minutes=2), timedelta(minutes=15)
"""How far the API's clock may be from ours, and how late something may begin that was asked for."""
_ROWS = 100
_UNANSWERED = ("failed", "busy", "no-answer")

Claimed = frozenset[str]
Thing = TypeVar("Thing", bound=ApiModel)
IsOf = Callable[[Thing, Entry], bool]
"""Whether something can have come of an action."""


async def look_up(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    """Find what came of an action.

    Args:
        api: the account.
        entry: the row of the ledger.
        claimed: the ids that came of other actions, which cannot have come of this one too.

    Returns:
        None where it still cannot be told: that something is not there yet does not say that it will not be.

    Raises:
        ApiError: if the API cannot be asked.
    """
    look = _LOOK_UPS.get(entry.tool)
    # Another version of this server may have tools that this one does not know.
    return await look(api, entry, claimed) if look else None


async def call_duration(api: ApiClient, entry: Entry) -> CallDuration:
    """How long the call of an action lasted."""
    call_id = (entry.ids or {}).get("call_id") or (entry.ids or {}).get("id")
    if call_id is None:
        return CallDuration(None, is_over=True)
    call = await api.calls.get(call_id)
    # Of an answered call without a length nobody can tell what it cost.
    unanswered = call.duration_seconds is None and call.status in _UNANSWERED
    return CallDuration(0 if unanswered else call.duration_seconds, is_over=call.has_ended)


def digest(body: str) -> str:
    """A text as the ledger keeps it, to be compared and not to be read."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


async def _call(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    return _nearest((await api.calls.list(_ROWS, search=entry.to_number)).data, _is_call_of, entry, claimed)


def _is_call_of(call: Call, entry: Entry) -> bool:
    is_to_them = call.to_number == entry.to_number and call.direction in (None, "outbound")
    return is_to_them and _is_of_agent(call, entry)


async def _web_call(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    found = _nearest((await api.calls.list(_ROWS, direction="web")).data, _is_of_agent, entry, claimed)
    # Its token was in the answer alone.
    return replace(found, result=None) if found else None


def _is_of_agent(call: Call, entry: Entry) -> bool:
    return call.agent_id == _clue(entry, "agent_id") and _is_near(call.started_at, entry)


def _nearest(calls: list[Call], is_of: IsOf[Call], entry: Entry, claimed: Claimed) -> LookupResult | None:
    mine = [call for call in calls if is_of(call, entry) and call.id not in claimed]
    nearest = min(mine, key=lambda call: (_distance(call.started_at, entry), call.id), default=None)
    return _done(nearest.id, nearest, is_of) if nearest else None


async def _message(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    for text in (await api.messages.of_number(_clue(entry, "number_id"), _ROWS)).data:
        if _is_text_of(text, entry) and text.id not in claimed:
            return _done(text.id, text, _is_text_of)
    return None


def _is_text_of(text: Message, entry: Entry) -> bool:
    is_it = text.to_number == entry.to_number and digest(text.body or "") == _clue(entry, "body")
    return is_it and _is_near(text.at, entry)


async def _number(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    async for number in api.numbers.all():
        if _is_number_of(number, entry) and number.id not in claimed:
            return _done(number.id, number, _is_number_of)
    return None


def _is_number_of(number: PhoneNumber, entry: Entry) -> bool:
    return (
        number.phone_number.startswith(f"+1{_clue(entry, 'area_code')}")
        and number.country in (None, _clue(entry, "country"))
        # Whoever it was bought for may have been left out of the answer, but it is nobody else's.
        and number.agent_id in (None, _clue(entry, "agent_id") or number.agent_id)
        and _is_near(number.created_at, entry)
    )


async def _number_gone(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    return await _gone(api.numbers.get(_clue(entry, "number_id")))


async def _agent_gone(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    return await _gone(api.agents.get(_clue(entry, "agent_id")))


async def _contact_gone(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    return await _gone(api.contacts.get(_clue(entry, "contact_id")))


async def _webhook_gone(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    return LookupResult("failed" if await api.webhooks.get(_clue(entry, "agent_id") or None) else "done")


async def _webhook_set(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    webhook = await api.webhooks.get(_clue(entry, "agent_id") or None)
    if webhook is None or digest(webhook.url) != _clue(entry, "url"):
        return LookupResult("failed")
    if _clue(entry, "old_url") != digest(webhook.url):
        return LookupResult("done")
    # Replaced by the same URL, of which only the secret can tell; where it cannot, replacing it again does no harm.
    is_new = webhook.secret is not None and digest(webhook.secret) != (
        _clue(entry, "old_secret") or digest(webhook.secret)
    )
    return LookupResult("done" if is_new else "failed")


async def _gone(getting: Awaitable[object]) -> LookupResult:
    """What is still there was not destroyed, and destroying it again does it once."""
    try:
        await getting
    except NotFound:
        return LookupResult("done")
    return LookupResult("failed")


def _clue(entry: Entry, name: str) -> str:
    return (entry.match_on or {}).get(name) or ""


def _done(one: str, found: Thing, is_of: IsOf[Thing]) -> LookupResult:
    # What was said in the meantime is no part of the action's outcome.
    shown = found.model_dump(mode="json", exclude_none=True, exclude={*found.untrusted_fields()})
    return LookupResult("done", {"id": one}, shown, may_belong_to=partial(is_of, found))


def _distance(at: str | None, entry: Entry) -> float:
    """How far the beginning of something that is near is from the action, in seconds."""
    return abs(datetime.fromisoformat(at or "").timestamp() - entry.at)


def _is_near(at: str | None, entry: Entry) -> bool:
    """Whether something began when the action was done; of what has no time it cannot be told."""
    try:
        began = datetime.fromisoformat(at or "")
    except ValueError:
        return False
    asked = datetime.fromtimestamp(entry.at, UTC)
    return asked - _BEFORE <= began <= asked + _AFTER


_LOOK_UPS: dict[str, Callable[[ApiClient, Entry, Claimed], Awaitable[LookupResult | None]]] = {
    "buy_number": _number,
    "place_call": _call,
    "create_web_call": _web_call,
    "send_message": _message,
    "release_number": _number_gone,
    "delete_agent": _agent_gone,
    "delete_contact": _contact_gone,
    "delete_webhook": _webhook_gone,
    "set_webhook": _webhook_set,
}
