"""What the wire models share: tolerant reading, one name for each field, times in UTC."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AliasChoices, AliasGenerator, BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from agentphone_mcp.api.parsing import is_list, is_object

Row = TypeVar("Row")


def _either_age(name: str) -> AliasChoices:
    """The vendor writes most fields in camelCase and some of the newer ones in snake_case; both are read."""
    return AliasChoices(to_camel(name), name)


class ApiModel(BaseModel):
    """An object of the API. Unknown fields are ignored, missing optional ones are None; names come out snake_case."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        coerce_numbers_to_str=True,
        populate_by_name=True,
        alias_generator=AliasGenerator(validation_alias=_either_age),
        # Model fields such as `model_tier` are the API's own names.
        protected_namespaces=(),
    )

    def untrusted_fields(self) -> Collection[str]:
        """The fields in which callers, texters or other people's servers had their say: data, whatever it claims."""
        return ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, answer: Any) -> Any:
        """Where a field has two spellings, a null in one must not hide the other."""
        return {name: value for name, value in answer.items() if value is not None} if is_object(answer) else answer


def is_id(value: str) -> bool:
    """Whether a text can be an id: nothing in it leads to another endpoint (httpx resolves `..`)."""
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}", value) is not None and ".." not in value


class Identified(ApiModel):
    """An object of the API that has an id of its own."""

    id: str


def _to_utc(value: Any, *, exact: bool = False) -> Any:
    """Write a time as UTC to the second; a text that is no ISO 8601 time passes as it came."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC).isoformat(timespec="auto" if exact else "seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return value


UtcTime = Annotated[str | None, BeforeValidator(_to_utc)]
"""A time as text, for example `2026-11-20T09:30:00Z`."""
ExactUtcTime = Annotated[str | None, BeforeValidator(partial(_to_utc, exact=True))]
"""A time with the fraction of its second, for where a list goes on from it."""


class Page(ApiModel, Generic[Row]):
    """One page of a list: `{data, total, hasMore}`, `{items}` or a bare list, whichever the endpoint answers."""

    data: list[Row]
    total: int | None = None
    has_more: bool | None = None

    def next_offset(self, offset: int, limit: int) -> int | None:
        """Where the next page begins, for a page of at most `limit` rows that begins at `offset`; None at the end."""
        reached = offset + len(self.data)
        if self.has_more is not None:
            more = self.has_more
        else:
            # Some lists say nothing of their end, and then a full page is the only sign of more.
            more = reached < self.total if self.total is not None else len(self.data) >= limit
        return reached if more and self.data else None

    @model_validator(mode="before")
    @classmethod
    def _any_shape(cls, answer: Any) -> Any:
        if is_list(answer):
            return {"data": answer}
        if is_object(answer) and "data" not in answer and "items" in answer:
            return {**answer, "data": answer["items"]}
        return answer


class Acknowledgement(ApiModel):
    """An answer that says no more than that it worked; a 204 reads as this too.

    One that says it did not is an error, whatever its status: `Transport` raises it.
    """

    success: bool = True
    message: str | None = None


def request_body(**fields: object) -> dict[str, object]:
    """The fields of a request's body that were given, under the API's camelCase names."""
    return {to_camel(name): value for name, value in fields.items() if value is not None}
