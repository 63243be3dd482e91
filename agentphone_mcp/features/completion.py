"""Ids that show what they are of: `agt_frontdesk (Front Desk; +14155550100)`.

The protocol completes an argument with plain strings, and a host shows them, filters them by what was typed (VS Code
does) and puts the chosen one into an address or a prompt as it stands. So each says its id and what a person knows it
by, and whoever is given one takes the id from its beginning, which no name can forge: ids have no spaces.
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
from agentphone_mcp.api.models import Page, is_id
from agentphone_mcp.policy.untrusted import clean

_FRESH_SECONDS = 10.0
"""How long what was looked up is good for: as long as it takes to type a name."""
_SECONDS_TO_ASK = 5.0
_MOST = 100
"""How many values the protocol lets one answer have, and rows the API one page."""
_LONGEST_PART = 40
_LABELLED = re.compile(r"(?P<id>\S+) \(.*\)")
_PHONE_TYPED = re.compile(r"[\d\s()+./-]+")
# Where a host puts a value into an address as it stands, these would end the value or open another part of it.
_UNFIT = re.compile(r"[/\\?#&,%{}\s]+")


def plain_id(value: str) -> str:
    """Take the id from a value that a person chose; everything else stays as it is."""
    labelled = _LABELLED.fullmatch(value)
    return labelled["id"] if labelled else value


def label(thing_id: str, *known_by: str | None) -> str:
    """Write an id with what a person knows it by."""
    parts = (_UNFIT.sub(" ", part).strip()[:_LONGEST_PART].rstrip() for part in known_by if part)
    said = "; ".join(part for part in parts if part)
    return f"{thing_id} ({said})" if said else thing_id


@dataclass(frozen=True)
class _Listing:
    """The newest things of one kind; `total` of them there are, and `has_more` when not all of them are here.

    Both are None where nobody knows.
    """

    values: list[str]
    total: int | None = None
    has_more: bool | None = None


_Row = tuple[str, Sequence[str | None]]
"""An id, and what a person knows it by."""


async def _agents(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.agents.list(_MOST)
    return page, [(one.id, [one.name, *(number.phone_number for number in one.numbers or ())]) for one in page.data]


async def _numbers(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.numbers.list(_MOST)
    return page, [(one.id, [one.phone_number]) for one in page.data]


async def _calls(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.calls.list(_MOST)
    return page, [
        (one.id, [one.direction, one.other_number, (one.started_at or "")[:16].replace("T", " "), one.status])
        for one in page.data
    ]


async def _conversations(api: ApiClient) -> tuple[Page[Any], list[_Row]]:
    page = await api.messages.conversations(_MOST)
    return page, [(one.id, [one.participant, f"{one.message_count or 'no'} texts"]) for one in page.data]


_LISTS: dict[str, Callable[[ApiClient], Awaitable[tuple[Page[Any], list[_Row]]]]] = {
    "agent_id": _agents,
    "number_id": _numbers,
    "call_id": _calls,
    "conversation_id": _conversations,
}


class Completer:
    """What a person may mean by what they typed so far; each list is read once in a while, however fast they type.

    Args:
        api: the account whose things are named.
        clock: seconds that only grow.
    """

    def __init__(self, api: ApiClient, clock: Callable[[], float] = anyio.current_time) -> None:
        self._api = api
        self._clock = clock
        self._kept: dict[str, tuple[float, _Listing]] = {}
        self._asking = {argument: anyio.Lock() for argument in _LISTS}

    async def complete(self, argument: str, typed: str) -> Completion:
        """Complete an argument; by its name, and nothing for one that is no id or while the API cannot be read."""
        if argument not in _LISTS:
            return Completion(values=[])
        known = await self._newest(argument)
        wanted = _UNFIT.sub(" ", typed.casefold()).strip()
        if not wanted:
            return Completion(values=known.values, total=known.total, has_more=known.has_more)
        fit = [value for value in known.values if _fits(value, wanted)]
        # Those that begin with it come first; the others stay in the API's order, the newest first.
        fit.sort(key=lambda value: not _begins(value, wanted))
        return Completion(values=fit, total=len(fit) if known.has_more is False else None, has_more=known.has_more)

    async def _newest(self, argument: str) -> _Listing:
        # Whoever types while the list is being read waits for that answer; one who gave up leaves it to the next.
        async with self._asking[argument]:
            until, known = self._kept.get(argument, (0.0, _Listing([])))
            if self._clock() >= until:
                known = await self._read(argument)
                self._kept[argument] = (self._clock() + _FRESH_SECONDS, known)
            return known

    async def _read(self, argument: str) -> _Listing:
        try:
            with anyio.fail_after(_SECONDS_TO_ASK):
                page, rows = await _LISTS[argument](self._api)
        except (ApiError, TimeoutError):
            # A host would show an error at every keystroke; reading the resource will say what is wrong.
            return _Listing([])
        values = [label(thing_id, *map(self._shown, known_by)) for thing_id, known_by in rows if is_id(thing_id)]
        has_more = len(values) > _MOST or page.next_offset(0, _MOST) is not None
        return _Listing(values[:_MOST], page.total, has_more)

    def _shown(self, part: str | None) -> str:
        # Redacted before it is truncated, so that no half of a secret is left at the end.
        return self._api.secrets.redact(clean(part or ""))


async def complete(ctx: ServerRequestContext[Any, Any], params: CompleteRequestParams) -> CompleteResult:
    """Answer `completion/complete`, for resource templates and for prompts, by the argument's name alone."""
    names: Completer = ctx.lifespan_context.names
    return CompleteResult(completion=await names.complete(params.argument.name, params.argument.value))


def _fits(value: str, wanted: str) -> bool:
    digits = re.sub(r"\D", "", wanted) if _PHONE_TYPED.fullmatch(wanted) else ""
    return wanted in value.casefold() or bool(
        digits and any(digits in number for number in re.findall(r"\+(\d+)", value))
    )


def _begins(value: str, wanted: str) -> bool:
    thing_id, _, known_by = value.casefold().partition(" (")
    return thing_id.startswith(wanted) or known_by.startswith(wanted)
