"""Build the entry of our server for a host's file, in the shape that each host expects."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from agentphone_mcp.commands.install.hosts import SERVER_KEY, Host
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE

TOKEN_VARIABLE = "AGENTPHONE_MCP_TOKEN"  # noqa: S105 - the name of a variable
"""Names the variable with the bearer token for a remote server."""
_TITLES = {KEY_VARIABLE: "AgentPhone API key", TOKEN_VARIABLE: "Bearer token of the AgentPhone MCP server"}
_GOOSE_TIMEOUT = 300
"""Seconds that Goose waits for an answer, as in the entries that it writes itself."""

HostEntry = dict[str, Any]


class UnsupportedSetup(ValueError):
    """Reports that a host does not support this setup, in one sentence that says what to do instead."""


@dataclass(frozen=True)
class FromFile:
    """Reads the key from a file that the entry names."""

    path: str


@dataclass(frozen=True)
class PlainText:
    """Writes the key, or the bearer token of a remote server, into the host's file in plain text."""

    value: str = field(repr=False)


KeySource = Literal["reference", "none"] | FromFile | PlainText


@dataclass(frozen=True)
class Setup:
    """Describes how a host runs our server.

    Attributes:
        command: the program to start: `uvx`, as an absolute path because desktop programs lack the shell's PATH.
        program_arguments: arguments that select our server; its own options follow them.
        toolsets: empty for all.
        remote: the URL of a server that runs elsewhere, instead of a command.
        key: where the key, or the token of a remote server, comes from. `reference` uses the host's own reference to a
            variable; `none` writes nothing, because the server finds the key in the keychain or needs none.
    """

    command: str = "uvx"
    program_arguments: tuple[str, ...] = ("agentphone-mcp",)
    read_only: bool = False
    toolsets: tuple[str, ...] = ()
    sandbox: bool = False
    remote: str | None = None
    key: KeySource = "reference"

    @property
    def variable(self) -> str:
        """Return the name of the variable that holds the key or the token."""
        return TOKEN_VARIABLE if self.remote else KEY_VARIABLE

    @property
    def all_arguments(self) -> list[str]:
        """Return all arguments after the command."""
        options = ["--read-only"] if self.read_only else []
        options += ["--toolsets", ",".join(self.toolsets)] if self.toolsets else []
        return [*self.program_arguments, *options, *(["--sandbox"] if self.sandbox else [])]


def build_entry(host: Host, setup: Setup, file: Path | None = None) -> HostEntry:
    """Build the entry of our server for a host; `file` matters to Windsurf alone.

    Raises:
        UnsupportedSetup: if the host has no way to do this.
    """
    if setup.remote:
        return _remote(host, setup, setup.remote, file)
    if host.key == "goose":
        return _for_goose({"type": "stdio", "cmd": setup.command, "args": setup.all_arguments}, _goose_secret(setup))
    typed = {"type": "stdio"} if host.key in ("claude-code", "vscode") else {}
    return typed | {"command": setup.command, "args": setup.all_arguments} | _environment(host, setup)


def build_inputs(host: Host, setup: Setup) -> list[HostEntry]:
    """Build the input prompts by which VS Code asks for the secret once; empty for other hosts."""
    if host.reference != "prompt" or not _refers(setup):
        return []
    title = _TITLES[setup.variable]
    return [{"type": "promptString", "id": setup.variable.lower(), "description": title, "password": True}]


def input_ids() -> tuple[str, ...]:
    """Return the ids of all input prompts that may be ours."""
    return tuple(variable.lower() for variable in _TITLES)


def build_document(host: Host, setup: Setup, file: Path | None = None) -> HostEntry:
    """Build a whole document that holds only our entry, as in the host's file.

    Raises:
        UnsupportedSetup: if the host has no way to do this.
    """
    written: HostEntry = {SERVER_KEY: build_entry(host, setup, file)}
    for name in reversed(host.table):
        written = {name: written}
    asked = build_inputs(host, setup)
    return {"inputs": asked} | written if asked else written


def _refers(setup: Setup) -> bool:
    return setup.key == "reference" and not setup.sandbox


def _reference(host: Host, variable: str) -> str | None:
    """Return how the host's file refers to an environment variable; None if it cannot."""
    if host.reference == "prompt":
        return f"${{input:{variable.lower()}}}"
    if host.reference in (None, "names"):
        return None
    return host.reference.format(variable)


def _environment(host: Host, setup: Setup) -> HostEntry:
    if setup.sandbox or setup.key == "none":
        return {}
    if isinstance(setup.key, FromFile):
        return {"env": {KEY_FILE_VARIABLE: setup.key.path}}
    if isinstance(setup.key, PlainText):
        return {"env": {KEY_VARIABLE: setup.key.value}}
    if host.reference == "names":
        return {"env_vars": [KEY_VARIABLE]}
    reference = _reference(host, KEY_VARIABLE)
    if host.key == "claude-code":
        # An unset variable becomes empty, which counts as unset, so that the keychain is still asked.
        reference = f"${{{KEY_VARIABLE}:-}}"
    return {"env": {KEY_VARIABLE: reference}} if reference else {}


def _remote(host: Host, setup: Setup, url: str, file: Path | None) -> HostEntry:
    if host.no_remote:
        raise UnsupportedSetup(host.no_remote)
    if isinstance(setup.key, FromFile):
        raise UnsupportedSetup("a server that runs elsewhere has a key of its own: leave the key file out")
    if host.key == "codex":
        return {"url": url} | _codex_token(setup)
    if host.key == "goose":
        keys = {"env_keys": [TOKEN_VARIABLE]} if _refers(setup) else {}
        headers = _headers(setup, f"${{{TOKEN_VARIABLE}}}")
        return _for_goose({"type": "streamable_http", "uri": url}, headers | keys)
    address = {
        "claude-code": {"type": "http", "url": url},
        "vscode": {"type": "http", "url": url},
        "gemini": {"httpUrl": url},
        # Devin Desktop, the successor of Windsurf, reads another file, where the field is `url`.
        "windsurf": {"url": url} if file and "devin" in file.parent.name else {"serverUrl": url},
    }
    return address.get(host.key, {"url": url}) | _headers(setup, _reference(host, TOKEN_VARIABLE))


def _headers(setup: Setup, reference: str | None) -> HostEntry:
    token = setup.key.value if isinstance(setup.key, PlainText) else reference if _refers(setup) else None
    return {"headers": {"Authorization": f"Bearer {token}"}} if token else {}


def _codex_token(setup: Setup) -> HostEntry:
    if isinstance(setup.key, PlainText):
        return {"http_headers": {"Authorization": f"Bearer {setup.key.value}"}}
    return {"bearer_token_env_var": TOKEN_VARIABLE} if _refers(setup) else {}


def _for_goose(server: HostEntry, secret: HostEntry) -> HostEntry:
    return {"enabled": True, "name": "AgentPhone"} | server | secret | {"timeout": _GOOSE_TIMEOUT}


def _goose_secret(setup: Setup) -> HostEntry:
    if isinstance(setup.key, FromFile):
        return {"envs": {KEY_FILE_VARIABLE: setup.key.path}}
    if isinstance(setup.key, PlainText) and not setup.sandbox:
        return {"envs": {KEY_VARIABLE: setup.key.value}}
    return {"env_keys": [KEY_VARIABLE]} if _refers(setup) else {}
