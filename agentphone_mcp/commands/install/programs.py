"""Find the program that hosts start: `uvx` by its absolute path, as desktop programs lack the shell's PATH."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from agentphone_mcp.commands.install.locations import Machine, as_text

PACKAGE = "agentphone-mcp"
HOW_TO_GET_UV = {
    "win32": 'powershell -ExecutionPolicy ByPass -c "irm https://astral.sh/uv/install.ps1 | iex"',
    "darwin": "brew install uv",
}
HOMEBREW = (Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/home/linuxbrew/.linuxbrew/bin"))
_HOW_ELSEWHERE = "curl -LsSf https://astral.sh/uv/install.sh | sh"


class ProgramNotFound(Exception):
    """Reports that there is no program to start, in one sentence that says how to get it."""


@dataclass(frozen=True)
class Program:
    """Describes the program that a host starts.

    Attributes:
        command: the program, by its absolute path unless the entry is shared with other machines.
        arguments: arguments that select our server.
        remark: a sentence about it for the user, or empty.
    """

    command: str
    arguments: tuple[str, ...] = ()
    remark: str = ""


PORTABLE_PROGRAM = Program("uvx", (PACKAGE,))
"""The program for files that are shared with other machines, where paths differ."""


def find_program(machine: Machine, running: str, homebrew: tuple[Path, ...] = HOMEBREW) -> Program:
    """Find `uvx`, or else the installed program that is running, given as in `sys.argv[0]`.

    Links are not resolved, because package managers change their targets with each version.

    Raises:
        ProgramNotFound: if there is neither.
    """
    if uvx := find_uvx(machine, homebrew):
        return Program(_written(uvx), (PACKAGE,))
    itself = Path(os.path.abspath(running))
    if itself.stem == PACKAGE and _is_executable(itself):
        remark = f"There is no uvx here, so {itself} is started: if you move or remove it, install again."
        return Program(_written(itself), (), remark)
    get_uv = f"get uv with `{how_to_get_uv(machine.platform)}`"
    raise ProgramNotFound(f"hosts start the server by uvx, which is not found here: {get_uv}, and install again")


def shared_program(machine: Machine, homebrew: tuple[Path, ...] = HOMEBREW) -> Program:
    """Return the program for shared files, with a remark on how to get `uvx` if it is missing here."""
    if find_uvx(machine, homebrew):
        return PORTABLE_PROGRAM
    get_uv = f"get uv with `{how_to_get_uv(machine.platform)}`"
    return replace(PORTABLE_PROGRAM, remark=f"There is no uvx here, by which the server is started: {get_uv}.")


def find_uvx(machine: Machine, homebrew: tuple[Path, ...] = HOMEBREW) -> Path | None:
    """Find the absolute path of `uvx`, on the PATH or else where its installers put it."""
    name = "uvx.exe" if machine.platform == "win32" else "uvx"
    on_path = find_command("uvx", machine.environ.get("PATH", ""), machine.home)
    folders = [machine.home / ".local" / "bin", machine.home / ".cargo" / "bin"]
    if machine.platform == "win32":
        folders += [machine.local / "Microsoft" / "WinGet" / "Links", machine.home / "scoop" / "shims"]
    candidates = [Path(on_path)] if on_path else []
    candidates += [folder / name for folder in (*folders, *homebrew)]
    path = next(filter(_is_executable, candidates), None)
    return Path(os.path.abspath(path)) if path else None


def find_command(command: str, path: str, folder: Path) -> str | None:
    """Find a command by its name on a PATH, or by a path that is relative to a folder.

    The current folder is never searched, as Windows and an empty part of a PATH would have it: it may be a stranger's.
    """
    endings = ("", ".com", ".exe", ".bat", ".cmd") if os.name == "nt" else ("",)
    folders = [folder] if os.path.dirname(command) else [Path(part) for part in path.split(os.pathsep)]
    candidates = (each / f"{command}{ending}" for each in folders if each.is_absolute() for ending in endings)
    found = next(filter(_is_executable, candidates), None)
    return str(found) if found else None


def how_to_get_uv(platform: str) -> str:
    """Return the command that installs uv on a system, named as in `sys.platform`."""
    return HOW_TO_GET_UV.get(platform, _HOW_ELSEWHERE)


def _written(program: Path) -> str:
    try:
        return as_text(program)
    except UnicodeDecodeError:
        raise ProgramNotFound(f"the path of {program.name} is not in UTF-8, so no host could be told it") from None


def _is_executable(program: Path) -> bool:
    return os.path.isfile(program) and os.access(program, os.X_OK)
