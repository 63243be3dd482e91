"""Choose how a host runs our server, and where its key comes from, from the options and the environment."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from agentphone_mcp.api.allowlist import is_loopback
from agentphone_mcp.commands.install.entries import (
    TOKEN_VARIABLE,
    FromFile,
    KeySource,
    PlainText,
    Setup,
    UnsupportedSetup,
)
from agentphone_mcp.commands.install.hosts import Host
from agentphone_mcp.commands.install.locations import Machine, as_text
from agentphone_mcp.commands.install.programs import Program
from agentphone_mcp.config.environment import read_key
from agentphone_mcp.variables import KEY_FILE_VARIABLE, KEY_VARIABLE


@dataclass(frozen=True)
class InstallOptions:
    """Holds the options of the command; `is_shared` if the file is part of a project that others use too."""

    read_only: bool = False
    toolsets: tuple[str, ...] = ()
    sandbox: bool = False
    remote: str | None = None
    key_file: str | None = None
    plain_key: bool = False
    is_shared: bool = False


def choose_setup(
    host: Host, options: InstallOptions, machine: Machine, program: Program, is_in_keychain: Callable[[], bool]
) -> tuple[Setup, str]:
    """Choose how a host runs our server; returns it with a sentence about the key, which may be empty.

    The keychain is asked only when needed, as it may prompt the user.

    Raises:
        UnsupportedSetup: if the host does not support this.
        ConfigError: if the key or its file is invalid.
    """
    if options.remote and host.no_remote:
        raise UnsupportedSetup(host.no_remote)
    key, note = _token(host, options, machine) if options.remote else _key(host, options, machine, is_in_keychain)
    setup = Setup(
        program.command, program.arguments, options.read_only, options.toolsets, options.sandbox, options.remote, key
    )
    return setup, note


def _key(
    host: Host, options: InstallOptions, machine: Machine, is_in_keychain: Callable[[], bool]
) -> tuple[KeySource, str]:
    if options.sandbox:
        return "none", ""
    if options.plain_key:
        key = read_key(machine.environ)
        if key is None:
            raise UnsupportedSetup(f"there is no key to write: set {KEY_VARIABLE} first, or leave --plain-key out")
        shown = f", which ends in {key.last_four}," if key.last_four else ""
        note = f"The key{shown} stands in the file in plain text: whoever can read the file has it."
        return PlainText(key.reveal()), note
    named = "" if options.is_shared else machine.environ.get(KEY_FILE_VARIABLE, "").strip()
    if file := options.key_file or named:
        path = os.path.abspath(os.path.expanduser(file))
        read_key({KEY_FILE_VARIABLE: path})
        try:
            return FromFile(as_text(path)), f"The key comes from {path}."
        except UnicodeDecodeError:
            raise UnsupportedSetup("the path of the key file is not in UTF-8, so no host could be told it") from None
    if options.is_shared:
        return "reference", _for_all(host)
    if is_in_keychain():
        return "none", "The key comes from the system's keychain."
    return _reference(host, machine)


def _reference(host: Host, machine: Machine) -> tuple[KeySource, str]:
    if host.reference == "prompt":
        return "reference", f"{host.title} asks for the key when it starts the server."
    if not host.reference:
        return "none", (
            f"{host.title} has no place for secrets: run `agentphone-mcp login`, or install again with --key-file PATH."
        )
    if machine.environ.get(KEY_VARIABLE, "").strip():
        return "reference", f"The key comes from {KEY_VARIABLE}, which must be set wherever {host.title} is started."
    return "reference", (
        "There is no key yet: run `agentphone-mcp login` and install again, both with --key-file PATH where there is "
        f"no keychain, or set {KEY_VARIABLE} before {host.title} starts."
    )


def _for_all(host: Host) -> str:
    if host.reference == "prompt":
        return f"{host.title} asks everyone for a key of their own."
    way = f"set {KEY_VARIABLE}" if host.reference else "run `agentphone-mcp login`"
    return f"The file holds no key: everyone who uses it has to {way}."


def _token(host: Host, options: InstallOptions, machine: Machine) -> tuple[KeySource, str]:
    token = machine.environ.get(TOKEN_VARIABLE, "").strip()
    if options.plain_key:
        if not token:
            raise UnsupportedSetup(f"there is no token to write: set {TOKEN_VARIABLE} first, or leave --plain-key out")
        return PlainText(token), "The token stands in the file in plain text: whoever can read the file has it."
    if not token and is_loopback(urlsplit(options.remote or "").hostname or ""):
        if not options.is_shared and (token := _token_of_this_machine()):
            return PlainText(token), "The token of this machine stands in the file: whoever can read the file has it."
        return "none", (
            f"No token is sent to this machine; if its server wants one, set {TOKEN_VARIABLE}, or start it with "
            "--http-auth local, and install again."
        )
    if host.reference == "prompt":
        return "reference", f"{host.title} asks for the server's bearer token when it connects."
    if not host.reference:
        return "none", (
            f"{host.title} takes no token from a variable: set {TOKEN_VARIABLE} and install again with --plain-key, "
            "unless the server wants none."
        )
    return (
        "reference",
        f"The bearer token comes from {TOKEN_VARIABLE}, which must be set wherever {host.title} is started.",
    )


def _token_of_this_machine() -> str | None:
    """Find the token that `--http-auth local` made.

    Raises:
        ConfigError: if others could have read or written it.
    """
    from agentphone_mcp.server.http.auth.local_token import read_local_token

    return read_local_token()
