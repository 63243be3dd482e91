"""Our entry in a TOML file, as a section of its own: the lines of all others stay as they are.

A section can stand anywhere, so ours is appended as text and taken out as text; what the lines mean is always read by
a parser, before and after. tomlkit writes the section, and edits what has no lines of its own, such as inline tables.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any, cast

from agentphone_mcp.commands.install.documents import (
    BY_HAND,
    Broken,
    Document,
    checked,
    newline_of,
    same,
    table_in,
    with_entry,
    without_entry,
)
from agentphone_mcp.commands.install.entries import Entry


def parse(text: str) -> Document:
    """Read a document.

    Raises:
        Broken: with line and column, if it is none.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        said = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(wrong), re.DOTALL)
        if not said:
            raise Broken("it is not TOML") from None
        line, column = (int(said[2]), int(said[3])) if said[2] else (text.count("\n") + 1, 1)
        raise Broken.at(line, column, said[1][:1].lower() + said[1][1:]) from None
    except RecursionError:
        raise Broken("it is nested too deep") from None


def put(text: str, table: tuple[str, ...], key: str, entry: Entry) -> str:
    """Put an entry into the table at a path, or another in its place.

    Raises:
        Broken: if the text is no such document, or nothing safe can be done with it.
    """
    before = parse(text)
    there = table_in(before, table) or {}
    if same(there.get(key), entry):
        return text
    wanted = with_entry(before, table, key, entry)
    section = _section((*table, key), entry).replace("\n", newline_of(text))

    def as_text() -> Iterator[str]:
        if key not in there:
            yield _appended(text, section)
            return
        for start, end in _places(text, (*table, key)):
            ended = section if text[start:end].endswith("\n") else section.removesuffix(newline_of(text))
            yield text[:start] + ended + text[end:]

    def by_tomlkit(document: MutableMapping[str, Any]) -> None:
        for name in table:
            document = document[name]
        document[key] = _inline(entry)

    return _first_good(text, wanted, as_text(), by_tomlkit)


def remove(text: str, table: tuple[str, ...], key: str, *, drop_empty: bool) -> str:
    """Take an entry out of the table at a path, and the table too if it is then empty and is to be dropped.

    Raises:
        Broken: if the text is no such document, or nothing safe can be done with it.
    """
    before = parse(text)

    def as_text() -> Iterator[str]:
        return (_cut(text, *place) for place in _places(text, (*table, key)))

    def by_tomlkit(document: MutableMapping[str, Any]) -> None:
        for name in table:
            document = document[name]
        del document[key]

    try:
        return _first_good(text, without_entry(before, table, key, drop_empty=drop_empty), as_text(), by_tomlkit)
    except Broken:
        # The table has a header of its own, or goes with its only section.
        return _first_good(text, without_entry(before, table, key, drop_empty=not drop_empty), as_text(), by_tomlkit)


def _first_good(
    text: str, wanted: Document, as_text: Iterator[str], by_tomlkit: Callable[[MutableMapping[str, Any]], None]
) -> str:
    for written in as_text:
        with suppress(Broken):
            return checked(written, wanted, parse)
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        by_tomlkit(document)
        written = document.as_string()
    except (TOMLKitError, KeyError, TypeError, AttributeError):
        raise Broken(BY_HAND) from None
    if any(remark not in written for remark in re.findall(r"#.*", text)):
        raise Broken(BY_HAND)
    return checked(written, wanted, parse)


def _section(path: tuple[str, ...], entry: Entry) -> str:
    import tomlkit

    body = tomlkit.table()
    for name, value in entry.items():
        body[name] = _inline(cast("Entry", value)) if isinstance(value, dict) else value
    return f"[{'.'.join(path)}]\n{tomlkit.dumps(body)}"


def _inline(entry: Entry) -> Any:
    import tomlkit

    table = tomlkit.inline_table()
    for name, value in entry.items():
        table[name] = value
    return table


def _appended(text: str, section: str) -> str:
    newline = newline_of(text)
    if not text:
        return section
    if text.endswith("\n"):
        return f"{text}{newline}{section}"
    return f"{text}{newline}{newline}{section.removesuffix(newline)}"


def _places(text: str, path: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Where our section may begin and end, with the sections within it, and without remarks on what follows.

    A line in a text of several lines may look like its header; whoever calls this reads the result by a parser.
    """
    name = r"\s*\.\s*".join(rf"(?:{re.escape(part)}|\"{re.escape(part)}\"|'{re.escape(part)}')" for part in path)
    ours = re.compile(rf"^[ \t]*\[[ \t]*{name}[ \t]*(?:\.[^\]\r\n]*)?\][^\r\n]*\r?\n?", re.MULTILINE)
    headers = [header.start() for header in re.finditer(r"^[ \t]*\[", text, re.MULTILINE)]
    for start in (header for header in headers if ours.match(text, header)):
        end = next((header for header in headers if header > start and not ours.match(text, header)), len(text))
        remarks = re.search(r"(?:^[ \t]*(?:#.*)?(?:\r?\n|\Z))+\Z", text[start:end], re.MULTILINE)
        yield start, start + remarks.start() if remarks else end


def _cut(text: str, start: int, end: int) -> str:
    """Take a section out with the empty line that was put before it."""
    before, newline = text[:start], newline_of(text)
    if before.endswith(newline * 2):
        before = before.removesuffix(newline)
    if end == len(text) and not text.endswith("\n"):
        before = before.removesuffix(newline)
    return before + text[end:]
