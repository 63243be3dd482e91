"""The README says what is so."""

import runpy
import sys
from collections.abc import Generator
from types import SimpleNamespace

import pytest

from tests.support import ROOT

REGENERATE = ROOT / "tests/golden/regenerate.py"
BENCHMARKS = ROOT / "tests/benchmarks"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Generator[SimpleNamespace]:
    """The run that the repository keeps, and the README's table of it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "kept.py")))
    del sys.modules["figures"]


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    """The tools with their marks, and who answers in the sandbox."""
    wanted = runpy.run_path(str(REGENERATE))["readme"]()
    assert (ROOT / "README.md").read_text(encoding="utf-8") == wanted, "run `python tests/golden/regenerate.py`"


def test_two_commands_do_everything_on_a_fresh_machine() -> None:
    """The demo and the tests, as they are typed into a checkout."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert "    pip install . && agentphone-mcp demo" in lines
    assert "    pip install '.[test]' && pytest" in lines


def test_the_readme_can_be_read_at_one_sitting() -> None:
    """What does not fit stands elsewhere."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_figures_of_the_readme_are_those_that_are_kept(kept: SimpleNamespace) -> None:
    """Nobody writes them by hand."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == kept.in_readme(text, kept.read()), "run `python tests/benchmarks --save` on a calm machine"


def test_the_readme_has_room_for_all_its_figures(kept: SimpleNamespace) -> None:
    """Each row says what it takes, beside what, and what is aimed at."""
    budget = kept.Budget("ratio", 0.5)
    figures = {row: kept.Figure(*row, "ms", 1_234.5, 3_086.25, "nothing", 0.4, budget) for row in kept.ROWS}
    text = kept.in_readme((ROOT / "README.md").read_text(encoding="utf-8"), figures)
    assert len(text.splitlines()) < 150
    for words in kept.ROWS.values():
        assert f"| {words} | 1,234 ms | 0.40 × nothing | at most 0.50 × |" in text
