"""The entries that hosts and the registry read."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator, FormatChecker

from agentphone_mcp import __version__
from agentphone_mcp.cli import main

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_registry_entry_is_valid_against_its_schema() -> None:
    """server.json passes the registry's own schema, formats included."""
    schema = _read(Path(__file__).with_name("server.schema.2025-12-11.json"))
    Draft7Validator.check_schema(schema)
    problems = list(
        Draft7Validator(schema, format_checker=FormatChecker()).iter_errors(_read(MANIFESTS / "server.json"))
    )
    assert problems == []


def test_the_registry_entry_names_the_version_of_the_package() -> None:
    """Nobody installs another version than the one that is described."""
    entry = _read(MANIFESTS / "server.json")
    assert {entry["version"], *(package["version"] for package in entry["packages"])} == {__version__}


def test_the_readme_proves_who_owns_the_registry_entry() -> None:
    """The registry looks for this line in the published README."""
    name = _read(MANIFESTS / "server.json")["name"]
    assert f"<!-- mcp-name: {name} -->" in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_every_variable_of_the_registry_entry_is_one_the_command_reads() -> None:
    """A variable that nothing reads would be a promise that nothing keeps."""
    shown = CliRunner().invoke(main, ["--help"]).output
    entry = _read(MANIFESTS / "server.json")
    names = [variable["name"] for package in entry["packages"] for variable in package["environmentVariables"]]
    assert [name for name in names if name not in shown] == []


@pytest.mark.parametrize("host", ["claude-desktop", "cursor", "windsurf"])
def test_a_host_entry_starts_the_published_command_with_the_key_in_its_environment(host: str) -> None:
    """These hosts share one shape; the key stands in `env` and never in the arguments."""
    servers = _read(MANIFESTS / f"{host}.json")["mcpServers"]
    assert list(servers) == ["agentphone"]
    assert servers["agentphone"]["command"] == "uvx"
    assert servers["agentphone"]["args"] == ["agentphone-mcp"]
    assert list(servers["agentphone"]["env"]) == ["AGENTPHONE_API_KEY"]


@pytest.mark.parametrize("host", ["claude-desktop", "cursor", "windsurf"])
def test_the_readme_shows_where_each_host_keeps_its_entry(host: str) -> None:
    """Each manifest is linked from the README's table of hosts."""
    assert f"manifests/{host}.json" in (ROOT / "README.md").read_text(encoding="utf-8")
