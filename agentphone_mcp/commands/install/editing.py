"""Add, find and remove our entry in the text of a host's file, and keep what users added to it, such as limits."""

from collections.abc import Mapping

from agentphone_mcp.commands.install import json_editor, toml_editor, yaml_editor
from agentphone_mcp.commands.install.documents import Document, Editor, InvalidFile, table_in
from agentphone_mcp.commands.install.entries import HostEntry, input_ids
from agentphone_mcp.commands.install.hosts import SERVER_KEY, Host
from agentphone_mcp.commands.install.merging import Merged, merge, merge_shared

_EDITORS: dict[str, Editor] = {
    "json": json_editor.EDITOR,
    "toml": toml_editor.EDITOR,
    "yaml": yaml_editor.EDITOR,
}


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
    return _put(host, text, merge(entry, find(host, text)), inputs)


def install_shared(
    host: Host, text: str, entry: HostEntry, inputs: list[HostEntry], environ: Mapping[str, str]
) -> tuple[str, Merged]:
    """Return the text as `install` does, for a file that others may have written, and what was kept and dropped.

    Raises:
        InvalidFile: if the file cannot be parsed or changed safely, or asks for the key in a way that is not ours.
    """
    for asked in _inputs(host, parse(host, text)):
        ours = next((each for each in inputs if each["id"] == asked["id"]), None)
        if ours and asked | {"description": ours["description"]} != ours:
            raise InvalidFile(f"it asks for {asked['id']} in another way than ours: take that input out first")
    merged = merge_shared(entry, find(host, text), environ)
    return _put(host, text, merged.entry, inputs), merged


def _put(host: Host, text: str, entry: HostEntry, inputs: list[HostEntry]) -> str:
    text = _EDITORS[host.format].put(text, host.table, SERVER_KEY, entry)
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
