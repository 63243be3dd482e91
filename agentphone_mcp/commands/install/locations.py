"""Where hosts keep their files, on each system; only `read_place` looks which one this is."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
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


def read_place(environ: Mapping[str, str]) -> Place:
    """Say on what system we are, and whose home this is; of a user who has none, `/`, as containers have it."""
    try:
        home = Path.home()
    except RuntimeError:
        home = Path("/")
    return Place(sys.platform, home, environ)


def claude_desktop(place: Place) -> tuple[Path, ...]:
    """Claude Desktop: an install from the Store (MSIX) reads a copy of its own and ignores the usual file."""
    usual = place.application_support / "Claude" / "claude_desktop_config.json"
    if place.platform != "win32":
        return (usual,)
    from_store = sorted((place.local / "Packages").glob("Claude_*"))
    return (*(each / "LocalCache" / "Roaming" / "Claude" / usual.name for each in from_store), usual)


def claude_code(place: Place) -> tuple[Path, ...]:
    """Claude Code: beside its folder, or in the one that its variable names."""
    return ((place.folder_in("CLAUDE_CONFIG_DIR") or place.home) / ".claude.json",)


def cursor(place: Place) -> tuple[Path, ...]:
    """Cursor: the same on all systems."""
    return (place.home / ".cursor" / "mcp.json",)


def windsurf(place: Place) -> tuple[Path, ...]:
    """Windsurf: it became Devin Desktop, whose folder comes first, and the old one may still be in use."""
    base = place.roaming if place.platform == "win32" else place.home / ".config"
    return (base / "devin" / "mcp_config.json", place.home / ".codeium" / "windsurf" / "mcp_config.json")


def vscode(place: Place) -> tuple[Path, ...]:
    """VS Code, and its Insiders edition where that is alone."""
    editions = ("Code", "Code - Insiders")
    return tuple(place.application_support / edition / "User" / "mcp.json" for edition in editions)


def zed(place: Place) -> tuple[Path, ...]:
    """Zed: its settings hold everything else too."""
    if place.platform == "win32":
        return (place.roaming / "Zed" / "settings.json",)
    base = place.home / ".config" if place.platform == "darwin" else place.config
    return (base / "zed" / "settings.json",)


def codex(place: Place) -> tuple[Path, ...]:
    """Codex CLI: also what its app and its extension read."""
    return ((place.folder_in("CODEX_HOME") or place.home / ".codex") / "config.toml",)


def gemini(place: Place) -> tuple[Path, ...]:
    """Gemini CLI: the same on all systems."""
    return (place.home / ".gemini" / "settings.json",)


def goose(place: Place) -> tuple[Path, ...]:
    """Goose: as on Linux, but on Windows."""
    if place.platform == "win32":
        return (place.roaming / "Block" / "goose" / "config" / "config.yaml",)
    return (place.config / "goose" / "config.yaml",)
