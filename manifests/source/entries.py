"""Generate a file for each host with our entry alone, for a local and, where supported, a remote server."""

import json
from typing import Any

import tomlkit
import yaml

from agentphone_mcp.commands.install.entries import Setup, build_document
from agentphone_mcp.commands.install.hosts import HOSTS, Host

LOCAL = Setup()
REMOTE = Setup(remote="https://phone.example.com/mcp")


def as_json(value: Any) -> str:
    """Serialize to JSON with an indentation of two spaces."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


_WRITE = {
    "json": as_json,
    "toml": tomlkit.dumps,
    "yaml": lambda value: yaml.safe_dump(value, sort_keys=False, allow_unicode=True),
}


def local_name(host: Host) -> str:
    """Return the name of the file with the local entry."""
    return f"{host.key}.{host.format}"


def remote_name(host: Host) -> str | None:
    """Return the name of the file with the remote entry; None if the host takes none in its file."""
    return None if host.no_remote else f"{host.key}.remote.{host.format}"


def entries() -> dict[str, str]:
    """Return the text of every file by its name."""
    files = {}
    for host in HOSTS.values():
        setups = {local_name(host): LOCAL, remote_name(host): REMOTE}
        files |= {name: _WRITE[host.format](build_document(host, setup)) for name, setup in setups.items() if name}
    return files
