"""The README says what is so."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
REGENERATE = ROOT / "tests/golden/regenerate.py"


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
