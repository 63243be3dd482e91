"""Read and write the run that the repository keeps, and its table in PERFORMANCE.md.

    {"about": {"date": "2026-01-31", "python": "3.12.1", "mcp": "2.3.0", "agentphone-mcp": "0.1.0", "cores": 2},
     "figures": {"start": {"tools/list": {"unit": "ms", "value": 20, "floor": 900, "beside": "import mcp.server",
                                          "ratio": 0.02, "budget": {"of": "ratio", "bound": 0.15}}}}}

By measure and name, as in `Figure`; what a figure has not is left out, and nothing names a machine.
"""

import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from figures import Budget, Figure, Odd

ROOT = Path(__file__).parents[2]
LATEST = Path(__file__).with_name("latest.json")
PAGE = ROOT / ".github/PERFORMANCE.md"
sys.path.append(str(ROOT))

from manifests.source.marked import replaced  # noqa: E402 - found by the line above

# The table's rows: which figure of which measure, in its words.
ROWS = {
    ("bytes", "all tools"): "the context of all tools",
    ("start", "tools/list"): "start to `tools/list`, stdio",
    ("http-start", "streamable-http"): "start to `tools/list`, HTTP",
    ("memory", "after 100 calls"): "memory after 100 calls",
    ("calls", "get_call"): "`get_call`, but for the pipe",
    ("stdio", "get_call"): "`get_call`, stdio",
    ("overview", "account_overview"): "`account_overview`, 200 ms away",
    ("hosting", "sessions: 32"): "over HTTP, 32 sessions",
}


def as_json(figures: Iterable[Figure]) -> str:
    """Format a run as JSON."""
    rows: dict[str, dict[str, Any]] = {}
    for figure in figures:
        row = _known(asdict(figure))
        rows.setdefault(row.pop("measure"), {})[row.pop("name")] = row
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "mcp": version("mcp"),
        "agentphone-mcp": version("agentphone-mcp"),
        "cores": os.cpu_count(),
    }
    return json.dumps({"about": about, "figures": rows}, ensure_ascii=False, indent=2) + "\n"


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """Drop empty values and round the others to five digits."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if value in (None, False, ""):
            continue
        found[name] = _known(value) if isinstance(value, dict) else value
        if isinstance(value, float):
            found[name] = float(f"{value:.5g}")
    return found


def read(file: Path = LATEST) -> dict[tuple[str, str], Figure]:
    """Read the kept figures, by measure and name; empty if there is no such file.

    Raises:
        Odd: if it is no such run.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["figures"]
        found = [
            Figure(measure, name, **row | {"budget": Budget(**row["budget"]) if "budget" in row else None})
            for measure, named in rows.items()
            for name, row in named.items()
        ]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
        raise Odd(
            f"{file.name} is no run that was written by this command ({exc!r}); restore it or save anew"
        ) from None
    return {(figure.measure, figure.name): figure for figure in found}


def in_page(text: str, figures: dict[tuple[str, str], Figure]) -> str:
    """Write the table of the figures that are kept into the page."""
    rows: list[str] = []
    for which, words in ROWS.items():
        if figure := figures.get(which):
            beside = f"{figure.ratio:.2f} × {figure.beside}" if figure.ratio else ""
            rows.append(f"| {words} | {figure.in_words(figure.value)} | {beside} | {figure.promise} |")
    head = ["| | takes | beside | aim |", "|---|---|---|---|"]
    return replaced(text, "figures", [*head, *rows] if rows else ["No run is kept yet."])
