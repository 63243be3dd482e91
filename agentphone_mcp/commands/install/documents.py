"""Share what the editors of all formats need: the error for an invalid file, and a change that is checked."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agentphone_mcp.commands.install.entries import HostEntry

Document = dict[str, Any]
BY_HAND = "it is written in a way that has to be changed by hand: --print shows what belongs there"


class InvalidFile(ValueError):
    """Reports that a host's file cannot be read or changed, in a few words, with line and column where known."""

    @classmethod
    def at(cls, line: int, column: int, why: str) -> "InvalidFile":
        """Build the error with its place in the file; both numbers count from 1."""
        return cls(f"line {line}, column {column}: {why}")


def same(first: Any, second: Any) -> bool:
    """Compare two documents strictly: unlike with `==`, `True` is not 1, and NaN equals NaN."""
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


def checked(text: str, parse: Callable[[str], Document], *wanted: Document) -> str:
    """Return the text if it parses to one of the wanted documents.

    Raises:
        InvalidFile: otherwise, so that nothing is written.
    """
    try:
        document = parse(text)
    except InvalidFile:
        document = None
    if not any(same(document, each) for each in wanted):
        raise InvalidFile(BY_HAND)
    return text


@dataclass(frozen=True)
class Editor:
    """Edits entries in the text of one format, at a key in the table at a path, and checks that no other changes.

    Attributes:
        parse: reads a document, or raises `InvalidFile`.
        put_unchecked: puts an entry into the text, or replaces it.
        remove_unchecked: takes an entry out, and the table too if it is then empty and its last argument is true.
        has_headers: whether a table may stay or go against that argument, as with a header of its own.
    """

    parse: Callable[[str], Document]
    put_unchecked: Callable[[str, tuple[str, ...], str, Any], str]
    remove_unchecked: Callable[[str, tuple[str, ...], str, bool], str]
    has_headers: bool = False

    def put(self, text: str, table: tuple[str, ...], key: str, entry: Any) -> str:
        """Put an entry into the table at a path, or replace the one that is there.

        Raises:
            InvalidFile: if the text cannot be parsed, or cannot be changed safely.
        """
        before = self.parse(text)
        if same((table_in(before, table) or {}).get(key), entry):
            return text
        return checked(self.put_unchecked(text, table, key, entry), self.parse, with_entry(before, table, key, entry))

    def remove(self, text: str, table: tuple[str, ...], key: str, *, drop_empty: bool) -> str:
        """Take an entry out of the table at a path, and the table too if it is then empty and `drop_empty` is set.

        Raises:
            InvalidFile: if the text cannot be parsed, or cannot be changed safely.
        """
        before = self.parse(text)
        accepted = (drop_empty, not drop_empty) if self.has_headers else (drop_empty,)
        wanted = [without_entry(before, table, key, drop_empty=each) for each in accepted]
        return checked(self.remove_unchecked(text, table, key, drop_empty), self.parse, *wanted)


def table_in(document: Mapping[str, Any], path: tuple[str, ...]) -> Document | None:
    """Return the table at a path, or None if it does not exist yet.

    Raises:
        InvalidFile: if the value at that path is not a table.
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
    """Return the document with an entry added to the table at a path, which is created if missing."""
    if not path:
        return document | {key: entry}
    return document | {path[0]: with_entry(document.get(path[0]) or {}, path[1:], key, entry)}


def without_entry(document: Document, path: tuple[str, ...], key: str, *, drop_empty: bool) -> Document:
    """Return the document without an entry, and without the tables left empty if `drop_empty` is set."""
    if not path:
        return {name: value for name, value in document.items() if name != key}
    child = without_entry(document[path[0]], path[1:], key, drop_empty=drop_empty)
    if not child and drop_empty:
        return {name: value for name, value in document.items() if name != path[0]}
    return document | {path[0]: child}


def newline_of(text: str) -> str:
    """Return the line end that the first line of a text has."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"
