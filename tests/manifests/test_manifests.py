"""The manifests for hosts and the registry are generated from one source and are valid."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker

from agentphone_mcp import __version__
from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.main import main
from agentphone_mcp.config.environment import WITHOUT_OPTION
from tests.support import ROOT

MANIFESTS = ROOT / "manifests"
HOST = pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)

Manifest = Callable[[str], dict[str, Any]]


def test_every_manifest_is_what_its_source_says(generated: dict[Path, str]) -> None:
    stale = [path for path, text in generated.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `python manifests/regenerate.py`"


def test_there_is_no_entry_of_a_host_that_is_no_more(generated: dict[Path, str]) -> None:
    there = set((MANIFESTS / "hosts").iterdir())
    assert there == {path for path in generated if path.parent == MANIFESTS / "hosts"}
    assert len(there) == 2 * len(HOSTS) - 1, "Claude Desktop takes no remote server in its file"


def test_the_registry_entry_is_valid_against_its_schema(manifest: Manifest) -> None:
    schema = manifest("../tests/manifests/server.schema.2025-12-11.json")
    Draft7Validator.check_schema(schema)
    problems = Draft7Validator(schema, format_checker=FormatChecker()).iter_errors(manifest("server.json"))
    assert list(problems) == []


def test_every_manifest_names_the_version_of_the_package(manifest: Manifest) -> None:
    registry, bundle = manifest("server.json"), manifest("mcpb/manifest.json")
    described = {registry["version"], bundle["version"], *(package["version"] for package in registry["packages"])}
    assert described == {__version__}


def test_the_readme_proves_who_owns_the_registry_entry(manifest: Manifest) -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert f"<!-- mcp-name: {manifest('server.json')['name']} -->" in lines


def test_the_registry_entry_names_every_variable_that_is_read(manifest: Manifest) -> None:
    options = {option.envvar for option in main.params if isinstance(option, click.Option) and option.envvar}
    over_stdio, over_http = (
        {variable["name"] for variable in package["environmentVariables"]}
        for package in manifest("server.json")["packages"]
    )
    assert over_http == options | WITHOUT_OPTION.keys()
    assert {name for name in over_http - over_stdio if "HTTP" not in name} == {
        "AGENTPHONE_TRANSPORT",
        "AGENTPHONE_HOST",
        "AGENTPHONE_PORT",
    }


def test_what_is_secret_is_marked_so(manifest: Manifest) -> None:
    for package in manifest("server.json")["packages"]:
        told = package["environmentVariables"]
        assert not any(variable.get("isRequired") for variable in told)
        for variable in told:
            if re.search("KEY|TOKEN|SECRET|PASSWORD", variable["name"]) and variable.get("format") == "string":
                assert variable["isSecret"] or variable.get("choices") == ["on", "off"], variable["name"]


def test_the_address_over_http_is_the_one_that_is_served(manifest: Manifest) -> None:
    package = manifest("server.json")["packages"][1]
    defaults = {told["name"]: told.get("default", told.get("value")) for told in package["environmentVariables"]}
    assert package["transport"]["url"].format(**defaults) == "http://127.0.0.1:8000/mcp"
    assert defaults["AGENTPHONE_TRANSPORT"] == package["transport"]["type"]


@HOST
def test_a_host_entry_starts_the_published_command_and_holds_no_key(host: Any) -> None:
    read = {"json": yaml.safe_load, "yaml": yaml.safe_load, "toml": tomllib.loads}[host.format]
    text = (MANIFESTS / "hosts" / f"{host.key}.{host.format}").read_text(encoding="utf-8")
    table = read(text)
    for name in host.table:
        table = table[name]
    assert list(table) == ["agentphone"]
    entry = table["agentphone"]
    assert [entry.get("command", entry.get("cmd")), *entry["args"]] == ["uvx", "agentphone-mcp"]
    assert not re.search(r"sk_|\bBearer [^$]", text)


@HOST
def test_the_readme_links_every_entry(host: Any) -> None:
    for page in (ROOT / "README.md", MANIFESTS / "README.md"):
        links = re.findall(rf"\(([\w/]*hosts/{host.key}\.[\w.]+)\)", page.read_text(encoding="utf-8"))
        assert len(links) == (1 if host.no_remote else 2)
        assert all((page.parent / link).is_file() for link in links)
