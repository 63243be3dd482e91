"""What hosts start: `uvx` with its whole path, as most of them know nothing of the PATH of a shell."""

import os
import shutil
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
    """There is nothing that a host could start; the message is one sentence that says how to get it."""


@dataclass(frozen=True)
class Program:
    """What a host starts.

    Attributes:
        command: the program, with its whole path unless others are to find their own.
        arguments: what makes it our server.
        remark: a sentence on it for the user; mostly there is none.
    """

    command: str
    arguments: tuple[str, ...] = ()
    remark: str = ""


PORTABLE_PROGRAM = Program("uvx", (PACKAGE,))
"""For files that are shared with others, whose paths are not ours."""


def find_program(machine: Machine, running: str, homebrew: tuple[Path, ...] = HOMEBREW) -> Program:
    """Find `uvx`, or else the installed program that is running.

    A link is left unresolved: package managers change what theirs lead to with each version.

    Args:
        place: on which machine to look.
        running: how the running program was started, as in `sys.argv[0]`.
        homebrew: where Homebrew puts programs, for everybody on the machine.

    Raises:
        ProgramNotFound: if there is neither.
    """
    uvx = find_uvx(machine, homebrew)
    if uvx:
        return Program(_written(uvx), (PACKAGE,))
    itself = Path(os.path.abspath(running))
    if itself.stem == PACKAGE and _is_executable(itself):
        remark = f"There is no uvx here, so {itself} is started: if you move or remove it, install again."
        return Program(_written(itself), (), remark)
    command = how_to_get_uv(machine.platform)
    raise ProgramNotFound(
        f"hosts start the server by uvx, which is not found here: get uv with `{command}`, and install again"
    )


def shared_program(machine: Machine, homebrew: tuple[Path, ...] = HOMEBREW) -> Program:
    """What everybody finds for themselves; whoever has no `uvx` on their machine is told how to get it."""
    if find_uvx(machine, homebrew):
        return PORTABLE_PROGRAM
    command = how_to_get_uv(machine.platform)
    return replace(
        PORTABLE_PROGRAM, remark=f"There is no uvx here, by which the server is started: get uv with `{command}`."
    )


def find_uvx(machine: Machine, homebrew: tuple[Path, ...] = HOMEBREW) -> Path | None:
    """Find `uvx` by its whole path, on the PATH first, and else where its installers put it."""
    name = "uvx.exe" if machine.platform == "win32" else "uvx"
    on_path = shutil.which("uvx", path=machine.environ.get("PATH", ""))
    candidates = [Path(on_path)] if on_path else []
    candidates += [folder / name for folder in (*_folders(machine), *homebrew)]
    path = next(filter(_is_executable, candidates), None)
    return Path(os.path.abspath(path)) if path else None


def how_to_get_uv(platform: str) -> str:
    """The command that installs uv on a system, as in `sys.platform`."""
    return HOW_TO_GET_UV.get(platform, _HOW_ELSEWHERE)


def _written(program: Path) -> str:
    try:
        return as_text(program)
    except UnicodeDecodeError:
        raise ProgramNotFound(f"the path of {program.name} is not in UTF-8, so no host could be told it") from None


def _folders(machine: Machine) -> list[Path]:
    """Where installers put `uvx` for one user, on the PATH or not."""
    folders = [machine.home / ".local" / "bin", machine.home / ".cargo" / "bin"]
    if machine.platform == "win32":
        return [*folders, machine.local / "Microsoft" / "WinGet" / "Links", machine.home / "scoop" / "shims"]
    return folders


def _is_executable(program: Path) -> bool:
    return os.path.isfile(program) and os.access(program, os.X_OK)
