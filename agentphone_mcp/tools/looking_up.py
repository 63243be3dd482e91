"""Whether a deed whose answer was lost happened after all, by what the API shows now; nothing here writes."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agentphone_mcp.api.calls import Call
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import NotFound
from agentphone_mcp.api.models import Wire
from agentphone_mcp.guard.entries import Entry, Found, Length

_BEFORE, _AFTER = timedelta(minutes=2), timedelta(minutes=15)
"""How far the API's clock may be from ours, and how late something may begin that was asked for."""
_ROWS = 100
_UNANSWERED = ("failed", "busy", "no-answer")

Claimed = frozenset[str]


async def look_up(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    """Find what came of a deed.

    Args:
        api: the account.
        entry: the row of the ledger.
        claimed: the ids that came of other deeds, which cannot have come of this one too.

    Returns:
        None where it still cannot be told: that something is not there yet does not say that it will not be.

    Raises:
        ApiError: if the API cannot be asked.
    """
    look = _LOOK_UPS.get(entry.tool)
    # Another version of this server may have tools that this one does not know.
    return await look(api, entry, claimed) if look else None


async def length_of(api: ApiClient, entry: Entry) -> Length:
    """How long the call of a deed lasted."""
    call_id = (entry.ids or {}).get("call_id") or (entry.ids or {}).get("id")
    if call_id is None:
        return Length(None, is_over=True)
    call = await api.calls.get(call_id)
    # Of an answered call without a length nobody can tell what it cost.
    unanswered = call.duration_seconds is None and call.status in _UNANSWERED
    return Length(0 if unanswered else call.duration_seconds, is_over=call.has_ended)


def digest(body: str) -> str:
    """A text as the ledger keeps it, to be compared and not to be read."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


async def _call(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    page = await api.calls.list(_ROWS, search=entry.to_number)
    theirs = [call for call in page.data if call.to_number == entry.to_number and call.direction in (None, "outbound")]
    return _nearest(theirs, entry, claimed)


async def _web_call(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    found = _nearest((await api.calls.list(_ROWS, direction="web")).data, entry, claimed)
    # Its token was in the answer alone.
    return replace(found, result=None) if found else None


def _nearest(calls: list[Call], entry: Entry, claimed: Claimed) -> Found | None:
    mine = [call for call in calls if call.agent_id == _clue(entry, "agent_id") and call.id not in claimed]
    near = sorted((_distance(call.started_at, entry), call.id) for call in mine if _is_near(call.started_at, entry))
    return next((_done(call.id, call) for call in mine if near and call.id == near[0][1]), None)


async def _message(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    for text in (await api.messages.of_number(_clue(entry, "number_id"), _ROWS)).data:
        is_it = text.to_number == entry.to_number and digest(text.body or "") == _clue(entry, "body")
        if is_it and text.id not in claimed and _is_near(text.at, entry):
            return _done(text.id, text)
    return None


async def _number(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    area_code = _clue(entry, "area_code")
    async for number in api.numbers.all():
        is_it = (
            number.phone_number.startswith(f"+1{area_code}")
            and number.country in (None, _clue(entry, "country"))
            # Whoever it was bought for may have been left out of the answer, but it is nobody else's.
            and number.agent_id in (None, _clue(entry, "agent_id") or number.agent_id)
        )
        if is_it and number.id not in claimed and _is_near(number.created_at, entry):
            return _done(number.id, number)
    return None


async def _number_gone(api: ApiClient, entry: Entry, _: Claimed) -> Found:
    return await _gone(api.numbers.get(_clue(entry, "number_id")))


async def _agent_gone(api: ApiClient, entry: Entry, _: Claimed) -> Found:
    return await _gone(api.agents.get(_clue(entry, "agent_id")))


async def _contact_gone(api: ApiClient, entry: Entry, _: Claimed) -> Found:
    return await _gone(api.contacts.get(_clue(entry, "contact_id")))


async def _webhook_gone(api: ApiClient, entry: Entry, _: Claimed) -> Found:
    return Found("failed" if await api.webhooks.get(_clue(entry, "agent_id") or None) else "done")


async def _webhook_set(api: ApiClient, entry: Entry, _: Claimed) -> Found:
    webhook = await api.webhooks.get(_clue(entry, "agent_id") or None)
    if webhook is None or digest(webhook.url) != _clue(entry, "url"):
        return Found("failed")
    if _clue(entry, "old_url") != digest(webhook.url):
        return Found("done")
    # Replaced by the same URL, of which only the secret can tell; where it cannot, replacing it again does no harm.
    is_new = webhook.secret is not None and digest(webhook.secret) != (
        _clue(entry, "old_secret") or digest(webhook.secret)
    )
    return Found("done" if is_new else "failed")


async def _gone(getting: Awaitable[object]) -> Found:
    """What is still there was not destroyed, and destroying it again does it once."""
    try:
        await getting
    except NotFound:
        return Found("done")
    return Found("failed")


def _clue(entry: Entry, name: str) -> str:
    return (entry.clues or {}).get(name) or ""


def _done(one: str, found: Wire) -> Found:
    # What was said in the meantime is no part of the deed's outcome.
    return Found(
        "done", {"id": one}, found.model_dump(mode="json", exclude_none=True, exclude={*found.strangers_words()})
    )


def _distance(at: str | None, entry: Entry) -> float:
    """How far the beginning of something that is near is from the deed, in seconds."""
    return abs(datetime.fromisoformat(at or "").timestamp() - entry.at)


def _is_near(at: str | None, entry: Entry) -> bool:
    """Whether something began when the deed was done; of what has no time it cannot be told."""
    try:
        began = datetime.fromisoformat(at or "")
    except ValueError:
        return False
    asked = datetime.fromtimestamp(entry.at, UTC)
    return asked - _BEFORE <= began <= asked + _AFTER


_LOOK_UPS: dict[str, Callable[[ApiClient, Entry, Claimed], Awaitable[Found | None]]] = {
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
