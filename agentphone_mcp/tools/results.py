"""Lists that say how to go on, without what their reader knows already or never asks for."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, WithJsonSchema

from agentphone_mcp.api.models import Page

Row = TypeVar("Row", bound=BaseModel)
Cell = Annotated[
    # Spelled out, as some hosts know only one type at a time.
    str | int | float | bool,
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}),
]


class Listed(BaseModel, Generic[Row]):
    """One page of a list."""

    data: list[Row]
    total: int | None = None
    next_offset: int | None = None
    next_step: str | None = None


class Table(BaseModel):
    """Many rows of one kind, with their names once; an empty text is what the API did not say."""

    columns: list[str] = []
    rows: list[list[Cell]] = []


class ListedTable(Table):
    """One page of a list with short rows."""

    total: int | None = None
    next_offset: int | None = None
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


def table(rows: Sequence[BaseModel]) -> Table:
    """Name the columns of some rows once: a year of days takes a third so. Nobody speaks of empty columns."""
    if not rows:
        return Table()
    columns = [name for name in type(rows[0]).model_fields if any(getattr(row, name) is not None for row in rows)]
    cells = [[getattr(row, name) for name in columns] for row in rows]
    return Table(columns=columns, rows=[["" if cell is None else cell for cell in row] for row in cells])


def without(row: Row, *names: str) -> Row:
    """Leave fields out of what is told of a row."""
    return row.model_copy(update=dict.fromkeys(names))
