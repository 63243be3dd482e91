"""Lists that say how to go on."""

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, Field

from agentphone_mcp.api.models import Page

Row = TypeVar("Row", bound=BaseModel)


class Listed(BaseModel, Generic[Row]):
    """One page of a list."""

    data: list[Row]
    total: int | None = None
    next_offset: Annotated[int | None, Field(description="Pass as offset for more")] = None
    next_step: str | None = None


def listed(page: Page[Row], limit: int, offset: int = 0, *, if_empty: str | None = None) -> Listed[Row]:
    """Turn a page of the API into a page for the model.

    Args:
        page: the API's answer.
        limit: how many rows were asked for.
        offset: where the page begins.
        if_empty: what to do next when the whole list is empty.
    """
    return Listed(
        data=page.data,
        total=page.total,
        next_offset=page.next_offset(offset, limit),
        next_step=None if page.data or offset else if_empty,
    )
