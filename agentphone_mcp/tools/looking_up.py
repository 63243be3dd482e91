"""Whether a deed whose answer was lost happened after all, by what the API shows now; nothing here writes."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agentphone_mcp.api.calls import Call
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import NotFound
from agentphone_mcp.api.models import Wire
from agentphone_mcp.guard.entries import Entry, Found

_BEFORE, _AFTER = timedelta(minutes=2), timedelta(hours=1)
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


async def seconds_of(api: ApiClient, entry: Entry) -> float | None:
    """How long the call of a deed lasted; None while it goes on, or where nobody can tell."""
    call_id = (entry.ids or {}).get("call_id") or (entry.ids or {}).get("id")
    if call_id is None:
        return None
    call = await api.calls.get(call_id)
    if not call.has_ended:
        return None
    # Of an answered call without a length nobody can tell what it cost.
    return 0 if call.duration_seconds is None and call.status in _UNANSWERED else call.duration_seconds


def digest(body: str) -> str:
    """A text as the ledger keeps it, to be compared and not to be read."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


async def _call(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    page = await api.calls.list(_ROWS, search=entry.to_number)
    return _first_of([call for call in page.data if call.to_number == entry.to_number], entry, claimed)


async def _web_call(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    found = _first_of((await api.calls.list(_ROWS, direction="web")).data, entry, claimed)
    # Its token was in the answer alone.
    return replace(found, result=None) if found else None


def _first_of(calls: list[Call], entry: Entry, claimed: Claimed) -> Found | None:
    for call in calls:
        is_mine = call.agent_id == _clue(entry, "agent_id") and call.id not in claimed
        if is_mine and _is_near(call.started_at, entry):
            return _done(call.id, call)
    return None


async def _message(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    for text in (await api.messages.of_number(_clue(entry, "number_id"), _ROWS)).data:
        is_it = text.to_number == entry.to_number and digest(text.body or "") == _clue(entry, "body")
        if is_it and text.id not in claimed and _is_near(text.at, entry):
            return _done(text.id, text)
    return None


async def _number(api: ApiClient, entry: Entry, claimed: Claimed) -> Found | None:
    area_code = _clue(entry, "area_code")
    async for number in api.numbers.all():
        is_it = number.phone_number.startswith(f"+1{area_code}") and number.country in (None, _clue(entry, "country"))
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


async def _webhook_set(api: ApiClient, entry: Entry, _: Claimed) -> Found | None:
    webhook = await api.webhooks.get(_clue(entry, "agent_id") or None)
    if webhook is None or webhook.url != _clue(entry, "url"):
        return Found("failed")
    if _clue(entry, "old_url") != webhook.url:
        return Found("done")
    # Replaced by the same URL: only the secret, new each time, can tell.
    if webhook.secret is None or not _clue(entry, "old_secret"):
        return None
    return Found("failed" if digest(webhook.secret) == _clue(entry, "old_secret") else "done")


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
