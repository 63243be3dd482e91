"""What the editors of all formats share: how a file can be broken, and when two documents are the same."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from agentphone_mcp.commands.install.entries import Entry

Document = dict[str, Any]
BY_HAND = "it is written in a way that has to be changed by hand: --print shows what belongs there"


class Broken(ValueError):
    """A host's file cannot be understood; the message is a few words, with line and column where they are known."""

    @classmethod
    def at(cls, line: int, column: int, why: str) -> "Broken":
        """Say where; both count from 1."""
        return cls(f"line {line}, column {column}: {why}")


def same(one: Any, other: Any) -> bool:
    """Whether two documents say the same; unlike with `==`, true is not 1, and what is no number equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        left, right = cast("Document", one), cast("Document", other)
        return left.keys() == right.keys() and all(same(value, right[name]) for name, value in left.items())
    if isinstance(one, list):
        items, others = cast("list[Any]", one), cast("list[Any]", other)
        return len(items) == len(others) and all(map(same, items, others))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return one == other


def checked(text: str, wanted: Document, parse: Callable[[str], Document]) -> str:
    """The text, if it says what is wanted and nothing else.

    Raises:
        Broken: otherwise; then nothing may be written.
    """
    try:
        if same(parse(text), wanted):
            return text
    except Broken:
        pass
    raise Broken(BY_HAND)


def table_in(document: Mapping[str, Any], path: tuple[str, ...]) -> Document | None:
    """The table at a path; None if there is none yet.

    Raises:
        Broken: if something else is in its place.
    """
    found: Any = document
    for name in path:
        inner = cast("Document", found).get(name)
        if inner is None:
            return None
        if not isinstance(inner, dict):
            raise Broken(f"{name} is no table of names: mend it first")
        found = cast("Document", inner)
    return found


def with_entry(document: Document, path: tuple[str, ...], key: str, entry: Entry) -> Document:
    """The document with an entry in the table at a path, which is made if it is not there."""
    if not path:
        return document | {key: entry}
    return document | {path[0]: with_entry(document.get(path[0]) or {}, path[1:], key, entry)}


def without_entry(document: Document, path: tuple[str, ...], key: str, *, drop_empty: bool) -> Document:
    """The document without an entry; and without the tables that this leaves empty, if they are to be dropped."""
    if not path:
        return {name: value for name, value in document.items() if name != key}
    inner = without_entry(document[path[0]], path[1:], key, drop_empty=drop_empty)
    if not inner and drop_empty:
        return {name: value for name, value in document.items() if name != path[0]}
    return document | {path[0]: inner}


def newline_of(text: str) -> str:
    """How the lines of a text end: as its first does."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
