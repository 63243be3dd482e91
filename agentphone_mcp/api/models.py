"""Share what the API's models need: tolerant parsing, one name for each field, times in UTC, pages of lists."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, AliasGenerator, BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from agentphone_mcp.api.errors import NotFound, StatusError
from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.api.provenance import IdText, StrangersText, Words

Row = TypeVar("Row")
_PAGE = 100
MOST_ROWS = 10_000
"""Rows of one answer, and of one list that is read page by page; as objects they take up to a hundred times as much."""


class ApiModel(BaseModel):
    """Parses an object of the API: unknown fields are ignored, missing optional ones are None."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        coerce_numbers_to_str=True,
        populate_by_name=True,
        # Most fields are written in camelCase, some of the newer ones in snake_case.
        alias_generator=AliasGenerator(validation_alias=lambda name: AliasChoices(to_camel(name), name)),
        # Model fields such as `model_tier` are the API's own names.
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, answer: Any) -> Any:
        """Drop nulls: of a field with two spellings, a null in one must not hide the other."""
        return {name: value for name, value in answer.items() if value is not None} if is_object(answer) else answer


def check_length(rows: Any) -> None:
    """Refuse a list of more rows than an account can have.

    Raises:
        ValueError: which makes the answer unreadable.
    """
    if is_list(rows) and len(rows) > MOST_ROWS:
        raise ValueError(f"{len(rows)} rows")


class Identified(ApiModel):
    """Parses an object that has an id."""

    id: IdText


IdentifiedRow = TypeVar("IdentifiedRow", bound=Identified)


def _to_utc(value: Any, *, exact: bool = False) -> Any:
    """Convert a time to UTC, to the second; a text that is no ISO 8601 time stays as it is."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC).isoformat(timespec="auto" if exact else "seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return value


UtcTime = Annotated[str | None, BeforeValidator(_to_utc), Words.TIME]
"""A time as text, for example `2026-11-20T09:30:00Z`."""
ExactUtcTime = Annotated[str | None, BeforeValidator(partial(_to_utc, exact=True)), Words.TIME]
"""A time with fractions of a second, where it is used as a cursor."""


class Page(ApiModel, Generic[Row]):
    """Holds one page of a list, read from `{data, total, hasMore}`, `{items}` or a bare list."""

    data: list[Row]
    total: int | None = None
    has_more: bool | None = None

    def next_offset(self, offset: int, limit: int) -> int | None:
        """Return the offset of the next page, for this one read at `offset` with `limit`; None at the end."""
        reached = offset + len(self.data)
        more = self.has_more
        if more is None:
            # Some lists do not say whether there is more; then a full page is the only sign.
            more = reached < self.total if self.total is not None else len(self.data) >= limit
        return reached if more and self.data else None

    @model_validator(mode="before")
    @classmethod
    def _any_shape(cls, answer: Any) -> Any:
        if is_list(answer):
            answer = {"data": answer}
        elif is_object(answer) and "data" not in answer and "items" in answer:
            answer = {**answer, "data": answer["items"]}
        if is_object(answer):
            check_length(answer.get("data"))
        return answer


class Acknowledgement(ApiModel):
    """Confirms an action without further data; a 204 is read as this too.

    `Transport` raises an error for one with `success: false`, whatever its status.
    """

    success: bool = True
    message: StrangersText | None = None


async def paginate(fetch: Callable[[int, int], Awaitable[Page[IdentifiedRow]]]) -> AsyncGenerator[IdentifiedRow]:
    """Yield every row once, the first 10,000 of them, fetching a page (limit, offset) when the last is used up."""
    seen: set[str] = set()
    offset: int | None = 0
    while offset is not None:
        page = await fetch(_PAGE, offset)
        new = [row for row in page.data if row.id not in seen]
        for row in new:
            yield row
        seen.update(row.id for row in new)
        # A server that ignores the offset would return its first page forever.
        offset = page.next_offset(offset, _PAGE) if new and len(seen) < MOST_ROWS else None


async def get_or_find(
    get: Awaitable[IdentifiedRow], fetch: Callable[[int, int], Awaitable[Page[IdentifiedRow]]], row_id: str
) -> IdentifiedRow:
    """Return the row of a GET, or of the list if the server has no endpoint for one; else raise `NotFound`."""
    try:
        return await get
    except StatusError as exc:
        if exc.status not in (404, 405):
            raise
        async for row in paginate(fetch):
            if row.id == row_id:
                return row
        raise NotFound(exc.request, exc.detail, status=404, code=exc.code) from exc


def request_body(**fields: object) -> dict[str, object]:
    """Return a request body with the given fields under the API's camelCase names."""
    return {to_camel(name): value for name, value in fields.items() if value is not None}
