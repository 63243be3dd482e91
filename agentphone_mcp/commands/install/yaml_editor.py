"""Edit our entry in a YAML file, in lines of its own, so that all other lines stay.

A round trip through a parser would rewrite quotes, indentation and long lines of the whole file. So ruamel.yaml, whose
types are not declared, only locates nodes in the text, and parses the result to check it.
"""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from agentphone_mcp.commands.install.documents import BY_HAND, Document, Editor, InvalidFile, newline_of
from agentphone_mcp.commands.install.entries import HostEntry

_INDENT = "  "
_EMPTY = " {}"
_NEVER_FOLDED = 1_000_000


@dataclass(frozen=True)
class _Node:
    """Locates a value in the text.

    Attributes:
        start: the offset of its first character.
        end: the offset behind its last scalar; the parser's own end is where the next node begins.
        column: the indentation of its names, if it is a mapping.
        members: its names and values; None if it is not a mapping.
        is_flow: whether it is written in brackets or braces.
    """

    start: int
    end: int
    column: int
    members: "list[tuple[_MemberName, _Node]] | None"
    is_flow: bool


@dataclass(frozen=True)
class _MemberName:
    """Locates the name of a member in the text."""

    text: str
    start: int
    end: int


def parse(text: str) -> Document:
    """Read a document; an empty one is no mistake.

    Raises:
        InvalidFile: with line and column, if it is not YAML, or not a mapping.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document: object = _yaml().load(text)
    except MarkedYAMLError as exc:
        wrong: Any = exc
        why = str(wrong.problem or "it is not YAML").splitlines()[0]
        mark = wrong.problem_mark
        raise (InvalidFile.at(mark.line + 1, mark.column + 1, why) if mark else InvalidFile(why)) from None
    except (YAMLError, ValueError, RecursionError):
        raise InvalidFile("it is not YAML") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidFile.at(1, 1, "it is not a mapping of names")
    return cast("Document", document)


def _put(text: str, table: tuple[str, ...], key: str, entry: HostEntry) -> str:
    root = _root_of(text)
    member = _member(root, table[0])
    left = " " * (root.column if root else 0)
    if root is None or member is None:
        if root and root.is_flow:
            raise InvalidFile(BY_HAND)
        return _after_line(text, len(text), _lines({table[0]: {key: entry}}, left, text))
    name, value = member
    if not value.members:
        # Empty: `{}`, `null`, or nothing at all.
        text = text[: value.start].rstrip(" ") + text[value.end :] if value.end > value.start else text
        return _after_line(text, name.end, _lines({key: entry}, left + _INDENT, text))
    existing = _member(value, key)
    if value.is_flow:
        if existing:
            return f"{text[: existing[1].start]}{json.dumps(entry)}{text[existing[1].end :]}"
        return f"{text[: value.start + 1]}{json.dumps(key)}: {json.dumps(entry)}, {text[value.start + 1 :]}"
    lines = _lines({key: entry}, " " * value.column, text)
    if existing:
        start, end = _place(text, *existing)
        ended = lines if text[start:end].endswith("\n") else lines.removesuffix(newline_of(text))
        return text[:start] + ended + text[end:]
    return _after_line(text, name.end, lines)


def _remove(text: str, table: tuple[str, ...], key: str, drop_empty: bool) -> str:
    member = _member(_root_of(text), table[0])
    entry_node = _member(member[1], key) if member else None
    if member is None or entry_node is None:
        raise InvalidFile(BY_HAND)
    return _without(text, member, entry_node, drop_empty=drop_empty)


EDITOR = Editor(parse, _put, _remove)


def _without(
    text: str, table: tuple[_MemberName, _Node], entry_node: tuple[_MemberName, _Node], *, drop_empty: bool
) -> str:
    name, value = table
    is_alone = len(value.members or []) == 1
    if is_alone and drop_empty:
        return _cut(text, *_place(text, name, value))
    if value.is_flow:
        return _cut_from_flow(text, value, entry_node)
    start, end = _place(text, *entry_node)
    if not is_alone:
        return _cut(text, start, end)
    colon = text.index(":", name.end) + 1
    return _cut(text[:colon] + _EMPTY + text[colon:], start + len(_EMPTY), end + len(_EMPTY))


def _member(mapping: _Node | None, name: str) -> tuple[_MemberName, _Node] | None:
    members = mapping.members if mapping else None
    return next((member for member in members or [] if member[0].text == name), None)


def _place(text: str, name: _MemberName, value: _Node) -> tuple[int, int]:
    """Return the offsets at which the lines of a member begin and end."""
    line_end = text.find("\n", max(name.end, value.end))
    return text.rfind("\n", 0, name.start) + 1, line_end + 1 if line_end >= 0 else len(text)


def _cut(text: str, start: int, end: int) -> str:
    before = text[:start]
    if end == len(text) and not text.endswith("\n"):
        before = before.removesuffix(newline_of(text))
    return before + text[end:]


def _cut_from_flow(text: str, mapping: _Node, entry_node: tuple[_MemberName, _Node]) -> str:
    members = mapping.members or []
    at = members.index(entry_node)
    if at + 1 < len(members):
        return text[: entry_node[0].start] + text[members[at + 1][0].start :]
    start = members[at - 1][1].end if at else entry_node[0].start
    return text[:start] + text[entry_node[1].end :]


def _after_line(text: str, at: int, lines: str) -> str:
    """Insert lines after the line that contains an offset; a missing line end at the end of the text stays missing."""
    end = text.find("\n", at) + 1
    if text and not end and not text.endswith("\n"):
        newline = newline_of(text)
        return f"{text}{newline}{lines.removesuffix(newline)}"
    end = end or len(text)
    return text[:end] + lines + text[end:]


def _lines(value: HostEntry, indent: str, text: str) -> str:
    return re.sub(r"^(?=.)", indent, _dump(value), flags=re.MULTILINE).replace("\n", newline_of(text))


def _root_of(text: str) -> _Node | None:
    """Return the root node of a text that `parse` accepts; None if it is empty."""
    node = _yaml().compose(text)
    return _node(node) if node is not None else None


def _dump(value: HostEntry) -> str:
    """Write a value in block style, as Goose does."""
    yaml = _yaml()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = _NEVER_FOLDED
    yaml.indent(mapping=2, sequence=2, offset=0)
    written = io.StringIO()
    yaml.dump(value, written)
    return written.getvalue()


def _yaml() -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _node(node: Any) -> _Node:
    from ruamel.yaml.nodes import MappingNode

    is_flow = bool(getattr(node, "flow_style", False))
    end = max(_ends(node), default=node.start_mark.index)
    if not isinstance(node, MappingNode):
        return _Node(node.start_mark.index, end, 0, None, is_flow)
    pairs: list[tuple[Any, Any]] = cast("Any", node).value
    members = [
        (_MemberName(str(name.value), name.start_mark.index, name.end_mark.index), _node(value))
        for name, value in pairs
    ]
    column = pairs[0][0].start_mark.column if pairs else 0
    return _Node(cast("Any", node).start_mark.index, end, column, members, is_flow)


def _ends(node: Any) -> Iterator[int]:
    from ruamel.yaml.nodes import ScalarNode

    if isinstance(node, ScalarNode) or node.flow_style:
        yield cast("Any", node).end_mark.index
        return
    for child in node.value:
        for each in cast("tuple[Any, ...]", child if isinstance(child, tuple) else (child,)):
            yield from _ends(each)
