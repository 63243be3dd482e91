"""A file for each host with our entry alone, local and, where the host can, for a server that runs elsewhere."""

import json
from typing import Any

import tomlkit
import yaml

from agentphone_mcp.commands.install.entries import Setup, build_document
from agentphone_mcp.commands.install.hosts import HOSTS, Host

LOCAL = Setup()
REMOTE = Setup(remote="https://phone.example.com/mcp")


def as_json(value: Any) -> str:
    """JSON as people indent it."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


_WRITE = {
    "json": as_json,
    "toml": tomlkit.dumps,
    "yaml": lambda value: yaml.safe_dump(value, sort_keys=False, allow_unicode=True),
}


def local_name(host: Host) -> str:
    """What the file with the local entry is called."""
    return f"{host.key}.{host.format}"


def remote_name(host: Host) -> str | None:
    """What the file with the remote entry is called; None if the host's file takes no such entry."""
    return None if host.no_remote else f"{host.key}.remote.{host.format}"


def entries() -> dict[str, str]:
    """The text of every file by its name."""
    files = {}
    for host in HOSTS.values():
        setups = {local_name(host): LOCAL, remote_name(host): REMOTE}
        files |= {name: _WRITE[host.format](build_document(host, setup)) for name, setup in setups.items() if name}
    return files
