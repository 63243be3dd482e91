"""The rules of the layout: who imports whom, who reads the environment, who prints, how long a module may be."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support import ROOT

OURS = "agentphone_mcp"
PACKAGE = ROOT / OURS
MAP = ROOT / ".github/CONTRIBUTING.md"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# Which packages each one may import besides itself; the root's modules import nothing but the command.
MAY_IMPORT = {
    "commands": {"server", "features", "config", "sandbox", "policy", "api", "system"},
    "server": {"features", "config", "policy", "api", "system"},
    "features": {"policy", "api"},
    "config": {"policy", "api"},
    "policy": {"api", "system"},
    "sandbox": {"system"},
    "api": set(),
    "system": set(),
    "": {"commands"},
}
ANYBODY_MAY_IMPORT = {"", "variables"}
# What must never be imported from outside, by package.
NEVER = {
    "api": {"mcp", "mcp_types", "starlette", "uvicorn", "click", "rich"},
    "policy": {"mcp", "mcp_types", "httpx", "starlette", "uvicorn", "click"},
    "sandbox": {"mcp", "mcp_types", "click"},
    "features": {"httpx", "starlette", "uvicorn", "click", "rich"},
    "features.guides": {"mcp", "mcp_types", "pydantic"},
    "features.instructions": {"mcp", "mcp_types", "pydantic"},
    "config": {"mcp", "mcp_types", "click"},
    "server": {"click", "rich"},
    "server.stdio": {"mcp", "mcp_types", "httpx", "pydantic"},
    "system": {"mcp", "mcp_types", "httpx", "pydantic", "click"},
}
# Stand beside what is imported before the SDK, and are imported with or after it.
AFTER_THE_SDK = {"server.stdio.precomputed", "server.stdio.drain"}
# Besides the commands, who may speak to a person on stdout.
MAY_WRITE_TO_STDOUT = {"commands"}
# To whom a command may hand the environment.
HANDED_THE_ENVIRONMENT = {
    "complete_session_bus",
    "read_config",
    "read_key",
    "read_key_variable",
    "read_machine",
    "read_span_exporter",
}
LONGEST = 300


def dotted(path: Path) -> str:
    """Name a module within the package; the package itself is empty."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_of(path: Path) -> str:
    """Name the package at the root that a module is in; empty for the root's own modules."""
    return path.relative_to(PACKAGE).parts[0] if path.parent != PACKAGE else ""


NAMES = {dotted(module) for module in MODULES}


@cache
def parsed(path: Path) -> ast.Module:
    """Read a module once."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Name every module that a module of ours imports."""
    return imported_by(parsed(path), (OURS, *path.relative_to(PACKAGE).parts[:-1]))


