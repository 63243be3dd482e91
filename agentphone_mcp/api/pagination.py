"""Iterate over all pages of a list."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from agentphone_mcp.api.errors import NotFound, StatusError
from agentphone_mcp.api.models import Identified, Page

Row = TypeVar("Row", bound=Identified)
_PAGE = 100


async def paginate(fetch: Callable[[int, int], Awaitable[Page[Row]]]) -> AsyncGenerator[Row]:
    """Yield every row once, fetching a page (limit, offset) when the last one is used up."""
    seen: set[str] = set()
    offset: int | None = 0
    while offset is not None:
        page = await fetch(_PAGE, offset)
        new = [row for row in page.data if row.id not in seen]
        for row in new:
            yield row
        seen.update(row.id for row in new)
        # A server that ignores the offset would return its first page forever.
        offset = page.next_offset(offset, _PAGE) if new else None


async def get_or_find(get: Awaitable[Row], fetch: Callable[[int, int], Awaitable[Page[Row]]], row_id: str) -> Row:
    """Return the row of a GET, or find it in the list if the server has no endpoint for a single one.

    Raises:
        NotFound: if the list does not have it either.
    """
    try:
        return await get
    except StatusError as exc:
        if exc.status not in (404, 405):
            raise
        async for row in paginate(fetch):
            if row.id == row_id:
                return row
        raise NotFound(exc.request, exc.detail, status=404, code=exc.code) from exc
