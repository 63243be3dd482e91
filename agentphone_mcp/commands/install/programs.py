"""What hosts start: `uvx` with its whole path, as most of them know nothing of the PATH of a shell."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from agentphone_mcp.commands.install.locations import Place, as_text

PACKAGE = "agentphone-mcp"
HOW_TO_GET_UV = {
    "win32": 'powershell -ExecutionPolicy ByPass -c "irm https://astral.sh/uv/install.ps1 | iex"',
    "darwin": "brew install uv",
}
HOMEBREW = (Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/home/linuxbrew/.linuxbrew/bin"))
_HOW_ELSEWHERE = "curl -LsSf https://astral.sh/uv/install.sh | sh"


class NoProgram(Exception):
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


ANYWHERE = Program("uvx", (PACKAGE,))
"""For files that are shared with others, whose paths are not ours."""


def find_program(place: Place, running: str, homebrew: tuple[Path, ...] = HOMEBREW) -> Program:
    """Find `uvx`, or else the installed program that is running.

    A link is left unresolved: package managers change what theirs lead to with each version.

    Args:
        place: on which machine to look.
        running: how the running program was started, as in `sys.argv[0]`.
        homebrew: where Homebrew puts programs, for everybody on the machine.

    Raises:
        NoProgram: if there is neither.
    """
    uvx = find_uvx(place, homebrew)
    if uvx:
        return Program(_written(uvx), (PACKAGE,))
    itself = Path(os.path.abspath(running))
    if itself.stem == PACKAGE and _can_start(itself):
        remark = f"There is no uvx here, so {itself} is started: if you move or remove it, install again."
        return Program(_written(itself), (), remark)
    how = how_to_get_uv(place.platform)
    raise NoProgram(f"hosts start the server by uvx, which is not found here: get uv with `{how}`, and install again")


def shared_program(place: Place, homebrew: tuple[Path, ...] = HOMEBREW) -> Program:
    """What everybody finds for themselves; whoever has no `uvx` on their machine is told how to get it."""
    if find_uvx(place, homebrew):
        return ANYWHERE
    how = how_to_get_uv(place.platform)
    return replace(ANYWHERE, remark=f"There is no uvx here, by which the server is started: get uv with `{how}`.")


def find_uvx(place: Place, homebrew: tuple[Path, ...] = HOMEBREW) -> Path | None:
    """Find `uvx` by its whole path, on the PATH first, and else where its installers put it."""
    name = "uvx.exe" if place.platform == "win32" else "uvx"
    on_path = shutil.which("uvx", path=place.environ.get("PATH", ""))
    known = [Path(on_path)] if on_path else []
    known += [folder / name for folder in (*_folders(place), *homebrew)]
    found = next(filter(_can_start, known), None)
    return Path(os.path.abspath(found)) if found else None


def how_to_get_uv(platform: str) -> str:
    """The command that installs uv on a system, as in `sys.platform`."""
    return HOW_TO_GET_UV.get(platform, _HOW_ELSEWHERE)


def _written(program: Path) -> str:
    try:
        return as_text(program)
    except UnicodeDecodeError:
        raise NoProgram(f"the path of {program.name} is not in UTF-8, so no host could be told it") from None


def _folders(place: Place) -> list[Path]:
    """Where installers put `uvx` for one user, on the PATH or not."""
    folders = [place.home / ".local" / "bin", place.home / ".cargo" / "bin"]
    if place.platform == "win32":
        return [*folders, place.local / "Microsoft" / "WinGet" / "Links", place.home / "scoop" / "shims"]
    return folders


def _can_start(program: Path) -> bool:
    return os.path.isfile(program) and os.access(program, os.X_OK)
