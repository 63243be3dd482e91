"""Edit our entry in a TOML file by tomlkit's round trip, which keeps the lines of all others."""

import re
import tomllib
from os.path import commonprefix
from typing import Any, cast

from agentphone_mcp.commands.install.documents import (
    BY_HAND,
    Document,
    Editor,
    InvalidFile,
    newline_of,
    same,
    table_in,
)
from agentphone_mcp.commands.install.entries import HostEntry

_REMARKS_AT_THE_END = re.compile(r"(?:^[ \t]*(?:#.*)?(?:\r?\n|\Z))+\Z", re.MULTILINE)


def parse(text: str) -> Document:
    """Read a document.

    Raises:
        InvalidFile: with line and column, if it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", str(exc), re.DOTALL)
        if not match:
            raise InvalidFile("it is not TOML") from None
        line, column = (int(match[2]), int(match[3])) if match[2] else (text.count("\n") + 1, 1)
        raise InvalidFile.at(line, column, match[1][:1].lower() + match[1][1:]) from None
    except RecursionError:
        raise InvalidFile("it is nested too deep") from None


def _put(text: str, table: tuple[str, ...], key: str, entry: HostEntry) -> str:
    servers = table_in(parse(text), table) or {}
    if key not in servers:
        appended = _append(text, (*table, key), entry)
        try:
            parse(appended)
        except InvalidFile:
            pass  # the table is inline, so that no section can add to it
        else:
            return appended

    def change(document: Any) -> None:
        for name in table:
            document = document[name]
        if key not in document:
            document[key] = _inline(entry)
            return
        for name in [name for name in document[key] if name not in entry]:
            del document[key][name]
        for name, value in entry.items():
            if not same(servers[key].get(name), value):
                document[key][name] = _inline(value)

    written = _round_trip(text, change)
    return written if text.endswith("\n") else written.removesuffix(newline_of(text))


def _remove(text: str, table: tuple[str, ...], key: str, _drop_empty: bool) -> str:
    def change(document: Any) -> None:
        for name in table:
            document = document[name]
        del document[key]

    return _keep_remarks(text, _round_trip(text, change))


# A table has a header of its own, or goes with its only section.
EDITOR = Editor(parse, _put, _remove, has_headers=True)


def _round_trip(text: str, change: Any) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        change(document)
        written = document.as_string()
    except (TOMLKitError, KeyError, TypeError, AttributeError, ValueError):
        raise InvalidFile(BY_HAND) from None
    # tomlkit ends the lines that it adds in \n.
    return written if "\n" in text.replace("\r\n", "") else re.sub("\r?\n", newline_of(text), written)


def _append(text: str, path: tuple[str, ...], entry: HostEntry) -> str:
    import tomlkit

    body = tomlkit.table()
    for name, value in entry.items():
        body[name] = _inline(value)
    newline = newline_of(text)
    section = f"[{'.'.join(path)}]\n{tomlkit.dumps(body)}".replace("\n", newline)
    if not text:
        return section
    return f"{text}{newline}{section}" if text.endswith("\n") else f"{text}{newline * 2}{section.removesuffix(newline)}"


def _inline(value: Any) -> Any:
    import tomlkit

    if not isinstance(value, dict):
        return value
    table = tomlkit.inline_table()
    for name, each in cast("HostEntry", value).items():
        table[name] = each
    return table


def _keep_remarks(text: str, written: str) -> str:
    """Put back the remarks on what follows, which tomlkit removes with a section, and drop the empty line before it."""
    start = text.rfind("\n", 0, len(commonprefix([text, written]))) + 1  # noqa: RUF071 - of texts
    length = len(text) - len(written)
    before, after = text[:start], text[start + length :]

    if before + after != written:
        return written
    newline = newline_of(text)
    remarks = _REMARKS_AT_THE_END.search(text[start : start + length])
    if before.endswith(newline * 2):
        before = before.removesuffix(newline)
    if not after and not text.endswith("\n"):
        before = before.removesuffix(newline)
    return before + (remarks[0] if remarks else "") + after
