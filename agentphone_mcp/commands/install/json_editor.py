"""Our entry in files of JSON with comments; and for VS Code, what it asks its user for."""

from typing import Any, cast

from agentphone_mcp.commands.install import json_text
from agentphone_mcp.commands.install.documents import (
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

_INPUTS = "inputs"


def parse(text: str) -> Document:
    """Read a document.

    Raises:
        Broken: if it is none.
    """
    return json_text.parse(text)


def put(text: str, table: tuple[str, ...], key: str, entry: Any) -> str:
    """Put an entry into the table at a path, or another in its place.

    Raises:
        Broken: if the text is no such document, or nothing safe can be done with it.
    """
    before = parse(text)
    if same((table_in(before, table) or {}).get(key), entry):
        return text
    return checked(_put(text, table, key, entry), with_entry(before, table, key, entry), parse)


def _put(text: str, table: tuple[str, ...], key: str, entry: Any) -> str:
    if json_text.container_at(text, ()) is None:
        newline = newline_of(text)
        text = f"{text}{{}}" if not text or text.endswith("\n") else f"{text}{newline}{{}}"
        return _put(text, table, key, entry) + newline
    for depth in range(len(table), -1, -1):
        within = json_text.container_at(text, table[:depth])
        if within is None:
            continue
        name, *missing = (*table, key)[depth:]
        value = entry
        for each in reversed(missing):
            value = {each: value}
        there = [item for item in within.items if item.name == name]
        if there:
            return json_text.replace(text, there[-1], value)
        return json_text.insert(text, within, name, value)
    return text


def remove(text: str, table: tuple[str, ...], key: str, *, drop_empty: bool) -> str:
    """Take an entry out of the table at a path, and the table too if it is then empty and is to be dropped.

    Raises:
        Broken: if the text is no such document, or nothing safe can be done with it.
    """
    before = parse(text)
    wanted = without_entry(before, table, key, drop_empty=drop_empty)
    path = (*table, key)
    while len(path) > 1 and drop_empty and not table_in(wanted, path[:-1]):
        path = path[:-1]
    return checked(_without(text, path), wanted, parse)


def _without(text: str, path: tuple[str, ...]) -> str:
    within = json_text.container_at(text, path[:-1])
    there = [item for item in within.items if item.name == path[-1]] if within else []
    if not within or not there:
        raise Broken(f"{path[-1]} is not where it should be")
    return json_text.remove(text, within, there[-1])


def inputs_in(document: Document) -> list[Document] | None:
    """What VS Code asks its user for; None if its list is not there.

    Raises:
        Broken: if something else is in its place.
    """
    known: Any = document.get(_INPUTS)
    if known is None:
        return None
    if not isinstance(known, list) or not all(isinstance(each, dict) for each in cast("list[Any]", known)):
        raise Broken(f"{_INPUTS} is no list of objects: mend it first")
    return cast("list[Document]", known)


def put_input(text: str, asked: Entry) -> str:
    """Have the user asked for something, unless they are asked for it already.

    Raises:
        Broken: if the text is no such document, or nothing safe can be done with it.
    """
    before = parse(text)
    known = inputs_in(before)
    if known is None:
        return put(text, (), _INPUTS, [asked])
    if any(each.get("id") == asked["id"] for each in known):
        return text
    within = json_text.container_at(text, (_INPUTS,))
    written = json_text.insert(text, within, None, asked) if within else text
    return checked(written, before | {_INPUTS: [asked, *known]}, parse)


def remove_input(text: str, name: str, *, drop_empty: bool) -> str:
    """Have the user no longer asked for something, unless an entry still wants it.

    Raises:
        Broken: if the text is no such document, or nothing safe can be done with it.
    """
    before = parse(text)
    known = inputs_in(before) or []
    ids = [each.get("id") for each in known]
    if name not in ids or f"${{input:{name}}}" in text:
        return text
    at = ids.index(name)
    rest = known[:at] + known[at + 1 :]
    if not rest and drop_empty:
        wanted = {each: value for each, value in before.items() if each != _INPUTS}
        return checked(_without(text, (_INPUTS,)), wanted, parse)
    within = json_text.container_at(text, (_INPUTS,))
    written = json_text.remove(text, within, within.items[at]) if within else text
    return checked(written, before | {_INPUTS: rest}, parse)
