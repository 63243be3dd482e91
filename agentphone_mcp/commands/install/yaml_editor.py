"""Edit our entry in a YAML file, in lines of its own, so that all other lines stay.

A round trip through a parser would rewrite quotes, indentation and long lines of the whole file. So ruamel.yaml only
locates nodes in the text, and parses the result to check it.
"""

import json
import re

from agentphone_mcp.commands.install import yaml_nodes
from agentphone_mcp.commands.install.documents import (
    BY_HAND,
    Document,
    InvalidFile,
    checked,
    newline_of,
    same,
    table_in,
    with_entry,
    without_entry,
)
from agentphone_mcp.commands.install.entries import HostEntry
from agentphone_mcp.commands.install.yaml_nodes import Name, Node

_INDENT = "  "
_EMPTY = " {}"


def parse(text: str) -> Document:
    """Read a document; an empty text is an empty document.

    Raises:
        InvalidFile: with line and column, if it is not YAML, or not a mapping.
    """
    return yaml_nodes.load(text)


def put(text: str, table: tuple[str, ...], key: str, entry: HostEntry) -> str:
    """Put an entry into the table at a path of one name, or replace the one that is there.

    Raises:
        InvalidFile: if the text cannot be parsed, or cannot be changed safely.
    """
    before = parse(text)
    existing = table_in(before, table) or {}
    if same(existing.get(key), entry):
        return text
    return checked(_put(text, table[0], key, entry), with_entry(before, table, key, entry), parse)


def _put(text: str, table: str, key: str, entry: HostEntry) -> str:
    root = yaml_nodes.root_of(text)
    member = _member(root, table)
    left = " " * (root.column if root else 0)
    if root is None or member is None:
        if root and root.is_flow:
            raise InvalidFile(BY_HAND)
        return _after_line(text, len(text), _lines({table: {key: entry}}, left, text))
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


def remove(text: str, table: tuple[str, ...], key: str, *, drop_empty: bool) -> str:
    """Take an entry out of the table at a path of one name; an empty table goes too if `drop_empty` is set.

    Raises:
        InvalidFile: if the text cannot be parsed, or cannot be changed safely.
    """
    wanted = without_entry(parse(text), table, key, drop_empty=drop_empty)
    member = _member(yaml_nodes.root_of(text), table[0])
    entry_node = _member(member[1], key) if member else None
    if member is None or entry_node is None:
        raise InvalidFile(BY_HAND)
    return checked(_without(text, member, entry_node, drop_empty=drop_empty), wanted, parse)


def _without(text: str, table: tuple[Name, Node], entry_node: tuple[Name, Node], *, drop_empty: bool) -> str:
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


def _member(mapping: Node | None, name: str) -> tuple[Name, Node] | None:
    members = mapping.members if mapping else None
    return next((member for member in members or [] if member[0].text == name), None)


def _place(text: str, name: Name, value: Node) -> tuple[int, int]:
    """Return the offsets at which the lines of a member begin and end."""
    line_end = text.find("\n", max(name.end, value.end))
    return text.rfind("\n", 0, name.start) + 1, line_end + 1 if line_end >= 0 else len(text)


def _cut(text: str, start: int, end: int) -> str:
    before = text[:start]
    if end == len(text) and not text.endswith("\n"):
        before = before.removesuffix(newline_of(text))
    return before + text[end:]


def _cut_from_flow(text: str, mapping: Node, entry_node: tuple[Name, Node]) -> str:
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
    return re.sub(r"^(?=.)", indent, yaml_nodes.dump(value), flags=re.MULTILINE).replace("\n", newline_of(text))
