"""Keep what users added to our entry by hand, such as limits or time-outs, when it is written again."""

import re
from typing import Any, cast

from agentphone_mcp.commands.install.entries import HostEntry
from agentphone_mcp.commands.install.programs import PACKAGE
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE

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


def merge_user_settings(entry: HostEntry, old: Any) -> HostEntry:
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
