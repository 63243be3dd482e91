"""Find out whether an action whose answer was lost happened, by what the API shows now; nothing here writes."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from agentphone_mcp.api.calls import Call
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import NotFound
from agentphone_mcp.api.messages import Message
from agentphone_mcp.api.models import ApiModel
from agentphone_mcp.api.numbers import PhoneNumber
from agentphone_mcp.api.provenance import foreign_fields
from agentphone_mcp.policy.ledger.records import CallDuration, Entry, LookupResult

_BEFORE, _AFTER = timedelta(minutes=2), timedelta(minutes=15)
"""How far the API's clock may differ from ours, and how late something may begin after it was requested."""
_ROWS = 100
_UNANSWERED_STATUSES = ("failed", "busy", "no-answer")

Claimed = frozenset[str]
Model = TypeVar("Model", bound=ApiModel)
Matches = Callable[[Model, Entry], bool]
"""Returns whether an object of the API can be the result of an action."""


async def look_up(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    """Find the result of an action; None if it is still unresolved, as an object may appear later.

    Ids in `claimed` belong to results of other actions, which cannot be the result of this one too.

    Raises:
        ApiError: if the API cannot be asked.
    """
    lookup = _LOOKUPS.get(entry.tool)
    # Another version of this server may have tools that this one does not have.
    return await lookup(api, entry, claimed) if lookup else None


async def call_duration(api: ApiClient, entry: Entry) -> CallDuration:
    """Return how long the call of an action lasted."""
    if entry.call_id is None:
        return CallDuration(None, is_over=True)
    call = await api.calls.get(entry.call_id)
    # The cost of an answered call without a duration is unknown.
    unanswered = call.duration_seconds is None and call.status in _UNANSWERED_STATUSES
    return CallDuration(0 if unanswered else call.duration_seconds, is_over=call.has_ended)


async def longest_call(api: ApiClient) -> float | None:
    """Return for how many seconds the account's plan lets a call run; None where the API does not tell."""
    plan = (await api.account.usage()).plan
    return plan.max_call_minutes * 60 if plan and plan.max_call_minutes else None


def digest(body: str) -> str:
    """Hash a text, for the ledger to compare and not to read."""
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def digests(values: Mapping[str, Any]) -> dict[str, str]:
    """Hash each of some values; an empty one counts as none."""
    return {name: digest(json.dumps(value or None, sort_keys=True)) for name, value in values.items()}


async def _call(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    return _nearest((await api.calls.list(_ROWS, search=entry.to_number)).data, _is_call_of, entry, claimed)


def _is_call_of(call: Call, entry: Entry) -> bool:
    is_to_them = call.to_number == entry.to_number and call.direction in (None, "outbound")
    return is_to_them and _is_of_agent(call, entry)


async def _web_call(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    match = _nearest((await api.calls.list(_ROWS, direction="web")).data, _is_of_agent, entry, claimed)
    # Only the lost answer had the token.
    return replace(match, result=None) if match else None


def _is_of_agent(call: Call, entry: Entry) -> bool:
    return call.agent_id == _match_value(entry, "agent_id") and _is_near(call.started_at, entry)


def _nearest(calls: list[Call], matches: Matches[Call], entry: Entry, claimed: Claimed) -> LookupResult | None:
    matching = [call for call in calls if matches(call, entry) and call.id not in claimed]
    nearest = min(matching, key=lambda call: (_distance(call.started_at, entry), call.id), default=None)
    return _done(nearest, nearest.id, matches) if nearest else None


async def _message(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    for text in (await api.messages.of_number(_match_value(entry, "number_id"), _ROWS)).data:
        if _is_text_of(text, entry) and text.id not in claimed:
            return _done(text, text.id, _is_text_of)
    return None


def _is_text_of(text: Message, entry: Entry) -> bool:
    is_same = text.to_number == entry.to_number and digest(text.body or "") == _match_value(entry, "body")
    return is_same and _is_near(text.at, entry)


async def _number(api: ApiClient, entry: Entry, claimed: Claimed) -> LookupResult | None:
    async for number in api.numbers.all():
        if _is_number_of(number, entry) and number.id not in claimed:
            return _done(number, number.id, _is_number_of)
    return None


def _is_number_of(number: PhoneNumber, entry: Entry) -> bool:
    return (
        number.phone_number.startswith(f"+1{_match_value(entry, 'area_code')}")
        and number.country in (None, _match_value(entry, "country"))
        # The API may leave the agent out, but a number of another agent is not it.
        and number.agent_id in (None, _match_value(entry, "agent_id") or number.agent_id)
        and _is_near(number.created_at, entry)
    )


async def _webhook_gone(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    return LookupResult("failed" if await api.webhooks.get(_match_value(entry, "agent_id") or None) else "done")


async def _webhook_set(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    webhook = await api.webhooks.get(_match_value(entry, "agent_id") or None)
    if webhook is None or digest(webhook.url) != _match_value(entry, "url"):
        return LookupResult("failed")
    if _match_value(entry, "old_url") != digest(webhook.url):
        return LookupResult("done")
    # With the same URL only the secret can tell; if there is none, replacing the webhook again does no harm.
    is_new = webhook.secret is not None and digest(webhook.secret) != (
        _match_value(entry, "old_secret") or digest(webhook.secret)
    )
    return LookupResult("done" if is_new else "failed")


async def _agent_changed(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    wanted = {name: value for name, value in (entry.match_on or {}).items() if name != "agent_id"}
    agent = await api.agents.get(_match_value(entry, "agent_id"))
    # Where it is not changed, or the API leaves a field out, changing it again does no harm.
    is_changed = digests({name: getattr(agent, name, None) for name in wanted}) == wanted
    return LookupResult("done" if is_changed else "failed")


async def _number_moved(api: ApiClient, entry: Entry, _: Claimed) -> LookupResult:
    holder = await api.agents.holder_of(await api.numbers.get(_match_value(entry, "number_id")))
    return LookupResult("done" if (holder or "") == _match_value(entry, "agent_id") else "failed")


async def _gone(fetching: Awaitable[object]) -> LookupResult:
    """Return done if the object is gone; if it still exists, deleting it failed and can be tried again."""
    try:
        await fetching
    except NotFound:
        return LookupResult("done")
    return LookupResult("failed")


def _match_value(entry: Entry, name: str) -> str:
    return (entry.match_on or {}).get(name) or ""


def _done(result: Model, result_id: str, matches: Matches[Model]) -> LookupResult:
    # Untrusted text that was added since is no part of the action's outcome.
    fields = result.model_dump(mode="json", exclude_none=True, exclude=foreign_fields(result))
    return LookupResult("done", {"id": result_id}, fields, may_belong_to=partial(matches, result))


def _distance(at: str | None, entry: Entry) -> float:
    """Return the seconds between the action and the start of something for which `_is_near` holds."""
    return abs(datetime.fromisoformat(at or "").timestamp() - entry.at)


def _is_near(at: str | None, entry: Entry) -> bool:
    """Return whether something began when the action was done; False if its time is missing."""
    try:
        began = datetime.fromisoformat(at or "")
    except ValueError:
        return False
    asked = datetime.fromtimestamp(entry.at, UTC)
    return asked - _BEFORE <= began <= asked + _AFTER


_LOOKUPS: dict[str, Callable[[ApiClient, Entry, Claimed], Awaitable[LookupResult | None]]] = {
    "buy_number": _number,
    "place_call": _call,
    "create_web_call": _web_call,
    "send_message": _message,
    "release_number": lambda api, entry, _: _gone(api.numbers.get(_match_value(entry, "number_id"))),
    "delete_agent": lambda api, entry, _: _gone(api.agents.get(_match_value(entry, "agent_id"))),
    "delete_contact": lambda api, entry, _: _gone(api.contacts.get(_match_value(entry, "contact_id"))),
    "delete_webhook": _webhook_gone,
    "set_webhook": _webhook_set,
    "update_agent": _agent_changed,
    "attach_number": _number_moved,
    "detach_number": _number_moved,
}
