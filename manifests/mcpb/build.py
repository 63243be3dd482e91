"""Pack the bundle for Claude Desktop: `python manifests/mcpb/build.py [FILE]`.

The file is dist/agentphone-mcp-VERSION.mcpb if none is named. Needs Node, whose `npx` fetches the packer.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKER = "@anthropic-ai/mcpb@2.1.2"
_PATIENCE = 300
"""Seconds for the packer to be fetched and to pack, which takes two when it is there."""


class CannotPack(Exception):
    """Raised when no bundle could be made; the message says what to do, or what the packer printed."""


def stage(folder: Path) -> None:
    """Copy what `uv` needs to run the server into an empty folder, with the manifest and the icon."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("manifest.json", "icon.png"):
        shutil.copy(HERE / name, folder)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "agentphone_mcp", folder / "agentphone_mcp", ignore=ignored)


def packer(*arguments: str | Path) -> str:
    """Run the packer and return what it printed.

    Raises:
        CannotPack: if it is not there, takes too long, or refuses.
    """
    npx = shutil.which("npx")
    if npx is None:
        raise CannotPack("npx is not on the PATH: install Node 20 or newer")
    with subprocess.Popen(
        [npx, "--yes", PACKER, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=_PATIENCE)
        except BaseException as exc:
            _end(process)
            if isinstance(exc, subprocess.TimeoutExpired):
                late = f"{PACKER} did not end within {_PATIENCE} seconds: try again when it can be fetched"
                raise CannotPack(late) from None
            raise
    if process.returncode:
        raise CannotPack(f"{PACKER} failed: {said.strip()}")
    return said


def _end(process: subprocess.Popen[str]) -> None:
    """Kill the packer with its children, which npx leaves running."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def build(file: Path) -> None:
    """Check the manifest and pack the bundle.

    Raises:
        CannotPack: with the packer's reason.
        OSError: if a part of the bundle is missing, or the file's folder cannot be made.
    """
    # The packer would try for ever.
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        packer("validate", Path(folder, "manifest.json"))
        packer("pack", folder, file.resolve())


def main() -> None:
    """Pack the bundle where the command line says, and print the path."""
    try:
        file = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist" / f"agentphone-mcp-{_version()}.mcpb"
        build(file)
    except (CannotPack, OSError) as exc:
        sys.exit(f"Error: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(file)


def _version() -> str:
    try:
        return json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))["version"]
    except (ValueError, KeyError, TypeError):
        raise CannotPack("manifest.json is broken: write it anew with `python manifests/regenerate.py`") from None


if __name__ == "__main__":
    main()
