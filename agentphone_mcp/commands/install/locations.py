"""Where hosts keep their files, on each system; only `read_machine` looks which one this is."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """One person's home on one machine.

    Attributes:
        platform: as in `sys.platform`: `darwin` and `win32` have ways of their own, all others are like Linux.
        home: the home folder.
        environ: the variables that hosts go by to find their folders.
    """

    platform: str
    home: Path
    environ: Mapping[str, str]

    @property
    def roaming(self) -> Path:
        """Where Windows keeps the settings of programs."""
        return self.folder_in("APPDATA") or self.home / "AppData" / "Roaming"

    @property
    def local(self) -> Path:
        """Where Windows keeps what stays on one machine, the folders of Store apps among it."""
        return self.folder_in("LOCALAPPDATA") or self.home / "AppData" / "Local"

    @property
    def config(self) -> Path:
        """Where Linux keeps the settings of programs, and where some programs keep theirs on macOS too."""
        return self.folder_in("XDG_CONFIG_HOME") or self.home / ".config"

    @property
    def application_support(self) -> Path:
        """Where a desktop program keeps its settings: `Application Support`, `%APPDATA%` or `~/.config`."""
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.roaming if self.platform == "win32" else self.config

    def folder_in(self, variable: str) -> Path | None:
        """The folder that a variable names; None if it is not set, or to a path that is relative to who knows what."""
        named = Path(self.environ.get(variable, ""))
        return named if named.is_absolute() else None


def as_text(path: str | Path) -> str:
    """A path as it can stand in a file; where Python takes names for ASCII, their bytes are mostly UTF-8 all the same.

    Raises:
        UnicodeDecodeError: if they are not.
    """
    return os.fsencode(path).decode()


def read_machine(environ: Mapping[str, str]) -> Machine:
    """Say on what system we are, and whose home this is; of a user who has none, `/`, as containers have it."""
    try:
        home = Path.home()
    except RuntimeError:
        home = Path("/")
    return Machine(sys.platform, home, environ)


def claude_desktop(machine: Machine) -> tuple[Path, ...]:
    """Claude Desktop: an install from the Store (MSIX) reads a copy of its own and ignores the usual file."""
    usual = machine.application_support / "Claude" / "claude_desktop_config.json"
    if machine.platform != "win32":
        return (usual,)
    from_store = sorted((machine.local / "Packages").glob("Claude_*"))
    return (*(each / "LocalCache" / "Roaming" / "Claude" / usual.name for each in from_store), usual)


def claude_code(machine: Machine) -> tuple[Path, ...]:
    """Claude Code: beside its folder, or in the one that its variable names."""
    return ((machine.folder_in("CLAUDE_CONFIG_DIR") or machine.home) / ".claude.json",)


def cursor(machine: Machine) -> tuple[Path, ...]:
    """Cursor: the same on all systems."""
    return (machine.home / ".cursor" / "mcp.json",)


def windsurf(machine: Machine) -> tuple[Path, ...]:
    """Windsurf: it became Devin Desktop, whose folder comes first, and the old one may still be in use."""
    base = machine.roaming if machine.platform == "win32" else machine.home / ".config"
    return (base / "devin" / "mcp_config.json", machine.home / ".codeium" / "windsurf" / "mcp_config.json")


def vscode(machine: Machine) -> tuple[Path, ...]:
    """VS Code, and its Insiders edition where that is alone."""
    editions = ("Code", "Code - Insiders")
    return tuple(machine.application_support / edition / "User" / "mcp.json" for edition in editions)


def zed(machine: Machine) -> tuple[Path, ...]:
    """Zed: its settings hold everything else too."""
    if machine.platform == "win32":
        return (machine.roaming / "Zed" / "settings.json",)
    base = machine.home / ".config" if machine.platform == "darwin" else machine.config
    return (base / "zed" / "settings.json",)


def codex(machine: Machine) -> tuple[Path, ...]:
    """Codex CLI: also what its app and its extension read."""
    return ((machine.folder_in("CODEX_HOME") or machine.home / ".codex") / "config.toml",)


def gemini(machine: Machine) -> tuple[Path, ...]:
    """Gemini CLI: the same on all systems."""
    return (machine.home / ".gemini" / "settings.json",)


def goose(machine: Machine) -> tuple[Path, ...]:
    """Goose: as on Linux, but on Windows."""
    if machine.platform == "win32":
        return (machine.roaming / "Block" / "goose" / "config" / "config.yaml",)
    return (machine.config / "goose" / "config.yaml",)
