"""What a host makes of our entry: the command or the address, and the variables that it passes on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Variables = Mapping[str, str]
Inherits = Literal["all", "basics", "all but secrets"]

SECRET_NAME = re.compile("KEY|TOKEN|AUTH|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
"""How variables are called that hold secrets."""
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
"""How an entry refers to a variable, by host; the others take every text as it stands."""
_INHERITS: dict[str, Inherits] = {"claude-desktop": "basics", "codex": "basics", "gemini": "all but secrets"}
"""What a server gets of its host's own variables, where that is not all of them."""
_BASICS = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "TMPDIR",
    "SYSTEMROOT",
    "APPDATA",
    "LOCALAPPDATA",
)
_DESKTOP_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""What a desktop program has that knows nothing of a shell."""


class InvalidEntry(ValueError):
    """An entry that starts nothing; the message is a few words."""


@dataclass(frozen=True)
class Launch:
    """A command as a host would start it.

    Attributes:
        command: a name or a path.
        arguments: what follows it.
        environ: every variable that it gets.
        search_path: where the host looks for a command that is no path.
        unset: the variables that the entry refers to and nobody has set.
        asks: whether the host asks its user for a value, and keeps it where nobody else looks.
    """

    command: str
    arguments: tuple[str, ...]
    environ: Variables
    search_path: str
    unset: tuple[str, ...]
    asks: bool = False


@dataclass(frozen=True)
class Address:
    """A server that runs elsewhere.

    Attributes:
        url: where.
        headers: what it is asked with, without those that only the host knows.
        unset: the variables that the entry refers to and nobody has set.
        asks: whether the host asks its user for a header, and keeps it where nobody else looks.
    """

    url: str
    headers: Variables
    unset: tuple[str, ...]
    asks: bool = False


class _Expansion:
    """Fills in references to variables and remembers those that are not set."""

    def __init__(self, host: str, environ: Variables) -> None:
        self._pattern = _REFERENCES.get(host)
        self._environ = environ
        self.unset: dict[str, None] = {}

    def __call__(self, text: str) -> str:
        text = _ASKED_FOR.sub("", text)
        return self._pattern.sub(self._value, text) if self._pattern else text

    def named(self, name: str) -> dict[str, str]:
        """The variable itself, where an entry lists it by its name."""
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
    """Read an entry as its host does.

    Args:
        host: its key in the catalogue.
        entry: what stands in its file.
        environ: the variables of whoever uses the host.
        platform: as in `sys.platform`.

    Raises:
        InvalidEntry: if there is neither a command nor an address in it.
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
    # Goose looks for these in the environment, and else in its own keychain.
    kept_by_host = [name for name in _names(entry.get("env_keys")) if name not in environ]
    given = _texts(entry.get("env")) | _texts(entry.get("envs"))
    variables |= {name: expand(value) for name, value in given.items()}
    # A placeholder for what is asked for or not set is no value.
    variables = {name: value for name, value in variables.items() if value or name not in given}
    has_shell = host != "claude-desktop" or platform == "win32"
    if not has_shell and "PATH" not in given:
        variables["PATH"] = _DESKTOP_PATH
    asks = bool(kept_by_host) or any(_ASKED_FOR.search(text) for text in given.values())
    return Launch(expand(command), tuple(arguments), variables, variables.get("PATH", ""), tuple(expand.unset), asks)


def is_switched_off(entry: Mapping[str, Any]) -> bool:
    """Whether the entry is there and its user turned it off."""
    return entry.get("disabled") is True or entry.get("enabled") is False


def _inherited(how: Inherits, environ: Variables) -> dict[str, str]:
    if how == "basics":
        return {name: value for name, value in environ.items() if name.upper() in _BASICS}
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
