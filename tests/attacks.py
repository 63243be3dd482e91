"""List what once got past, from the `attack` markers of the tests; `python tests/golden/regenerate.py` writes it."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support import ROOT

PAGE = ROOT / "tests/ATTACKS.md"
ROWS = {
    "1": "`doctor` in somebody else's repository",
    "2": "`install --project` in somebody else's repository",
    "3": "the key in proxies, encodings and plain files",
    "4": "the key on a command line, and in the sandbox's log",
    "5": "diverting calls, texts and events",
    "6": "agreeing to what is not shown",
    "7": "typing the name or number of what is destroyed",
    "8": "spending more than the limit while calls run",
    "9": "limits by key, and the files of the ledger",
    "10": "numbers that cost more, or are none",
    "11": "the AI disclosure in another language",
    "12": "strangers' words outside the mark",
    "13": "strangers' words in an agent's mouth",
    "14": "the mark itself, and how much it holds",
    "15": "other users of this machine",
    "16": "work and memory that a caller costs",
    "17": "connections and keys that block others",
    "18": "tokens, sessions and their files",
    "19": "the sandbox's edges",
}
_HEADER = """# What once got past

Each row is something that an attack reached before it was mended. Its tests hold the case itself and siblings of the
same kind. Written by `python tests/golden/regenerate.py` from the tests' `attack` markers.

| row | what got past | kind | tests |
|---|---|---|---|
"""


class Attack(NamedTuple):
    """A test that holds one case of a row."""

    row: str
    kind: str
    test: str


def attacks() -> list[Attack]:
    """Find every marked test in `tests/`, in the order of the files."""
    return [attack for path in sorted((ROOT / "tests").rglob("test_*.py")) for attack in _attacks_in(path)]


def _attacks_in(path: Path) -> Iterator[Attack]:
    """Read the markers of a module's functions; a marker, or one of its words, may be a constant of the module."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def value_of(node: ast.expr) -> ast.expr:
        return constants.get(node.id, node) if isinstance(node, ast.Name) else node

    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in map(value_of, node.decorator_list):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.attack":
                    row, kind = (ast.literal_eval(value_of(word)) for word in decorator.args)
                    yield Attack(row, kind, f"{path.relative_to(ROOT / 'tests').as_posix()}::{node.name}")


def page() -> str:
    """Write the list as Markdown: a line for each kind of a row."""
    kinds: dict[tuple[str, str], list[str]] = defaultdict(list)
    for attack in attacks():
        kinds[attack.row, attack.kind].append(f"`{attack.test}`")
    lines = [
        f"| {row} | {title} | {kind} | {'<br>'.join(tests)} |"
        for row, title in ROWS.items()
        for (of, kind), tests in kinds.items()
        if of == row
    ]
    return _HEADER + "\n".join(lines) + "\n"
