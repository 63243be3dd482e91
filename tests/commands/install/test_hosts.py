"""Each host's file is located on each system."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.install.locations import Machine

MAC = "Library/Application Support"
WHERE = {
    "claude-desktop": (
        f"{MAC}/Claude/claude_desktop_config.json",
        "AppData/Roaming/Claude/claude_desktop_config.json",
        ".config/Claude/claude_desktop_config.json",
    ),
    "claude-code": (".claude.json",) * 3,
    "cursor": (".cursor/mcp.json",) * 3,
    "windsurf": (
        ".config/devin/mcp_config.json",
        "AppData/Roaming/devin/mcp_config.json",
        ".config/devin/mcp_config.json",
    ),
    "vscode": (f"{MAC}/Code/User/mcp.json", "AppData/Roaming/Code/User/mcp.json", ".config/Code/User/mcp.json"),
    "zed": (".config/zed/settings.json", "AppData/Roaming/Zed/settings.json", ".config/zed/settings.json"),
    "codex": (".codex/config.toml",) * 3,
    "gemini": (".gemini/settings.json",) * 3,
    "goose": (
        ".config/goose/config.yaml",
        "AppData/Roaming/Block/goose/config/config.yaml",
        ".config/goose/config.yaml",
    ),
}
"""On macOS, Windows and Linux."""


@pytest.mark.parametrize("key", HOSTS)
@pytest.mark.parametrize(
    ("system", "platform"), list(enumerate(("darwin", "win32", "linux"))), ids=("mac", "win", "linux")
)
def test_each_host_has_its_file_on_each_system(
    key: str, system: int, platform: str, machine: Callable[..., Machine]
) -> None:
    machine_here = machine(platform)
    assert HOSTS[key].user_file(machine_here) == machine_here.home / WHERE[key][system]


@pytest.mark.parametrize("key", HOSTS)
@pytest.mark.parametrize("platform", ["darwin", "win32", "linux"])
def test_a_host_is_found_by_its_file_or_its_folder(key: str, platform: str, machine: Callable[..., Machine]) -> None:
    machine_here = machine(platform)
    host = HOSTS[key]
    assert not host.is_installed(machine_here)
    file = host.user_file(machine_here)
    mark = file if file.parent == machine_here.home else file.parent
    mark.mkdir(parents=True)
    assert host.is_installed(machine_here)


@pytest.mark.parametrize(
    ("key", "variable", "file"),
    [
        ("claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "CODEX_HOME", "config.toml"),
        ("claude-desktop", "XDG_CONFIG_HOME", "Claude/claude_desktop_config.json"),
        ("goose", "XDG_CONFIG_HOME", "goose/config.yaml"),
    ],
)
def test_a_variable_moves_the_file(
    key: str, variable: str, file: str, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    assert HOSTS[key].user_file(machine(**{variable: str(tmp_path)})) == tmp_path / file
    assert HOSTS[key].user_file(machine(**{variable: "here"})) == HOSTS[key].user_file(machine())


def test_claude_desktop_from_the_store_has_a_file_of_its_own(machine: Callable[..., Machine]) -> None:
    windows = machine("win32")
    usual = windows.home / "AppData" / "Roaming" / "Claude" / "claude_desktop_config.json"
    usual.parent.mkdir(parents=True)
    assert HOSTS["claude-desktop"].user_file(windows) == usual
    own = windows.home / "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming/Claude"
    own.mkdir(parents=True)
    assert HOSTS["claude-desktop"].user_file(windows) == own / usual.name


def test_windsurf_keeps_its_old_file_until_it_is_devin(machine: Callable[..., Machine]) -> None:
    machine_here = machine()
    old, new = machine_here.home / ".codeium" / "windsurf", machine_here.home / ".config" / "devin"
    old.mkdir(parents=True)
    assert HOSTS["windsurf"].user_file(machine_here).parent == old
    new.mkdir(parents=True)
    assert HOSTS["windsurf"].user_file(machine_here).parent == new


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "too-long"])
def test_a_folder_that_cannot_be_looked_into_is_passed_over(
    is_closed: bool, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    folder = tmp_path / ("closed" if is_closed else "a" * 300)
    if is_closed:
        folder.mkdir(mode=0)
    machine_here = machine(CODEX_HOME=str(folder / "codex"))
    try:
        assert not HOSTS["codex"].is_installed(machine_here)
        assert HOSTS["codex"].user_file(machine_here) == folder / "codex" / "config.toml"
    finally:
        if is_closed:
            folder.chmod(0o700)
