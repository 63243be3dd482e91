"""The house rules that no single test would notice: who imports whom, who reads the environment, who prints."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "agentphone_mcp"
MAP = PACKAGE.parent / ".github/CONTRIBUTING.md"
MODULES = sorted(PACKAGE.rglob("*.py"))
OURS = "agentphone_mcp"

# Which parts of ours each part may use besides itself; the longest name that fits decides.
MAY_USE = {
    "__init__": set(),
    "__main__": {"cli"},
    "cli": {
        "",
        "starting",
        "options",
        "demo",
        "doctor_command",
        "install_command",
        "ledger_command",
        "token_command",
        "login_command",
        "sandbox",
        "api.key",
    },
    "starting": {
        "forerunner",
        "serving",
        "hosting",
        "sandbox",
        "server",
        "known",
        "callers",
        "switchboard",
        "listening",
        "logs",
        "telemetry",
        "config",
        "reading",
        "keychain",
        "api.key",
    },
    "reading": {"hosting.settings", "config", "guard", "api.key"},
    "forerunner": {"", "callers", "instructions", "api.answers"},
    "instructions": set(),
    "amounts": set(),
    "options": {"amounts", "config", "api.key", "http_options", "setting"},
    "http_options": {"amounts", "setting"},
    "setting": {"config"},
    "ledger_command": {"config", "guard"},
    "login_command": {"config", "options", "keychain", "key_file", "signing_up", "guard.untrusted", "api"},
    "signing_up": {"config", "keychain", "key_file", "guard.untrusted", "api"},
    "keychain": {"api.key"},
    "key_file": set(),
    "install_command": {"hosts", "config", "options", "keychain", "api.key"},
    "hosts": {"config", "api.key", "replacing"},
    "replacing": set(),
    "token_command": {"callers", "hosting.token_file", "hosting.token_changes"},
    "doctor_command": {"", "amounts", "config", "doctor", "hosts", "sandbox"},
    "doctor": {"api", "config", "guard", "hosting.settings", "hosts", "keychain", "options", "reading"},
    "demo": {"", "sandbox", "server", "config", "api.key", "guard.untrusted"},
    "callers": {"api.key"},
    "hosting": {
        "callers",
        "config",
        "connecting",
        "known",
        "server",
        "switchboard",
        "listening",
        "overriding",
        "replacing",
        "api.client",
        "api.errors",
        "api.key",
        "guard.books",
    },
    "serving": {"server", "forerunner"},
    "server": {"", "connecting", "last_lines", "inside", "known", "overriding", "switchboard", "callers", "config"},
    "last_lines": set(),
    "connecting": {"switchboard", "callers", "guard.refused", "tools.telling"},
    "known": {"forerunner"},
    # Only later imported by the server, as what it takes is no part of a start.
    "inside": {"callers", "instructions", "tools", "prompts", "guides", "guard", "api.errors"},
    "switchboard": {"line", "callers", "tools.injected", "guard", "api.key", "api.secrets", "config"},
    # Likewise by the switchboard.
    "line": {"tools", "guard", "api", "config"},
    "config": {"api.key", "guard"},
    "logs": {"api.secrets"},
    "telemetry": {"", "api.secrets"},
    "tools": {"callers", "guard", "api", "config"},
    "prompts": {"tools", "guard"},
    "guides": set(),
    "guard": {"api.models", "api.errors", "api.secrets"},
    "api": {""},
    "sandbox": {"amounts", "listening", "replacing"},
    "listening": set(),
    "overriding": set(),
}
# What must never be imported from outside, by part.
NEVER = {
    "api": {"mcp", "mcp_types", "starlette", "uvicorn", "click", "rich"},
    "guard": {"mcp", "mcp_types", "httpx", "starlette", "uvicorn", "click"},
    "sandbox": {"mcp", "mcp_types"},
    "tools": {"httpx", "starlette", "uvicorn", "click", "rich"},
    "guides": {"mcp", "mcp_types", "httpx", "pydantic"},
    "prompts": {"httpx", "starlette", "uvicorn", "click", "rich"},
    "config": {"mcp", "mcp_types", "click"},
    "forerunner": {"mcp", "mcp_types", "httpx", "pydantic", "click"},
    "instructions": {"mcp", "mcp_types", "httpx", "pydantic", "click"},
}
# Who may speak to a person on stdout.
COMMANDS = {
    "cli",
    "starting",
    "demo",
    "doctor_command",
    "install_command",
    "ledger_command",
    "login_command",
    "signing_up",
    "token_command",
    "sandbox.command",
}
# To whom they may hand the environment.
HANDED_THE_ENVIRONMENT = {
    "complete_session_bus",
    "read_config",
    "read_key_variable",
    "read_place",
    "read_span_exporter",
}
EVERY = pytest.mark.parametrize("module", MODULES, ids=lambda path: dotted(path) or OURS)


def dotted(path: Path) -> str:
    """The name of a module within the package; the package itself is empty."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(path: Path) -> str:
    """Which part of the house a module is in."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that a module of ours imports."""
    return imported_by(path.read_text(encoding="utf-8"), (OURS, *path.relative_to(PACKAGE).parts[:-1]))


