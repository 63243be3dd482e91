"""The bundle for Claude Desktop describes the server, and what is packed runs."""

import json
import os
import re
import runpy
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import click
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from agentphone_mcp import __version__
from agentphone_mcp.commands.main import main
from tests.support import ROOT

FOLDER = ROOT / "manifests" / "mcpb"
PATIENCE = 300
"""Seconds for steps that download packages first."""
UV = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
"""Settings that make uv use this Python; hosts let it download one."""

Manifest = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def build() -> dict[str, Any]:
    """Load the script that packs the bundle."""
    return runpy.run_path(str(FOLDER / "build.py"))


@pytest.fixture(scope="module")
def packed(build: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the bundle with the vendor's own tool."""
    if shutil.which("npx") is None:
        pytest.skip("no Node is installed here")
    try:
        build["packer"]("--version")
    except build["CannotPack"] as exc:
        pytest.skip(f"the packer cannot be had here: {exc}")
    file = tmp_path_factory.mktemp("bundle") / "agentphone.mcpb"
    build["build"](file)
    return file


@pytest.fixture(scope="module")
def unpacked(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the bundle as Claude Desktop does."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def installed(unpacked: Path) -> Path:
    """Install the server's dependencies into that folder with `uv`."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("no uv is installed here")
    ended = subprocess.run(
        [uv, "sync", "--quiet", "--directory", unpacked],
        env=os.environ | UV,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if ended.returncode and "Failed to fetch" in ended.stderr:
        pytest.skip(f"no packages can be had here: {ended.stderr}")
    assert ended.returncode == 0, ended.stderr
    return unpacked


def test_the_form_asks_for_nothing_that_must_be_filled_in(manifest: Manifest) -> None:
    form = manifest("mcpb/manifest.json")["user_config"]
    assert not any(field.get("required") for field in form.values())
    assert all("default" in field for field in form.values())
    assert [name for name, field in form.items() if field.get("sensitive")] == ["api_key"]


def test_every_field_of_the_form_reaches_the_server_and_means_something_there(manifest: Manifest) -> None:
    described = manifest("mcpb/manifest.json")
    variables = described["server"]["mcp_config"]["env"]
    options = {option.envvar for option in main.params if isinstance(option, click.Option)}
    assert set(variables) - options == {"AGENTPHONE_API_KEY"}
    assert sorted(variables.values()) == sorted(f"${{user_config.{field}}}" for field in described["user_config"])


def test_the_bundle_lists_every_tool_in_order(manifest: Manifest) -> None:
    golden = manifest("../tests/golden/tools.json")
    listed = manifest("mcpb/manifest.json")["tools"]
    assert [(tool["name"], tool["description"]) for tool in listed] == [
        (tool["name"], tool["description"]) for tool in golden
    ]


def test_the_icon_is_as_large_as_claude_desktop_shows_it() -> None:
    head = (FOLDER / "icon.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:24]) == (512, 512)


@pytest.mark.slow
def test_the_bundle_holds_the_package_and_nothing_else(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"manifest.json", "icon.png", "pyproject.toml", "README.md", "LICENSE", "agentphone_mcp"}
    assert "agentphone_mcp/__main__.py" in names
    assert "agentphone_mcp/sandbox/page/page.html" in names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
async def test_what_is_unpacked_answers_as_claude_desktop_starts_it(installed: Path) -> None:
    described = json.loads((installed / "manifest.json").read_text(encoding="utf-8"))
    values = {"__dirname": str(installed)}
    for name, field in described["user_config"].items():
        values[f"user_config.{name}"] = str(field["default"]).lower()

    def filled_in(text: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda reference: values[reference[1]], text)

    started = described["server"]["mcp_config"]
    variables = {name: filled_in(value) for name, value in started["env"].items()}
    theirs = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_", "HTTP"))}
    parameters = StdioServerParameters(
        command=shutil.which(started["command"]) or "",
        args=[filled_in(argument) for argument in started["args"]],
        env=theirs | UV | variables | {"AGENTPHONE_KEYCHAIN": "off"},
    )
    with anyio.fail_after(PATIENCE):
        async with Client(parameters) as client:
            assert client.server_info.version == __version__
            tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == [tool["name"] for tool in described["tools"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "message"),
    [({"version": 1}, "version"), ({"surplus": True}, "surplus"), ({"icon": "no.png"}, "no.png")],
    ids=["wrong-type", "unknown-key", "no-icon"],
)
def test_a_manifest_that_is_wrong_is_not_packed(
    packed: Path, build: dict[str, Any], manifest: Manifest, tmp_path: Path, broken: dict[str, Any], message: str
) -> None:
    assert packed.exists()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest("mcpb/manifest.json") | broken))
    with pytest.raises(build["CannotPack"], match=message):
        build["packer"]("validate", tmp_path / "manifest.json")


def test_without_node_the_script_says_what_to_install(tmp_path: Path) -> None:
    file = tmp_path / "none.mcpb"
    ended = subprocess.run(
        [sys.executable, FOLDER / "build.py", file],
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Error: npx is not on the PATH: install Node 20 or newer\n"
    assert not file.exists()


def test_where_no_folder_can_be_made_the_script_says_so(tmp_path: Path, build: dict[str, Any]) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        build["build"](tmp_path / "taken" / "agentphone.mcpb")
