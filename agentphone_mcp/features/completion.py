"""Complete ids with labels that say what they are of: `agt_frontdesk (Front Desk; +14155550100)`.

The protocol completes an argument with plain strings. A host shows them, filters them by what was typed (VS Code does)
and puts the chosen one into an address or a prompt unchanged. So each value is an id followed by a label in
parentheses, and `plain_id` takes the id back out. A label cannot forge an id, because ids have no spaces.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp_types import CompleteRequestParams, CompleteResult, Completion

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.models import Page
from agentphone_mcp.api.provenance import is_id
from agentphone_mcp.policy.lookalikes import defuse
from agentphone_mcp.policy.untrusted import clean

_CACHE_SECONDS = 10.0
"""How long a list is reused: about as long as it takes to type a name."""
_READ_TIMEOUT_SECONDS = 5.0
_MAX_VALUES = 100
"""The most values in one answer of the protocol, and the most rows in one page of the API."""
_MAX_PART_LENGTH = 40
_LABELLED = re.compile(r"(?P<id>\S+) \(.*\)")
_PHONE_FRAGMENT = re.compile(r"[\d\s()+./-]+")
# Hosts put a value into an address unescaped, where these characters would end it or start another part.
_UNSAFE_IN_URI = re.compile(r"[/\\?#&,%{}\s]+")


def plain_id(value: str) -> str:
    """Take the id from a completed value; return any other text unchanged."""
    labelled = _LABELLED.fullmatch(value)
    return labelled["id"] if labelled else value


def label(item_id: str, *details: str | None) -> str:
    """Append to an id, in parentheses, the details that a person recognizes it by."""
    parts = (_UNSAFE_IN_URI.sub(" ", part).strip()[:_MAX_PART_LENGTH].rstrip() for part in details if part)
    joined = "; ".join(part for part in parts if part)
    return f"{item_id} ({joined})" if joined else item_id


@dataclass(frozen=True)
class _Listing:
    """Hold the newest ids of one kind, labelled; `total` and `has_more` are None if the API does not say."""

    values: list[str]
    total: int | None = None
    has_more: bool | None = None


_Row = tuple[str, Sequence[str | None]]
"""An id and the details of its label."""


async def _agents(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.agents.list(_MAX_VALUES)
    return page, [
        (agent.id, [agent.name, *(number.phone_number for number in agent.numbers or ())]) for agent in page.data
    ]


async def _numbers(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.numbers.list(_MAX_VALUES)
    return page, [(number.id, [number.phone_number]) for number in page.data]


async def _calls(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.calls.list(_MAX_VALUES)
    return page, [
        (call.id, [call.direction, call.other_number, (call.started_at or "")[:16].replace("T", " "), call.status])
        for call in page.data
    ]


async def _conversations(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.messages.conversations(_MAX_VALUES)
    return page, [(thread.id, [thread.participant, f"{thread.message_count or 'no'} texts"]) for thread in page.data]


_LISTS: dict[str, Callable[[ApiClient], Awaitable[tuple[Page[Any], list[_Row]]]]] = {
    "agent_id": _agents,
    "number_id": _numbers,
    "call_id": _calls,
    "conversation_id": _conversations,
}


class Completer:
    """Complete ids of one account while a person types; each list is read at most once in ten seconds."""

    def __init__(self, api: ApiClient, clock: Callable[[], float] = anyio.current_time) -> None:
        self._api = api
        self._clock = clock
        self._cache: dict[str, tuple[float, _Listing]] = {}
        self._locks = {argument: anyio.Lock() for argument in _LISTS}

    async def complete(self, argument: str, typed: str) -> Completion:
        """Complete an argument by its name; return no values for other arguments or if the API cannot be read."""
        if argument not in _LISTS:
            return Completion(values=[])
        listing = await self._newest(argument)
        wanted = _UNSAFE_IN_URI.sub(" ", typed.casefold()).strip()
        if not wanted:
            return Completion(values=listing.values, total=listing.total, has_more=listing.has_more)
        matches = [value for value in listing.values if _matches(value, wanted)]
        # Values that start with the typed text come first; the rest keep the API's order, newest first.
        matches.sort(key=lambda value: not _starts_with(value, wanted))
        total = len(matches) if listing.has_more is False else None
        return Completion(values=matches, total=total, has_more=listing.has_more)

    async def _newest(self, argument: str) -> _Listing:
        # Concurrent keystrokes wait for one read; if that one is cancelled, the next in line reads.
        async with self._locks[argument]:
            until, listing = self._cache.get(argument, (0.0, _Listing([])))
            if self._clock() >= until:
                listing = await self._read(argument)
                self._cache[argument] = (self._clock() + _CACHE_SECONDS, listing)
            return listing

    async def _read(self, argument: str) -> _Listing:
        try:
            with anyio.fail_after(_READ_TIMEOUT_SECONDS):
                page, rows = await _LISTS[argument](self._api)
        except (ApiError, TimeoutError):
            # A host would show an error at every keystroke; reading the resource reports the problem.
            return _Listing([])
        # Redacted before `label` truncates a detail, so that no half of a secret remains.
        redact = self._api.secrets.redact
        values = [
            label(item_id, *(redact(defuse(clean(detail or ""))) for detail in details))
            for item_id, details in rows
            if is_id(item_id)
        ]
        has_more = len(values) > _MAX_VALUES or page.next_offset(0, _MAX_VALUES) is not None
        return _Listing(values[:_MAX_VALUES], page.total, has_more)


async def complete(ctx: ServerRequestContext[Any, Any], params: CompleteRequestParams) -> CompleteResult:
    """Answer `completion/complete` for resource templates and prompts, by the argument's name alone."""
    completer: Completer = ctx.lifespan_context.completer
    return CompleteResult(completion=await completer.complete(params.argument.name, params.argument.value))


def _matches(value: str, wanted: str) -> bool:
    digits = re.sub(r"\D", "", wanted) if _PHONE_FRAGMENT.fullmatch(wanted) else ""
    return wanted in value.casefold() or bool(
        digits and any(digits in number for number in re.findall(r"\+(\d+)", value))
    )


def _starts_with(value: str, wanted: str) -> bool:
    item_id, _, details = value.casefold().partition(" (")
    return item_id.startswith(wanted) or details.startswith(wanted)
