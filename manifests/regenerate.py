"""Writes anew all that hosts and registries read, for review: `python manifests/regenerate.py`.

What it says comes from the catalogue of hosts, the command's options, pyproject.toml and the tools' golden file.
Needs the package with its extra `test`.
"""

import sys
from pathlib import Path

MANIFESTS = Path(__file__).parent
# Last, so that a package that is installed is the one that is described.
sys.path.append(str(MANIFESTS.parent))

from manifests.source.bundle import bundle  # noqa: E402 - found by the line above
from manifests.source.entries import as_json, entries  # noqa: E402 - found by the line above
from manifests.source.marked import replaced  # noqa: E402 - found by the line above
from manifests.source.project import README  # noqa: E402 - found by the line above
from manifests.source.registry import server  # noqa: E402 - found by the line above
from manifests.source.tables import file_table, setting_table, short_table  # noqa: E402 - found by the line above

SETTINGS = MANIFESTS.parent / ".github" / "SETTINGS.md"


def everything() -> dict[Path, str]:
    """Every file that is written, with its text."""
    files = MANIFESTS / "README.md"
    return {
        MANIFESTS / "server.json": as_json(server()),
        MANIFESTS / "mcpb" / "manifest.json": as_json(bundle()),
        README: replaced(README.read_text(encoding="utf-8"), "hosts", short_table()),
        SETTINGS: replaced(SETTINGS.read_text(encoding="utf-8"), "settings", setting_table()),
        files: replaced(files.read_text(encoding="utf-8"), "files", file_table()),
    } | {MANIFESTS / "hosts" / name: text for name, text in entries().items()}


def main() -> None:
    """Write them, and remove the entries of hosts that are no more."""
    written = everything()
    for path in (MANIFESTS / "hosts").glob("*"):
        if path not in written:
            path.unlink()
    for path, text in written.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
