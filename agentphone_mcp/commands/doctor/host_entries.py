"""Read our entry as its host does, but hand out less: the command or the URL, and the variables that it gets.

A file that others may write decides what is started, and where requests go. So a command gets what every program needs
and what its entry names, and a server elsewhere gets its own bearer token and no other variable.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.api.redaction import Secrets
from agentphone_mcp.commands.install.entries import TOKEN_VARIABLE
from agentphone_mcp.config.environment import read_key
from agentphone_mcp.config.settings import ConfigError

EnvironmentVariables = Mapping[str, str]
Inherits = Literal["usual", "basics", "usual but secrets"]

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
_INHERITS: dict[str, Inherits] = {"claude-desktop": "basics", "codex": "basics", "gemini": "usual but secrets"}
"""Which of its own variables a host passes on, if it passes on fewer than the usual ones."""
_BASICS = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LC_[A-Z]+|TMPDIR|TEMP|TMP|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT"
    "|USERPROFILE|USERNAME|HOMEDRIVE|HOMEPATH|APPDATA|LOCALAPPDATA|PROGRAMFILES|PROGRAMDATA",
    re.IGNORECASE,
)
_OF_NETWORK = re.compile("(HTTP|HTTPS|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)", re.IGNORECASE)
_USUAL = re.compile("AGENTPHONE_[A-Z_]+|XDG_[A-Z_]+|DBUS_SESSION_BUS_ADDRESS|UV_[A-Z_]+")
"""What our server and `uvx` read; a host that passes everything on gives more, such as the keys of other services."""
_FOR_PROJECTS = re.compile("AGENTPHONE_(?!HTTP_)[A-Z_]+")
"""Which variables a project's entry may name."""
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
    environ: EnvironmentVariables
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
        withheld: the headers that are not sent from here, as they hold a key or refer to more than our own token; `URL`
            if the URL refers to a variable.
    """

    url: str
    headers: Mapping[str, str]
    unset: tuple[str, ...]
    asks: bool = False
    withheld: tuple[str, ...] = ()


class _Expansion:
    """Replaces references to variables and collects the names of those not set."""

    def __init__(self, host: str, environ: EnvironmentVariables) -> None:
        self._pattern = _REFERENCES.get(host)
        self._environ = environ
        self.unset: dict[str, None] = {}

    def __call__(self, text: str) -> str:
        text = _ASKED_FOR.sub("", text)
        return self._pattern.sub(self._value, text) if self._pattern else text

    def refers_to(self, text: str) -> set[str]:
        """Return the names of the variables that a text refers to."""
        matches = self._pattern.finditer(text) if self._pattern else ()
        return {str(match["name"] or match.groupdict().get("bare")) for match in matches}

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


def read_entry(
    host: str, entry: Mapping[str, Any], environ: EnvironmentVariables, platform: str, *, of_project: bool = False
) -> Launch | Address:
    """Read an entry as its host, named by its key, does on a platform, named as in `sys.platform`.

    Of a project's entry, references to other variables than ours count as not set.

    Raises:
        InvalidEntry: if it has neither a command nor a URL, or a header cannot be sent.
    """
    url = next((entry[name] for name in ("url", "serverUrl", "httpUrl", "uri") if _is_text(entry.get(name))), None)
    if url is not None:
        return _read_address(host, entry, url, environ)
    command = entry.get("command", entry.get("cmd"))
    if not _is_text(command):
        raise InvalidEntry("it names no command and no URL")
    how = _INHERITS.get(host, "usual")
    if of_project:
        environ = {name: value for name, value in environ.items() if _is_for_projects(name)}
        how = "basics" if how == "basics" else "usual but secrets"
    expand = _Expansion(host, environ)
    args = entry.get("args", [])
    arguments = [expand(str(argument)) for argument in cast("list[object]", args)] if isinstance(args, list) else []
    variables = _inherited(how, environ)
    for name in _names(entry.get("env_vars")):
        variables |= expand.named(name)
    # Goose reads these from the environment, or else from its own keychain.
    kept_by_host = [name for name in _names(entry.get("env_keys")) if name not in environ]
    for name in _names(entry.get("env_keys")):
        variables |= expand.named(name) if name in environ else {}
    given = _texts(entry.get("env")) | _texts(entry.get("envs"))
    variables |= {name: expand(value) for name, value in given.items()}
    # A placeholder that became empty counts as no value.
    variables = {name: value for name, value in variables.items() if value or name not in given}
    has_shell = host != "claude-desktop" or platform == "win32"
    if not has_shell and "PATH" not in given:
        variables["PATH"] = _DESKTOP_PATH
    asks = bool(kept_by_host) or any(_ASKED_FOR.search(text) for text in given.values())
    return Launch(expand(command), tuple(arguments), variables, variables.get("PATH", ""), tuple(expand.unset), asks)


def _read_address(host: str, entry: Mapping[str, Any], url: str, environ: EnvironmentVariables) -> Address:
    """Read the entry of a remote server, of which only our own token is filled in, and only in headers."""
    expand = _Expansion(host, {name: value for name, value in environ.items() if name == TOKEN_VARIABLE})
    withheld = ["URL"] if expand.refers_to(url) else []
    listed = _texts(entry.get("headers")) | _texts(entry.get("http_headers"))
    token = entry.get("bearer_token_env_var")
    if token == TOKEN_VARIABLE:
        if held := expand.named(token):
            listed["Authorization"] = f"Bearer {held[token]}"
    elif isinstance(token, str):
        withheld.append("Authorization")
    headers: dict[str, str] = {}
    for name, text in listed.items():
        value = expand(text).strip()
        if not (_IN_HEADER.fullmatch(name) and _IN_HEADER.fullmatch(value)):
            raise InvalidEntry(f"its header {mask_keys(name)} has a character that no header may have")
        if _ASKED_FOR.search(text):
            continue
        if expand.refers_to(text) - {TOKEN_VARIABLE} or _holds_key(f"{name}: {value}", environ):
            withheld.append(name)
        else:
            headers[name] = value
    unset = tuple(name for name in expand.unset if name == TOKEN_VARIABLE)
    return Address(url, headers, unset, any(map(_ASKED_FOR.search, listed.values())), tuple(withheld))


def _holds_key(text: str, environ: EnvironmentVariables) -> bool:
    """Tell whether a text holds an API key, the one in the environment or any that looks like one, in any encoding."""
    key = None
    with suppress(ConfigError):
        key = read_key(environ)
    return mask_keys(text) != text or Secrets(key).redact(text) != text


def is_switched_off(entry: Mapping[str, Any]) -> bool:
    """Tell whether the user switched the entry off."""
    return entry.get("disabled") is True or entry.get("enabled") is False


def _inherited(how: Inherits, environ: EnvironmentVariables) -> dict[str, str]:
    if how == "basics":
        return {name: value for name, value in environ.items() if _BASICS.fullmatch(name)}
    usual = {name: value for name, value in environ.items() if _is_basic(name) or _USUAL.fullmatch(name)}
    return {name: value for name, value in usual.items() if how == "usual" or not SECRET_NAME.search(name)}


def _is_basic(name: str) -> bool:
    return bool(_BASICS.fullmatch(name) or _OF_NETWORK.fullmatch(name))


def _is_for_projects(name: str) -> bool:
    return _is_basic(name) or bool(_FOR_PROJECTS.fullmatch(name))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: str(text) for name, text in cast("dict[str, object]", value).items()}


def _names(value: object) -> list[str]:
    return [str(name) for name in cast("list[object]", value)] if isinstance(value, list) else []
