"""Merge an entry that is already there into the one that is written: a user's own, or one of a project's file.

What a user added to their own entry is theirs, and stays. A project's file may have been written by anybody: of that
stay our own settings that loosen no rule, so that nobody's program, proxy or limits stand beside the key.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from agentphone_mcp.commands.install.entries import HostEntry
from agentphone_mcp.commands.install.programs import PACKAGE
from agentphone_mcp.commands.install.rules import loosens_nothing, setting_named, setting_of_flag
from agentphone_mcp.config.settings import Setting
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


@dataclass(frozen=True)
class Merged:
    """Holds the entry to write, and the names of what was kept and what was dropped of the one that was there."""

    entry: HostEntry
    kept: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def merge(entry: HostEntry, old: Any) -> HostEntry:
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


def merge_shared(entry: HostEntry, old: Any, environ: Mapping[str, str]) -> Merged:
    """Merge those of our settings that loosen no rule, compared with the environment, and say what was dropped.

    Nothing else stays: not the variables of other programs, no options of `uvx`, no setting of the host.
    """
    if not isinstance(old, dict):
        return Merged(entry)
    old_entry = cast("HostEntry", old)
    if not (_COMMANDS & entry.keys() and _COMMANDS & old_entry.keys()):
        return Merged(entry, (), tuple(name for name in old_entry if old_entry[name] != entry.get(name)))
    kept = dict(entry)
    names: list[str] = []
    for name in _VARIABLES & old_entry.keys():
        added = {
            variable: value
            for variable, value in _table(old_entry[name]).items()
            if isinstance(value, str) and _may_stay(setting_named(variable), value, environ)
        }
        names += added
        kept |= {name: added | _table(entry.get(name))} if added else {}
    for name in _LISTS & old_entry.keys():
        # What is only named comes from the environment of whoever starts it.
        listed = [str(each) for each in _list(old_entry[name]) if setting_named(str(each))]
        names += listed
        kept |= {name: [*_list(entry.get(name)), *listed]} if listed else {}
    arguments: list[Any] = []
    for words, setting, value in _settings_in(_added_arguments(old_entry)):
        if _may_stay(setting, value, environ):
            arguments += words
            names.append(str(words[0]).partition("=")[0])
    kept |= {"args": [*entry["args"], *arguments]}
    return Merged(kept, tuple(names), tuple(_dropped(old_entry, kept)))


def _may_stay(setting: Setting | None, value: str, environ: Mapping[str, str]) -> bool:
    return setting is not None and loosens_nothing(setting, value, environ.get(setting.variable, ""))


def _settings_in(words: list[Any]) -> Iterator[tuple[list[Any], Setting | None, str]]:
    """Split arguments into settings, each with its own words and value; None for what is no setting of ours."""
    rest = iter(words)
    for word in rest:
        flag, has_value, value = str(word).partition("=")
        setting = setting_of_flag(flag)
        if setting is None or has_value:
            yield [word], setting, value
        elif setting.default is False:
            yield [word], setting, "true"
        else:
            following = [next(rest, "")]
            yield [word, *following], setting, str(following[0])


def _dropped(old: HostEntry, kept: HostEntry) -> Iterator[str]:
    """Name what is in the old entry and not in the one that is kept: variables, options, and the host's own fields."""
    for name, value in old.items():
        if name in _VARIABLES:
            held = _table(kept.get(name))
            yield from (each for each in _table(value) if held.get(each) != _table(value)[each])
        elif name in _LISTS:
            yield from (str(each) for each in _list(value) if each not in _list(kept.get(name)))
        elif name == "args":
            missing = [str(each) for each in _list(value) if each not in _list(kept.get(name))]
            options = [each.partition("=")[0] for each in missing if each.startswith("-")]
            yield from options
            yield from ["other arguments"] if len(options) < len(missing) and not options else []
        elif kept.get(name) != value:
            yield name


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
