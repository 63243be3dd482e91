"""Add, find and remove our entry in the text of a host's file, and keep what users added to it, such as limits."""

import re
from typing import Any, cast

from agentphone_mcp.commands.install import json_editor, toml_editor, yaml_editor
from agentphone_mcp.commands.install.documents import Document, Editor, InvalidFile, table_in
from agentphone_mcp.commands.install.entries import HostEntry, input_ids
from agentphone_mcp.commands.install.hosts import SERVER_KEY, Host
from agentphone_mcp.commands.install.programs import PACKAGE
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE

_EDITORS: dict[str, Editor] = {
    "json": json_editor.EDITOR,
    "toml": toml_editor.EDITOR,
    "yaml": yaml_editor.EDITOR,
}
_COMMANDS = {"command", "cmd"}
_VARIABLES = {"env", "envs"}
_LISTS = {"env_vars", "env_keys"}
_WRITTEN_ANEW = (
    {"type", "url", "serverUrl", "httpUrl", "uri", "headers", "http_headers", "bearer_token_env_var"}
    | {"args", "enabled", "name", "timeout"}
    | _COMMANDS
    | _VARIABLES
    | _LISTS
)
_KEYS = {KEY_VARIABLE, KEY_FILE_VARIABLE}
_FLAGS = {"--read-only", "--sandbox"}
_WITH_VALUE = "--toolsets"


def parse(host: Host, text: str) -> Document:
    """Read a host's file.

    Raises:
        InvalidFile: if it cannot be parsed, with line and column where they are known.
    """
    return _EDITORS[host.format].parse(text)


def find(host: Host, text: str) -> HostEntry | None:
    """Return the entry of our server in a host's file, or None if there is none.

    Raises:
        InvalidFile: if the file cannot be parsed.
    """
    return (table_in(parse(host, text), host.table) or {}).get(SERVER_KEY)


def install(host: Host, text: str, entry: HostEntry, inputs: list[HostEntry]) -> str:
    """Return the text with our entry and, for VS Code, its input prompts; nothing else is changed.

    Settings that the user added to an existing entry of ours are kept.

    Raises:
        InvalidFile: if the file cannot be parsed, or cannot be changed safely.
    """
    written = _merge_user_settings(entry, find(host, text))
    text = _EDITORS[host.format].put(text, host.table, SERVER_KEY, written)
    for asked in inputs:
        text = json_editor.put_input(text, asked)
    wanted = [asked["id"] for asked in inputs]
    return _without_inputs(host, text, [name for name in input_ids() if name not in wanted], drop_empty=True)


def uninstall(host: Host, text: str, previous_text: str | None) -> str | None:
    """Return the text without our entry, as it was before; None if the file was created for the entry.

    The previous text is what it held before the entry was added, or None if unknown.

    Raises:
        InvalidFile: if the file cannot be parsed, or cannot be changed safely.
    """
    entry = find(host, text)
    if entry is None:
        return text
    asked = _inputs(host, parse(host, text))
    if _gives(host, previous_text or "", entry, asked, text):
        return previous_text
    before = _parsed(host, previous_text)
    drop_empty = table_in(before, host.table) is None
    text = _EDITORS[host.format].remove(text, host.table, SERVER_KEY, drop_empty=drop_empty)
    return _without_inputs(host, text, list(input_ids()), drop_empty="inputs" not in before)


def _gives(host: Host, previous_text: str, entry: HostEntry, asked: list[HostEntry], text: str) -> bool:
    try:
        return install(host, previous_text, entry, asked) == text
    except InvalidFile:
        return False


def _parsed(host: Host, previous_text: str | None) -> Document:
    try:
        return parse(host, previous_text or "")
    except InvalidFile:
        return {}


def _inputs(host: Host, document: Document) -> list[HostEntry]:
    if host.reference != "prompt":
        return []
    return [each for each in json_editor.inputs_in(document) or [] if each.get("id") in input_ids()]


def _without_inputs(host: Host, text: str, names: list[str], *, drop_empty: bool) -> str:
    if host.reference == "prompt":
        for name in names:
            text = json_editor.remove_input(text, name, drop_empty=drop_empty)
    return text


def _merge_user_settings(entry: HostEntry, old: Any) -> HostEntry:
    """Merge the user's additions to the old entry into a new entry for a local server.

    Everything that `install` itself writes, such as the key, comes from the new entry. Nothing is merged if either
    entry is of a remote server: a header meant for one server must not be sent to another.
    """
    if not isinstance(old, dict) or not (_COMMANDS & entry.keys() and _COMMANDS & old.keys()):
        return entry
    old_entry = cast("HostEntry", old)
    kept = entry | {name: value for name, value in old_entry.items() if name not in _WRITTEN_ANEW}
    for name in _VARIABLES & old_entry.keys():
        added = {variable: value for variable, value in _table(old_entry[name]).items() if variable not in _KEYS}
        kept |= {name: added | _table(entry.get(name))} if added else {}
    for name in _LISTS & old_entry.keys():
        added = [variable for variable in _list(old_entry[name]) if variable not in _KEYS]
        kept |= {name: [*_list(entry.get(name)), *added]} if added else {}
    return kept | {"args": [*entry["args"], *_added_arguments(old_entry)]}


def _added_arguments(old: HostEntry) -> list[Any]:
    """Return the arguments after the package's name in the old command, without the options that `install` writes."""
    words = [re.split(r"[/\\]", str(old.get(name)))[-1].removesuffix(".exe") for name in _COMMANDS & old.keys()]
    words += _list(old.get("args"))
    if PACKAGE not in words:
        return []
    rest, arguments = iter(words[words.index(PACKAGE) + 1 :]), list[Any]()
    for argument in rest:
        if argument == _WITH_VALUE:
            next(rest, None)
        elif argument not in _FLAGS and not str(argument).startswith(f"{_WITH_VALUE}="):
            arguments.append(argument)
    return arguments


def _table(value: Any) -> HostEntry:
    return cast("HostEntry", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
