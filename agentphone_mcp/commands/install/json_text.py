"""Edit JSON with comments and trailing commas as text, so that every other byte stays.

Python has no maintained library for this. Comments and trailing commas are replaced by blanks, which leaves plain JSON
with every character at its offset; the standard library parses that and says where each value ends. A new member goes
in front of its siblings in one piece, so that no other comma changes and the piece can be removed again.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from agentphone_mcp.commands.install.documents import BY_HAND, Document, InvalidFile, newline_of

_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_COMMENT = r"//[^\r\n]*|/\*.*?\*/"
_STRINGS_AND_COMMENTS = re.compile(f"({_STRING})|{_COMMENT}", re.DOTALL)
_STRINGS_AND_LAST_COMMAS = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)
_REST_OF_LINE = re.compile(f"(?:[ \t]|{_COMMENT})*", re.DOTALL)
_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder(strict=False)


@dataclass(frozen=True)
class Item:
    """Locates a member of an object or an item of an array in the text; an item has no name."""

    name: str | None
    start: int
    value_start: int
    end: int


@dataclass(frozen=True)
class Container:
    """Locates an object or an array in the text, by its brackets and its items."""

    start: int
    end: int
    items: list[Item]


def plain(text: str) -> str:
    """Replace comments and trailing commas by blanks, so that every other character keeps its offset."""
    return _STRINGS_AND_LAST_COMMAS.sub(_blanked, _without_comments(text))


def _without_comments(text: str) -> str:
    return _STRINGS_AND_COMMENTS.sub(_blanked, text)


def _blanked(match: re.Match[str]) -> str:
    return match[1] or re.sub(r"[^\r\n]", " ", match[0])


def parse(text: str) -> Document:
    """Read a document; an empty text is an empty document.

    Raises:
        InvalidFile: with line and column, if it is not JSON with comments, or not an object.
    """
    plain_text = plain(text)
    if not plain_text.strip():
        return {}
    try:
        document = json.loads(plain_text, strict=False)
        # A second parser has to agree, unless the text is plain JSON.
        agreed = plain_text == text or _parse_with_json5(text) == document
    except json.JSONDecodeError as exc:
        raise InvalidFile.at(exc.lineno, exc.colno, exc.msg[:1].lower() + exc.msg[1:]) from None
    except RecursionError:
        raise InvalidFile("it is nested too deep") from None
    if not isinstance(document, dict):
        raise InvalidFile.at(1, 1, "it is not an object in braces")
    if not agreed:
        raise InvalidFile(BY_HAND)
    return cast("Document", document)


@lru_cache(maxsize=4)
def _parse_with_json5(text: str) -> Any:
    """Parse with json5, and cache it: fifty kilobytes take a second."""
    import json5

    try:
        return json5.loads(text, strict=False)
    except ValueError:
        return None


def container_at(text: str, path: tuple[str, ...]) -> Container | None:
    """Find the object or array at a path of names in a text that `parse` accepts; None if there is none.

    If a name occurs twice the last one counts, as for all JSON parsers.
    """
    plain_text = plain(text)
    start = _BLANK.match(plain_text, 0).end()  # pyright: ignore[reportOptionalMemberAccess] - it matches everywhere
    for name in path:
        named = [item for item in _items(plain_text, start) if item.name == name]
        if not named or plain_text[named[-1].value_start] not in "{[":
            return None
        start = named[-1].value_start
    if start == len(plain_text):
        return None
    return Container(start, _DECODER.raw_decode(plain_text, start)[1], list(_items(plain_text, start)))


def _items(plain_text: str, start: int) -> Iterator[Item]:
    is_object = plain_text[start] == "{"
    at = _after_blanks(plain_text, start + 1)
    while plain_text[at] not in "}]":
        first_item, name = at, None
        if is_object:
            name, at = _DECODER.raw_decode(plain_text, at)
            at = _after_blanks(plain_text, _after_blanks(plain_text, at) + 1)
        _, end = _DECODER.raw_decode(plain_text, at)
        yield Item(name, first_item, at, end)
        at = _after_blanks(plain_text, end)
        if plain_text[at] == ",":
            at = _after_blanks(plain_text, at + 1)


def _after_blanks(plain_text: str, at: int) -> int:
    match = _BLANK.match(plain_text, at)
    return match.end() if match else at


def insert(text: str, container: Container, name: str | None, value: Any) -> str:
    """Insert a member, or an item if it has no name, before all others, in their layout."""
    label = "" if name is None else f"{json.dumps(name)}: "
    after_bracket, outer = container.start + 1, _indent_at(text, container.start)
    first_item = container.items[0].start if container.items else None
    line_end = _line_end(text, after_bracket)
    if line_end is not None:
        indent = outer + _unit(text) if first_item is None else _indent_at(text, first_item)
        piece = f"{newline_of(text)}{indent}{label}{_in_lines(text, value, indent)}"
        return _spliced(text, line_end, line_end, piece if first_item is None else f"{piece},")
    if first_item is not None:
        return _spliced(text, first_item, first_item, f"{label}{_in_one_line(value)}, ")
    last = container.end - 1
    if text[after_bracket:last].strip():
        # The container holds a comment alone.
        return _spliced(text, after_bracket, after_bracket, f"{label}{_in_one_line(value)}")
    if container.start != _after_blanks(text, 0) and "\n" not in text.strip():
        return _spliced(text, after_bracket, last, f"{label}{_in_one_line(value)}")
    newline, indent = newline_of(text), outer + _unit(text)
    return _spliced(
        text, after_bracket, last, f"{newline}{indent}{label}{_in_lines(text, value, indent)}{newline}{outer}"
    )


def replace(text: str, item: Item, value: Any) -> str:
    """Replace the value of a member in its place."""
    is_one_line = "\n" not in text.strip()
    written = _in_one_line(value) if is_one_line else _in_lines(text, value, _indent_at(text, item.start))
    return _spliced(text, item.value_start, item.end, written)


def remove(text: str, container: Container, item: Item) -> str:
    """Remove a member or an item with its line and comma; comments beside it stay."""
    plain_text = _without_comments(text)
    index = container.items.index(item)
    line = len(text[: item.start].rstrip(" \t"))
    has_line = text[line - 1] == "\n"
    start, end = line if has_line else item.start, item.end
    if has_line:
        start -= 2 if text[line - 2] == "\r" else 1
    comma = _after_blanks(plain_text, item.end)
    if plain_text[comma] == ",":
        kept = text[item.end : comma]
        end = comma + 1 if has_line else _after_blanks(text, comma + 1)
        text = _spliced(text, start, end, kept.rstrip() if kept.strip() else "")
    elif index:
        comma = _after_blanks(plain_text, container.items[index - 1].end)
        text = _spliced(text, start if has_line else line, end, "")
        text = _spliced(text, comma, comma + 1, "")
    else:
        text = _spliced(text, start, end, "")
    end = _after_blanks(text, container.start + 1)
    return _spliced(text, container.start + 1, end, "") if text[end] in "}]" else text


def _spliced(text: str, start: int, end: int, piece: str) -> str:
    return text[:start] + piece + text[end:]


def _in_one_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _in_lines(text: str, value: Any, indent: str) -> str:
    return json.dumps(value, indent=_unit(text), ensure_ascii=False).replace("\n", newline_of(text) + indent)


def _line_end(text: str, at: int) -> int | None:
    """Return where the line ends if only comments follow on it, else None."""
    match = _REST_OF_LINE.match(text, at)
    end = match.end() if match else at
    return end if text[end : end + 1] in ("\r", "\n") else None


def _indent_at(text: str, at: int) -> str:
    """Return the indentation of the line that contains an offset."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """Return the unit of indentation of a document, from its first member."""
    root = container_at(text, ())
    first_item = (
        _indent_at(text, root.items[0].start).removeprefix(_indent_at(text, root.start)) if root and root.items else ""
    )
    return "\t" if first_item.startswith("\t") else first_item or "  "
