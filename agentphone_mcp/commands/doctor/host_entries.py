"""Read our entry as its host does: the command or the URL, and the variables that it passes on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Variables = Mapping[str, str]
Inherits = Literal["all", "basics", "all but secrets"]

SECRET_NAME = re.compile("KEY|TOKEN|AUTH|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
"""Matches names of variables that hold secrets."""
_IN_BRACES = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_OF_ENV = re.compile(r"\$\{env:(?P<name>\w+)\}")
_OF_SHELL = re.compile(r"\$(?:\{(?P<name>\w+)\}|(?P<bare>\w+))")
_IN_HEADER = re.compile(r"[\t -~]*")
_ASKED_FOR = re.compile(r"\$\{input:[^}]*\}")
_REFERENCES = {
    "claude-code": _IN_BRACES,
    "cursor": _OF_ENV,
    "windsurf": _OF_ENV,
    "vscode": _OF_ENV,
    "gemini": _OF_SHELL,
    "goose": _IN_BRACES,
}
"""Matches references to variables in an entry, by host; other hosts have none."""
_INHERITS: dict[str, Inherits] = {"claude-desktop": "basics", "codex": "basics", "gemini": "all but secrets"}
"""Which of its own variables a host passes on, if not all."""
_BASICS = re.compile("PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|TMPDIR|SYSTEMROOT|APPDATA|LOCALAPPDATA", re.IGNORECASE)
_DESKTOP_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""The PATH of a desktop program that was not started from a shell."""


class InvalidEntry(ValueError):
    """Reports an entry that starts nothing, in a few words."""


@dataclass(frozen=True)
class Launch:
    """Describes a command as a host would start it.

    Attributes:
        command: its name or path.
        environ: all its environment variables.
        search_path: where the host looks for a command given by name.
        unset: the variables that the entry refers to and that are not set.
        asks: whether the host asks its user for a value and stores it itself.
    """

    command: str
    arguments: tuple[str, ...]
    environ: Variables
    search_path: str
    unset: tuple[str, ...]
    asks: bool = False


@dataclass(frozen=True)
class Address:
    """Describes a remote server.

    Attributes:
        headers: the headers of requests, without those that only the host knows.
        unset: the variables that the entry refers to and that are not set.
        asks: whether the host asks its user for a header and stores it itself.
    """

    url: str
    headers: Variables
    unset: tuple[str, ...]
    asks: bool = False


class _Expansion:
    """Replaces references to variables and collects the names of those not set."""

    def __init__(self, host: str, environ: Variables) -> None:
        self._pattern = _REFERENCES.get(host)
        self._environ = environ
        self.unset: dict[str, None] = {}

    def __call__(self, text: str) -> str:
        text = _ASKED_FOR.sub("", text)
        return self._pattern.sub(self._value, text) if self._pattern else text

    def named(self, name: str) -> dict[str, str]:
        """Return a variable that an entry lists by name, or nothing if it is not set."""
        if name not in self._environ:
            self.unset[name] = None
        return {name: self._environ[name]} if name in self._environ else {}

    def _value(self, match: re.Match[str]) -> str:
        parts = match.groupdict()
        name, default = str(parts["name"] or parts.get("bare")), parts.get("default")
        if not self._environ.get(name) and default is not None:
            return default
        return self.named(name).get(name, "")


def read_entry(host: str, entry: Mapping[str, Any], environ: Variables, platform: str) -> Launch | Address:
    """Read an entry as its host, named by its key, does on a platform, named as in `sys.platform`.

    Raises:
        InvalidEntry: if it has neither a command nor a URL, or a header cannot be sent.
    """
    expand = _Expansion(host, environ)
    url = next((entry[name] for name in ("url", "serverUrl", "httpUrl", "uri") if _is_text(entry.get(name))), None)
    if url is not None:
        listed = _texts(entry.get("headers")) | _texts(entry.get("http_headers"))
        headers = {name: expand(value).strip() for name, value in listed.items() if not _ASKED_FOR.search(value)}
        token = entry.get("bearer_token_env_var")
        if isinstance(token, str) and (held := expand.named(token)):
            headers["Authorization"] = f"Bearer {held[token]}"
        if invalid := [name for name, value in headers.items() if not _IN_HEADER.fullmatch(value)]:
            raise InvalidEntry(f"its header {invalid[0]} has a character that no header may have")
        return Address(expand(url), headers, tuple(expand.unset), len(headers) < len(listed))
    command = entry.get("command", entry.get("cmd"))
    if not _is_text(command):
        raise InvalidEntry("it names no command and no URL")
    args = entry.get("args", [])
    arguments = [expand(str(argument)) for argument in cast("list[object]", args)] if isinstance(args, list) else []
    variables = _inherited(_INHERITS.get(host, "all"), environ)
    for name in _names(entry.get("env_vars")):
        variables |= expand.named(name)
    # Goose reads these from the environment, or else from its own keychain.
    kept_by_host = [name for name in _names(entry.get("env_keys")) if name not in environ]
    given = _texts(entry.get("env")) | _texts(entry.get("envs"))
    variables |= {name: expand(value) for name, value in given.items()}
    # A placeholder that became empty counts as no value.
    variables = {name: value for name, value in variables.items() if value or name not in given}
    has_shell = host != "claude-desktop" or platform == "win32"
    if not has_shell and "PATH" not in given:
        variables["PATH"] = _DESKTOP_PATH
    asks = bool(kept_by_host) or any(_ASKED_FOR.search(text) for text in given.values())
    return Launch(expand(command), tuple(arguments), variables, variables.get("PATH", ""), tuple(expand.unset), asks)


def is_switched_off(entry: Mapping[str, Any]) -> bool:
    """Tell whether the user switched the entry off."""
    return entry.get("disabled") is True or entry.get("enabled") is False


def _inherited(how: Inherits, environ: Variables) -> dict[str, str]:
    if how == "basics":
        return {name: value for name, value in environ.items() if _BASICS.fullmatch(name)}
    if how == "all but secrets":
        return {name: value for name, value in environ.items() if not SECRET_NAME.search(name)}
    return dict(environ)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: str(text) for name, text in cast("dict[str, object]", value).items()}


def _names(value: object) -> list[str]:
    return [str(name) for name in cast("list[object]", value)] if isinstance(value, list) else []
