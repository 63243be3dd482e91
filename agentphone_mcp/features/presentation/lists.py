"""Lists that say how to go on, without what their reader knows already or never asks for."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, WithJsonSchema, WrapValidator

from agentphone_mcp.api.models import ApiModel, Page
from agentphone_mcp.policy.untrusted import UntrustedText

Row = TypeVar("Row", bound=BaseModel)


def _keep_untrusted_text(cell: Any, check: Callable[[Any], Any]) -> Any:
    """Let them pass: checked, they would be a text like any other."""
    return cell if isinstance(cell, UntrustedText) else check(cell)


Cell = Annotated[
    # Spelled out, as some hosts know only one type at a time.
    str | int | float | bool,
    WrapValidator(_keep_untrusted_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}),
]


class Listed(BaseModel, Generic[Row]):
    """One page of a list; there is a total where not all are here."""

    data: list[Row]
    total: int | None = None
    next_offset: int | None = None
    next_step: str | None = None


class Table(BaseModel):
    """Many rows of one kind, with their names once; an empty text is what a row has not."""

    columns: list[str] = []
    rows: list[list[Cell]] = []


class ListedTable(Table):
    """One page of a list whose rows are short facts and no prose; there is a total where not all are here."""

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
    next_offset = page.next_offset(offset, limit)
    return Listed(
        data=page.data,
        total=total_of_part(page.total, len(page.data), is_part=offset > 0 or next_offset is not None),
        next_offset=next_offset,
        next_step=None if page.data or offset else if_empty,
    )


def in_columns(page: Listed[Any]) -> ListedTable:
    """Turn a page around: of twenty calls or numbers it takes little more than half so."""
    rows = table(page.data)
    return ListedTable(
        columns=rows.columns,
        rows=rows.rows,
        total=page.total,
        next_offset=page.next_offset,
        next_step=page.next_step,
    )


def total_of_part(total: int | None, shown: int, *, is_part: bool = False) -> int | None:
    """Say how many there are only where some are left out; else the reader sees them all.

    Args:
        total: what the API says.
        shown: how many are here.
        is_part: whether something before or after them is known to be left out, whatever the total.
    """
    return total if total is not None and (is_part or total > shown) else None


def table(rows: Sequence[BaseModel]) -> Table:
    """Name the columns of some rows once: a year of days takes a third so. Nobody speaks of empty columns."""
    if not rows:
        return Table()
    fields = type(rows[0]).model_fields
    shown = [name for name, field in fields.items() if not field.exclude]
    columns = [name for name in shown if any(getattr(row, name) is not None for row in rows)]
    return Table(columns=columns, rows=[_cells(row, columns) for row in rows])


def shortened(page: Page[Row], shorten: Callable[[Row], Row]) -> Page[Row]:
    """Shorten every row of a page."""
    return page.model_copy(update={"data": [shorten(row) for row in page.data]})


def without(row: Row, *names: str) -> Row:
    """Leave fields out of what is told of a row.

    Raises:
        AttributeError: if it has no such field; one that got another name would be told after all.
    """
    fields = type(row).model_fields
    for name in names:
        if name not in fields:
            raise AttributeError(f"{type(row).__name__} has no field {name!r} to leave out", name=name, obj=row)
    return row.model_copy(update=dict.fromkeys(names))


def _cells(row: BaseModel, columns: Sequence[str]) -> list[Any]:
    """Take a row apart; away from it, nothing but their type tells a stranger's words from ours."""
    strangers = row.untrusted_fields() if isinstance(row, ApiModel) else ()
    cells: list[Any] = []
    for name in columns:
        cell = getattr(row, name)
        is_theirs = name in strangers and isinstance(cell, str)
        cells.append("" if cell is None else UntrustedText(cell) if is_theirs else cell)
    return cells
