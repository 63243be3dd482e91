"""Check what the README and the pages beside it say."""

import re
import runpy
import sys
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import ROOT

README = ROOT / "README.md"
PAGES = [README, *(ROOT / ".github").glob("*.md")]
REGENERATE = ROOT / "tests/golden/regenerate.py"
BENCHMARKS = ROOT / "tests/benchmarks"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Generator[SimpleNamespace]:
    """Load the module that keeps a run of the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "kept.py")))
    del sys.modules["figures"]


def test_the_tables_of_the_pages_are_those_of_the_code() -> None:
    for page, wanted in runpy.run_path(str(REGENERATE))["pages"]().items():
        assert page.read_text(encoding="utf-8") == wanted, "run `python tests/golden/regenerate.py`"


def test_two_commands_do_everything_on_a_fresh_machine() -> None:
    """The demo and the tests are one command each in a checkout."""
    lines = README.read_text(encoding="utf-8").splitlines()
    assert "    pip install . && agentphone-mcp demo" in lines
    assert "    pip install '.[test]' && pytest" in lines


def test_the_readme_can_be_read_at_one_sitting() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", text)
    files = [link or picture for link, picture in links if not (link or picture).startswith("http")]
    assert [file for file in files if not (page.parent / file).exists()] == []


def test_the_figures_of_the_page_are_those_that_are_kept(kept: SimpleNamespace) -> None:
    text = kept.PAGE.read_text(encoding="utf-8")
    assert text == kept.in_page(text, kept.read()), "run `python tests/benchmarks --save` on a calm machine"


def test_each_row_of_the_figures_says_what_it_takes_beside_what_and_what_is_aimed_at(kept: SimpleNamespace) -> None:
    budget = kept.Budget("ratio", 0.5)
    figures = {row: kept.Figure(*row, "ms", 1_234.5, 3_086.25, "nothing", 0.4, budget) for row in kept.ROWS}
    text = kept.in_page(kept.PAGE.read_text(encoding="utf-8"), figures)
    for words in kept.ROWS.values():
        assert f"| {words} | 1,234 ms | 0.40 × nothing | at most 0.50 × |" in text
