"""List the supported hosts: their files, formats, names for things, and limitations."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentphone_mcp.commands.install import locations
from agentphone_mcp.commands.install.locations import Machine

SERVER_KEY = "agentphone"
"""Names our server in hosts, which prefix tool names with it; Gemini allows no underscore in it."""


@dataclass(frozen=True)
class Host:
    """Describes a program that starts MCP servers.

    Attributes:
        key: its name on our command line.
        title: its name for people.
        user_files: the files that it may read for a user, most likely first.
        format: the format of its file; `json` may have comments and trailing commas.
        table: the path of the table of servers in the document, outermost name first.
        project_file: the file within a project that it reads, with slashes; None if it reads none.
        reference: how its entries refer to an environment variable, so that its file needs no key: `prompt` asks the
            user, `names` lists the variable by name, None cannot; else a pattern for `str.format`.
        no_remote: what to do instead if its file takes no remote server; None if it does.
        signs: names in the home folder that show it is in use, besides the folders of `user_files`.
    """

    key: str
    title: str
    user_files: Callable[[Machine], tuple[Path, ...]]
    format: Literal["json", "toml", "yaml"] = "json"
    table: tuple[str, ...] = ("mcpServers",)
    project_file: str | None = None
    reference: str | None = None
    no_remote: str | None = None
    signs: tuple[str, ...] = ()

    def user_file(self, machine: Machine) -> Path:
        """Choose the file to write: the first that exists, else the first whose folder does, else the first of all."""
        files = self.user_files(machine)
        # os.path answers False instead of raising where a folder cannot be read.
        there = [file for file in files if os.path.isfile(file)] or [
            file for file in files if os.path.isdir(file.parent)
        ]
        return (there or files)[0]

    def is_installed(self, machine: Machine) -> bool:
        """Tell whether the host is in use here: one of its files exists, or a folder that only it creates."""
        marks = [machine.home / sign for sign in self.signs]
        for file in self.user_files(machine):
            marks += [file] if file.parent == machine.home else [file, file.parent]
        return any(os.path.exists(mark) for mark in marks)


_HOSTS = (
    Host(
        "claude-desktop",
        "Claude Desktop",
        locations.claude_desktop,
        no_remote=(
            "Claude Desktop takes no URL in its file: add the server in its settings under Connectors as a custom "
            "connector, or bridge it with the third-party `npx mcp-remote URL`"
        ),
    ),
    Host(
        "claude-code",
        "Claude Code",
        lambda machine: ((machine.folder_in("CLAUDE_CONFIG_DIR") or machine.home) / ".claude.json",),
        project_file=".mcp.json",
        reference="${{{}}}",
        signs=(".claude",),
    ),
    Host(
        "cursor",
        "Cursor",
        lambda machine: (machine.home / ".cursor/mcp.json",),
        project_file=".cursor/mcp.json",
        reference="${{env:{}}}",
    ),
    Host("windsurf", "Windsurf", locations.windsurf, project_file=".devin/mcp_config.json", reference="${{env:{}}}"),
    Host(
        "vscode", "VS Code", locations.vscode, table=("servers",), project_file=".vscode/mcp.json", reference="prompt"
    ),
    Host("zed", "Zed", locations.zed, table=("context_servers",), project_file=".zed/settings.json"),
    Host(
        "codex",
        "Codex CLI",
        lambda machine: ((machine.folder_in("CODEX_HOME") or machine.home / ".codex") / "config.toml",),
        format="toml",
        table=("mcp_servers",),
        project_file=".codex/config.toml",
        reference="names",
    ),
    Host(
        "gemini",
        "Gemini CLI",
        lambda machine: (machine.home / ".gemini/settings.json",),
        project_file=".gemini/settings.json",
        reference="${}",
    ),
    Host("goose", "Goose", locations.goose, format="yaml", table=("extensions",), reference="names"),
)
HOSTS: dict[str, Host] = {host.key: host for host in _HOSTS}
"""Maps the key of each host to it, in the order in which they are shown."""
