"""Edit our entry in JSON files with comments and, for VS Code, its input prompts."""

from typing import Any, cast

from agentphone_mcp.commands.install import json_text
from agentphone_mcp.commands.install.documents import (
    Document,
    Editor,
    InvalidFile,
    checked,
    newline_of,
    table_in,
    without_entry,
)
from agentphone_mcp.commands.install.entries import HostEntry

_INPUTS = "inputs"


def _put(text: str, table: tuple[str, ...], key: str, entry: Any) -> str:
    if json_text.container_at(text, ()) is None:
        newline = newline_of(text)
        text = f"{text}{{}}" if not text or text.endswith("\n") else f"{text}{newline}{{}}"
        return _put(text, table, key, entry) + newline
    for depth in range(len(table), -1, -1):
        container = json_text.container_at(text, table[:depth])
        if container is None:
            continue
        name, *missing = (*table, key)[depth:]
        value = entry
        for item in reversed(missing):
            value = {item: value}
        matches = [item for item in container.items if item.name == name]
        if matches:
            return json_text.replace(text, matches[-1], value)
        return json_text.insert(text, container, name, value)
    return text


def _remove(text: str, table: tuple[str, ...], key: str, drop_empty: bool) -> str:
    wanted = without_entry(json_text.parse(text), table, key, drop_empty=drop_empty)
    path = (*table, key)
    while len(path) > 1 and drop_empty and not table_in(wanted, path[:-1]):
        path = path[:-1]
    return _without(text, path)


def _without(text: str, path: tuple[str, ...]) -> str:
    container = json_text.container_at(text, path[:-1])
    matches = [item for item in container.items if item.name == path[-1]] if container else []
    if not container or not matches:
        raise InvalidFile(f"{path[-1]} is not where it should be")
    return json_text.remove(text, container, matches[-1])


EDITOR = Editor(json_text.parse, _put, _remove)


def inputs_in(document: Document) -> list[Document] | None:
    """Return the input prompts of VS Code, or None if their list does not exist.

    Raises:
        InvalidFile: if it is not a list of objects.
    """
    existing: Any = document.get(_INPUTS)
    if existing is None:
        return None
    if not isinstance(existing, list) or not all(isinstance(item, dict) for item in cast("list[Any]", existing)):
        raise InvalidFile(f"{_INPUTS} is no list of objects: mend it first")
    return cast("list[Document]", existing)


def put_input(text: str, asked: HostEntry) -> str:
    """Add an input prompt unless one with its id exists.

    Raises:
        InvalidFile: if the text cannot be parsed, or cannot be changed safely.
    """
    before = json_text.parse(text)
    existing = inputs_in(before)
    if existing is None:
        return EDITOR.put(text, (), _INPUTS, [asked])
    if any(item.get("id") == asked["id"] for item in existing):
        return text
    container = json_text.container_at(text, (_INPUTS,))
    written = json_text.insert(text, container, None, asked) if container else text
    return checked(written, json_text.parse, before | {_INPUTS: [asked, *existing]})


def remove_input(text: str, name: str, *, drop_empty: bool) -> str:
    """Remove an input prompt unless an entry still refers to it.

    Raises:
        InvalidFile: if the text cannot be parsed, or cannot be changed safely.
    """
    before = json_text.parse(text)
    existing = inputs_in(before) or []
    ids = [item.get("id") for item in existing]
    if name not in ids or f"${{input:{name}}}" in text:
        return text
    at = ids.index(name)
    rest = existing[:at] + existing[at + 1 :]
    if not rest and drop_empty:
        wanted = {item: value for item, value in before.items() if item != _INPUTS}
        return checked(_without(text, (_INPUTS,)), json_text.parse, wanted)
    container = json_text.container_at(text, (_INPUTS,))
    written = json_text.remove(text, container, container.items[at]) if container else text
    return checked(written, json_text.parse, before | {_INPUTS: rest})