def imported_by(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Every module that is imported, wherever in the file, relative ones resolved from the package it is in."""
    known = {dotted(module) for module in MODULES}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            # `from package import module` imports the module.
            for alias in node.names:
                whole = f"{origin}.{alias.name}"
                yield whole if whole.removeprefix(f"{OURS}.") in known else origin


@EVERY
def test_imports_go_down_only(module: Path) -> None:
    """The design draws the layers; whoever needs more must change it there."""
    part = part_of(module)
    allowed = MAY_USE[part]
    for imported in imports(module):
        if imported.partition(".")[0] != OURS:
            continue
        target = imported.removeprefix(OURS).removeprefix(".")
        fits = target in allowed or any(rule and target.startswith(f"{rule}.") for rule in allowed)
        assert fits or target.partition(".")[0] == part, f"{dotted(module)} imports {imported}"


@EVERY
def test_each_layer_knows_its_own_tools_only(module: Path) -> None:
    """The API client knows nothing of MCP, the tools nothing of HTTP."""
    foreign = {imported.partition(".")[0] for imported in imports(module)}
    assert not foreign & NEVER.get(part_of(module), set())


def test_every_part_of_the_house_has_its_rule() -> None:
    """A new folder must say where it stands."""
    assert {part_of(module) for module in MODULES} <= MAY_USE.keys()


def test_every_part_of_the_house_stands_on_its_map() -> None:
    """Whoever is new finds each there, and none that is gone."""
    _, _, told = MAP.read_text(encoding="utf-8").partition("\n## The house\n")
    rows = [line.split(" | ")[0] for line in told.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    named = [Path(name).stem for row in rows for name in re.findall("`([^`]+)`", row)]
    assert sorted(named) == sorted({part_of(module) for module in MODULES} - {"__init__"})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param(
            "def late():\n    from ..tools import fields as harmless",
            "agentphone_mcp.features.tools.parameters",
            id="late",
        ),
        pytest.param("import agentphone_mcp.policy.gate as g", "agentphone_mcp.policy.gate", id="renamed"),
        pytest.param("if True:\n    from mcp.client import Client", "mcp.client", id="nested"),
        pytest.param("from .. import server", "agentphone_mcp.server.server", id="relative"),
        pytest.param("from . import calls", "agentphone_mcp.api.calls", id="sibling"),
    ],
)
def test_an_import_is_found_however_it_is_written(source: str, found: str) -> None:
    """Otherwise the rules would hold for the tidy ones alone."""
    assert list(imported_by(source, (OURS, "api"))) == [found]


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Every dotted name that is used, such as `os.environ`, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute | ast.Name):
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module in ("os", "sys"):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@EVERY
def test_only_the_configuration_reads_the_environment(module: Path) -> None:
    """The command may hand it over; nobody looks by themselves, and never at import."""
    readers = [line for name, line in names_in(module) if name in ("os.environ", "os.getenv", "os.environb")]
    if dotted(module) in ("starting", "doctor_command", "install_command", "login_command"):
        calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
        handed = [ast.unparse(call.func) for call in calls if "os.environ" in map(ast.unparse, call.args)]
        assert set(handed) <= HANDED_THE_ENVIRONMENT
        assert len(readers) == len(handed)
        return
    assert readers == [], f"{dotted(module)} reads the environment in line {readers}"


@EVERY
def test_only_commands_write_to_stdout(module: Path) -> None:
    """Over stdio it carries the protocol and nothing else."""
    if dotted(module) in COMMANDS:
        return
    writers = [line for name, line in names_in(module) if name in ("print", "sys.stdout", "click.echo", "input")]
    assert writers == [], f"{dotted(module)} writes to stdout in line {writers}"


@EVERY
def test_annotations_are_real(module: Path) -> None:
    """Postponed ones break what the SDK reads from signatures."""
    assert "__future__" not in {imported.partition(".")[0] for imported in imports(module)}


@EVERY
def test_modules_stay_readable(module: Path) -> None:
    """Three hundred lines is the end, and the first thing in each is what it is for."""
    text = module.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    assert ast.get_docstring(ast.parse(text))


@EVERY
def test_a_check_is_switched_off_with_a_reason(module: Path) -> None:
    """In words, after a dash."""
    for number, line in enumerate(module.read_text(encoding="utf-8").splitlines(), start=1):
        for mark in ("# noqa", "# type: ignore", "# pyright: ignore"):
            if mark in line:
                assert " - " in line.partition(mark)[2], f"{dotted(module)}:{number} gives no reason"
