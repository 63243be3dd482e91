"""Locate the files of hosts that differ by system; only `read_machine` looks at this one."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Describes the home of a user on a machine.

    Attributes:
        platform: as in `sys.platform`; all but `darwin` and `win32` are treated as Linux.
        home: the home folder.
        environ: the environment variables by which hosts find their folders.
    """

    platform: str
    home: Path
    environ: Mapping[str, str]

    @property
    def roaming(self) -> Path:
        """Return the folder for program settings on Windows."""
        return self.folder_in("APPDATA") or self.home / "AppData" / "Roaming"

    @property
    def local(self) -> Path:
        """Return the folder for data local to a Windows machine, such as Store apps."""
        return self.folder_in("LOCALAPPDATA") or self.home / "AppData" / "Local"

    @property
    def config(self) -> Path:
        """Return the folder for program settings on Linux, which some programs use on macOS too."""
        return self.folder_in("XDG_CONFIG_HOME") or self.home / ".config"

    @property
    def application_support(self) -> Path:
        """Return the settings folder of desktop programs: `Application Support`, `%APPDATA%` or `~/.config`."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.roaming if self.platform == "win32" else self.config

    def folder_in(self, variable: str) -> Path | None:
        """Return the folder that a variable names; None if it is unset or not an absolute path."""
        named = Path(self.environ.get(variable, ""))
        return named if named.is_absolute() else None


def as_text(path: str | Path) -> str:
    """Decode a path as UTF-8, even where Python's file system encoding is ASCII.

    Raises:
        UnicodeDecodeError: if it is not UTF-8.
    """
    return os.fsencode(path).decode()


def read_machine(environ: Mapping[str, str]) -> Machine:
    """Describe this machine and the user's home, which is `/` for a user without one, as in containers."""
    try:
        home = Path.home()
    except RuntimeError:
        home = Path("/")
    return Machine(sys.platform, home, environ)


def claude_desktop(machine: Machine) -> tuple[Path, ...]:
    """List the files of Claude Desktop; an install from the Store (MSIX) ignores the usual one."""
    usual = machine.application_support / "Claude" / "claude_desktop_config.json"
    if machine.platform != "win32":
        return (usual,)
    from_store = sorted((machine.local / "Packages").glob("Claude_*"))
    return (*(each / "LocalCache" / "Roaming" / "Claude" / usual.name for each in from_store), usual)


def windsurf(machine: Machine) -> tuple[Path, ...]:
    """List the files of Devin Desktop and of Windsurf, its predecessor, in this order."""
    base = machine.roaming if machine.platform == "win32" else machine.home / ".config"
    return (base / "devin" / "mcp_config.json", machine.home / ".codeium" / "windsurf" / "mcp_config.json")


def vscode(machine: Machine) -> tuple[Path, ...]:
    """List the files of VS Code and of its Insiders edition, in this order."""
    editions = ("Code", "Code - Insiders")
    return tuple(machine.application_support / edition / "User" / "mcp.json" for edition in editions)


def zed(machine: Machine) -> tuple[Path, ...]:
    """List the file of Zed, which holds all its other settings too."""
    if machine.platform == "win32":
        return (machine.roaming / "Zed" / "settings.json",)
    base = machine.home / ".config" if machine.platform == "darwin" else machine.config
    return (base / "zed" / "settings.json",)


def goose(machine: Machine) -> tuple[Path, ...]:
    """List the file of Goose; macOS is treated as Linux."""
    if machine.platform == "win32":
        return (machine.roaming / "Block" / "goose" / "config" / "config.yaml",)
    return (machine.config / "goose" / "config.yaml",)
