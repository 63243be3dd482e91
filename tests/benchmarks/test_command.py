"""Run the benchmarks' command; no test asserts how fast anything is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
LATEST = FOLDER / "latest.json"
ROOT = FOLDER.parents[1]
ANYWHERE = ("start", "http-start", "calls", "stdio", "overview", "bytes", "results")
WITH_PROC = ("memory", "hosting", "following")
"""What reads memory and processor time where Linux tells them."""
PATIENCE = 600
UNITS = {"ms", "MiB", "bytes", "calls/s"}
SHAPE = {"unit", "value", "floor", "beside", "ratio", "budget", "is_of_tool"}


def run(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command from a checkout."""
    command = [sys.executable, "tests/benchmarks", *map(str, options)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False, timeout=PATIENCE
    )


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that this checkout is measured, also when another version is installed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")


pytestmark = [pytest.mark.usefixtures("checkout"), pytest.mark.slow]


def check_shape(row: dict[str, Any]) -> None:
    """Check the shape that `kept.py` describes."""
    assert {"unit", "value"} <= row.keys() <= SHAPE
    assert row["unit"] in UNITS
    assert row["value"] > 0
    assert ("floor" in row) == ("beside" in row) == ("ratio" in row)
    if "budget" in row:
        assert row["budget"]["of"] in {"value", "ratio", "more"}
        assert row["budget"]["bound"] > 0


@pytest.mark.parametrize(
    "name",
    [
        *ANYWHERE,
        *(
            pytest.param(name, marks=pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc"))
            for name in WITH_PROC
        ),
    ],
)
def test_a_measure_can_be_picked_and_gives_figures(name: str, tmp_path: Path) -> None:
    done = run("--quick", "--only", name, "--json", tmp_path / "run.json")
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "run.json").read_text(encoding="utf-8")
    told = json.loads(written)
    assert told["about"].keys() == {"date", "python", "mcp", "agentphone-mcp", "cores"}
    assert told["figures"].keys() == {name}
    for what, row in told["figures"][name].items():
        check_shape(row)
        assert what in done.stdout
    assert str(ROOT) not in written


def test_a_name_it_does_not_know_is_answered_with_all_that_it_knows() -> None:
    done = run("--only", "everything")
    assert done.returncode == 2
    known = done.stderr.rpartition("there are ")[2].strip()
    assert sorted(known.split(", ")) == sorted(ANYWHERE + WITH_PROC)


def test_figures_are_compared_with_an_earlier_run(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.json"
    run("--only", "bytes", "--json", earlier)
    told = json.loads(earlier.read_text(encoding="utf-8"))
    told["figures"]["bytes"]["all tools"]["value"] /= 2
    del told["figures"]["bytes"]["toolset calls"]
    earlier.write_text(json.dumps(told), encoding="utf-8")
    lines = run("--only", "bytes", "--against", earlier).stdout.splitlines()
    changes = {
        name: next(line for line in lines if name in line) for name in ("all tools", "toolset calls", "get_call")
    }
    assert "+100%" in changes["all tools"]
    assert "new" in changes["toolset calls"]
    assert "+0%" in changes["get_call"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"figures": {"bytes": {"all tools": {}}}}'], ids=["cut short", "a list", "nothing measured"]
)
def test_an_earlier_run_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text(text, encoding="utf-8")
    done = run("--only", "bytes", "--against", tmp_path / "broken.json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "broken.json is no run that was written by this command" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("part", [["--quick"], ["--only", "bytes"]], ids=["quick", "only"])
def test_a_part_of_a_run_is_never_kept(part: list[str]) -> None:
    before = LATEST.read_bytes() if LATEST.exists() else None
    done = run("--save", *part)
    assert done.returncode == 2
    assert "only a whole run is kept" in done.stderr
    assert (LATEST.read_bytes() if LATEST.exists() else None) == before
