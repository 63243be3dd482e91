"""Shape lists for a model: what to do next, columns instead of repeated names, no redundant fields."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, WithJsonSchema, WrapValidator

from agentphone_mcp.api.models import Page
from agentphone_mcp.api.parsing import is_list, is_object
from agentphone_mcp.api.provenance import ServerText, Words, WordText, foreign_fields, shown_as, whose_words
from agentphone_mcp.policy.untrusted import LONGEST_ANSWER, LONGEST_TEXT, MARK_LENGTH, QuotedText, UntrustedText

Row = TypeVar("Row", bound=BaseModel)


TOO_LONG = f"Not all rows are here: one answer holds {LONGEST_ANSWER} characters of strangers' words. Page on."


def _keep_declared_text(cell: Any, check: Callable[[Any], Any]) -> Any:
    """Skip validation of text to be marked, which would turn it into a plain `str`."""
    return cell if isinstance(cell, UntrustedText | QuotedText) else check(cell)


Cell = Annotated[
    # `anyOf` instead of a list of types, which some hosts do not support.
    str | int | float | bool,
    WrapValidator(_keep_declared_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}),
    # `table` wraps the texts that are to be marked.
    Words.ACCOUNT,
]


class Listed(BaseModel, Generic[Row]):
    """One page of a list; `total` is set only if rows are missing."""

    data: list[Row]
    total: int | None = None
    next_offset: int | None = None
    next_step: ServerText | None = None


class Table(BaseModel):
    """Rows of one kind with their field names once; an absent value is an empty string."""

    columns: list[WordText] = []
    rows: list[list[Cell]] = []


class ListedTable(Table):
    """One page of a list as a table, for rows without prose; `total` is set only if rows are missing."""

    total: int | None = None
    next_offset: int | None = None
    next_step: ServerText | None = None


def listed(page: Page[Row], limit: int, offset: int = 0, *, if_empty: str | None = None) -> Listed[Row]:
    """Turn a page of the API into one for the model; `if_empty` is the next step if the whole list is empty."""
    shown = page.data[: how_many_fit(page.data)]
    is_cut = len(shown) < len(page.data)
    next_offset = offset + len(shown) if is_cut else page.next_offset(offset, limit)
    return Listed(
        data=shown,
        total=total_of_part(page.total, len(shown), is_part=offset > 0 or next_offset is not None),
        next_offset=next_offset,
        next_step=TOO_LONG if is_cut else None if page.data or offset else if_empty,
    )


def how_many_fit(rows: Sequence[BaseModel]) -> int:
    """Return how many rows have room in one answer with the strangers' words in them, at least one."""
    room = LONGEST_ANSWER - LONGEST_TEXT
    for count, row in enumerate(rows):
        room -= sum(_length(getattr(row, name)) for name in foreign_fields(row))
        if room < 0 and count:
            return count
    return len(rows)


def _length(value: Any) -> int:
    """Return how long the texts in a value are in an answer, with their marks."""
    if isinstance(value, str):
        return min(len(value), LONGEST_TEXT) + MARK_LENGTH
    if is_object(value):
        return sum(_length(name) + _length(item) for name, item in value.items())
    return sum(map(_length, value)) if is_list(value) else 0


def in_columns(page: Listed[Any]) -> ListedTable:
    """Render a page as columns and rows; a page of twenty calls or numbers takes about half the size."""
    return ListedTable(
        **dict(table(page.data)), total=page.total, next_offset=page.next_offset, next_step=page.next_step
    )


def total_of_part(total: int | None, shown: int, *, is_part: bool = False) -> int | None:
    """Return the API's total only if rows are missing, as `is_part` says too; otherwise the model can count them."""
    return total if total is not None and (is_part or total > shown) else None


def table(rows: Sequence[BaseModel]) -> Table:
    """Render rows as columns + rows (about a third of the size for a year of days); drop columns without values."""
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
    """Set fields of a row to None, so that they are not shown; raise `AttributeError` for one it does not have."""
    for name in names:
        if name not in type(row).model_fields:
            raise AttributeError(f"{type(row).__name__} has no field {name!r} to leave out", name=name, obj=row)
    return row.model_copy(update=dict.fromkeys(names))


def _cells(row: BaseModel, columns: Sequence[str]) -> list[Any]:
    """List the values of a row in the order of the columns, with the texts that are to be marked wrapped as such."""
    return [_cell(row, name, getattr(row, name)) for name in columns]


def _cell(row: BaseModel, name: str, value: Any) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    match shown_as(whose_words(row, name), value):
        case Words.STRANGER:
            return UntrustedText(value)
        case Words.OURS:
            return QuotedText(value)
        case _:
            return value
