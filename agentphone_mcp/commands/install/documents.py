"""What the editors of all formats share: how a file can be broken, and when two documents are the same."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from agentphone_mcp.commands.install.entries import HostEntry

Document = dict[str, Any]
BY_HAND = "it is written in a way that has to be changed by hand: --print shows what belongs there"


class InvalidFile(ValueError):
    """A host's file cannot be understood; the message is a few words, with line and column where they are known."""

    @classmethod
    def at(cls, line: int, column: int, why: str) -> "InvalidFile":
        """Say where; both count from 1."""
        return cls(f"line {line}, column {column}: {why}")


def same(first: Any, second: Any) -> bool:
    """Whether two documents say the same; unlike with `==`, true is not 1, and what is no number equals itself."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        left, right = cast("Document", first), cast("Document", second)
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(first, list):
        items, others = cast("list[Any]", first), cast("list[Any]", second)
        return len(items) == len(others) and all(map(same, items, others))
    if isinstance(first, float) and math.isnan(first):
        return math.isnan(second)
    return first == second


def checked(text: str, wanted: Document, parse: Callable[[str], Document]) -> str:
    """The text, if it says what is wanted and nothing else.

    Raises:
        InvalidFile: otherwise; then nothing may be written.
    """
    try:
        if same(parse(text), wanted):
            return text
    except InvalidFile:
        pass
    raise InvalidFile(BY_HAND)


def table_in(document: Mapping[str, Any], path: tuple[str, ...]) -> Document | None:
    """The table at a path; None if there is none yet.

    Raises:
        InvalidFile: if something else is in its place.
    """
    table: Any = document
    for name in path:
        child = cast("Document", table).get(name)
        if child is None:
            return None
        if not isinstance(child, dict):
            raise InvalidFile(f"{name} is no table of names: mend it first")
        table = cast("Document", child)
    return table


def with_entry(document: Document, path: tuple[str, ...], key: str, entry: HostEntry) -> Document:
    """The document with an entry in the table at a path, which is made if it is not there."""
    if not path:
        return document | {key: entry}
    return document | {path[0]: with_entry(document.get(path[0]) or {}, path[1:], key, entry)}


def without_entry(document: Document, path: tuple[str, ...], key: str, *, drop_empty: bool) -> Document:
    """The document without an entry; and without the tables that this leaves empty, if they are to be dropped."""
    if not path:
        return {name: value for name, value in document.items() if name != key}
    child = without_entry(document[path[0]], path[1:], key, drop_empty=drop_empty)
    if not child and drop_empty:
        return {name: value for name, value in document.items() if name != path[0]}
    return document | {path[0]: child}


def newline_of(text: str) -> str:
    """How the lines of a text end: as its first does."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