def imported_by(tree: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    """Name every module that is imported, wherever in the file; relative ones are resolved from their package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            # `from package import module` imports the module.
            for alias in node.names:
                whole = f"{origin}.{alias.name}"
                yield whole if whole.removeprefix(f"{OURS}.") in NAMES else origin


def imports_of_ours(path: Path) -> Iterator[str]:
    """Name the modules of ours that a module imports, within the package."""
    return (name.removeprefix(OURS).removeprefix(".") for name in imports(path) if name.partition(".")[0] == OURS)


def test_every_package_has_its_rule_and_stands_on_the_map() -> None:
    """A new folder must say where it stands, here and in CONTRIBUTING."""
    packages = {package_of(module) for module in MODULES}
    assert packages == MAY_IMPORT.keys()
    _, _, layout = MAP.read_text(encoding="utf-8").partition("\n## The layout\n")
    named = re.findall(r"^\| `(\w+)/` ", layout.partition("\n## ")[0], re.MULTILINE)
    assert sorted(named) == sorted(packages - {""})


def test_the_root_has_room_for_four_modules() -> None:
    """The version, the entry point, and names that several packages share."""
    assert len([module for module in MODULES if module.parent == PACKAGE]) <= 4


def test_the_packages_stand_on_six_floors() -> None:
    """A floor is one above the highest that it imports; the shared names at the root are the lowest."""

    def floor(package: str) -> int:
        return 1 + max((floor(below) for below in MAY_IMPORT[package]), default=1)

    assert max(floor(package) for package in MAY_IMPORT if package) <= 6


@pytest.mark.parametrize("package", MAY_IMPORT, ids=lambda package: package or "root")
def test_imports_go_down_only(package: str) -> None:
    """Who needs more must change the layout."""
    allowed = MAY_IMPORT[package] | ANYBODY_MAY_IMPORT | {package}
    offenders = [
        f"{dotted(module)} imports {name}"
        for module in MODULES
        if package_of(module) == package
        for name in imports_of_ours(module)
        if name.partition(".")[0] not in allowed
    ]
    assert offenders == []


def test_no_folder_imports_one_that_imports_it() -> None:
    """Within a package, its folders and the modules beside them form no circle."""

    def place(name: str, package: Path) -> str:
        return ".".join(name.split(".")[: len(package.relative_to(PACKAGE).parts) + 1])

    folders = [PACKAGE, *(folder for folder in PACKAGE.rglob("*") if (folder / "__init__.py").exists())]
    for folder in folders:
        arrows: dict[str, set[str]] = {}
        inside = ".".join(folder.relative_to(PACKAGE).parts)
        for module in MODULES:
            # What a package offers at its top is not imported from within it.
            if not module.is_relative_to(folder) or (module.parent == folder and module.name == "__init__.py"):
                continue
            here = place(dotted(module), folder)
            there = {place(name, folder) for name in imports_of_ours(module) if name.startswith(inside)}
            arrows.setdefault(here, set()).update(there - {here, inside})
        TopologicalSorter(arrows).prepare()


def test_each_package_uses_its_own_libraries_only() -> None:
    """The API client knows nothing of MCP, the tools nothing of HTTP."""
    offenders = [
        f"{dotted(module)} imports {name}"
        for module in MODULES
        for part, foreign in NEVER.items()
        if f"{dotted(module)}.".startswith(f"{part}.") and dotted(module) not in AFTER_THE_SDK
        for name in imports(module)
        if name.partition(".")[0] in foreign
    ]
    assert offenders == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param(
            "def late():\n    from ..features.tools import parameters as harmless",
            "agentphone_mcp.features.tools.parameters",
            id="late",
        ),
        pytest.param("import agentphone_mcp.policy.gate as g", "agentphone_mcp.policy.gate", id="renamed"),
        pytest.param("if True:\n    from mcp.client import Client", "mcp.client", id="nested"),
        pytest.param("from .. import server", "agentphone_mcp.server", id="relative"),
        pytest.param("from . import calls", "agentphone_mcp.api.calls", id="sibling"),
    ],
)
def test_an_import_is_found_however_it_is_written(source: str, found: str) -> None:
    """Otherwise the rules would hold for the tidy ones alone."""
    assert list(imported_by(ast.parse(source), (OURS, "api"))) == [found]


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Give every dotted name that is used, such as `os.environ`, with its line."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute | ast.Name):
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "sys"):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def test_only_the_configuration_reads_the_environment() -> None:
    """A command may hand it over; nobody looks by themselves, and never at import."""
    offenders: list[str] = []
    for module in MODULES:
        readers = [line for name, line in names_in(module) if name in ("os.environ", "os.getenv", "os.environb")]
        handed: list[str] = []
        if package_of(module) == "commands":
            calls = [node for node in ast.walk(parsed(module)) if isinstance(node, ast.Call)]
            handed = [ast.unparse(call.func) for call in calls if "os.environ" in map(ast.unparse, call.args)]
        if len(readers) != len(handed) or not set(handed) <= HANDED_THE_ENVIRONMENT:
            offenders.append(f"{dotted(module)} in lines {readers}")
    assert offenders == []


def test_only_commands_write_to_stdout() -> None:
    """Over stdio it carries the protocol and nothing else."""
    offenders = [
        f"{dotted(module)} in line {line}"
        for module in MODULES
        if package_of(module) not in MAY_WRITE_TO_STDOUT
        for name, line in names_in(module)
        if name in ("print", "sys.stdout", "click.echo", "input")
    ]
    assert offenders == []


def test_annotations_are_real() -> None:
    """Postponed ones break what the SDK reads from signatures."""
    assert [dotted(module) for module in MODULES if "__future__" in set(imports(module))] == []


def test_modules_stay_readable() -> None:
    """Three hundred lines is the end, and the first thing in each is what it is for."""
    assert [dotted(module) for module in MODULES if not ast.get_docstring(parsed(module))] == []
    long = [path for path in MODULES + TESTS if path.read_text(encoding="utf-8").count("\n") > LONGEST]
    assert [str(path.relative_to(ROOT)) for path in long] == []


def test_a_check_is_switched_off_with_a_reason() -> None:
    """In words, after a dash."""
    offenders = [
        f"{dotted(module)}:{number}"
        for module in MODULES
        for number, line in enumerate(module.read_text(encoding="utf-8").splitlines(), start=1)
        for mark in ("# noqa", "# type: ignore", "# pyright: ignore")
        if mark in line and " - " not in line.partition(mark)[2]
    ]
    assert offenders == []
