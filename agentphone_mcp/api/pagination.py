"""Walks through all pages of a list."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from agentphone_mcp.api.errors import NotFound, StatusError
from agentphone_mcp.api.models import Identified, Page

Row = TypeVar("Row", bound=Identified)
_PAGE = 100


async def paginate(fetch: Callable[[int, int], Awaitable[Page[Row]]]) -> AsyncGenerator[Row]:
    """Yield every row, asking for a page (limit, offset) when the last one is used up."""
    seen: set[str] = set()
    offset: int | None = 0
    while offset is not None:
        page = await fetch(_PAGE, offset)
        new = [row for row in page.data if row.id not in seen]
        for row in new:
            yield row
        seen.update(row.id for row in new)
        # A server that takes no offset would give its first page for ever.
        offset = page.next_offset(offset, _PAGE) if new else None


async def get_or_find(get: Awaitable[Row], fetch: Callable[[int, int], Awaitable[Page[Row]]], wanted: str) -> Row:
    """Get one thing; find it in the list where the server does not answer for a single one.

    Raises:
        NotFound: if it is not there either.
    """
    try:
        return await get
    except StatusError as missing:
        if missing.status not in (404, 405):
            raise
        async for row in paginate(fetch):
            if row.id == wanted:
                return row
        raise NotFound(missing.request, missing.detail, status=404, code=missing.code) from missing
