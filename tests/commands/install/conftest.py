"""Provide a home folder on any system, and the command run in it."""

import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner, Result
from keyring.backends.null import Keyring

from agentphone_mcp.commands.install.command import install
from agentphone_mcp.commands.install.hosts import HOSTS
from agentphone_mcp.commands.install.locations import Machine

Install = Callable[..., Result]
FileOf = Callable[[str], Path]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Create an empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def machine(home: Path) -> Callable[..., Machine]:
    """Describe that home on a machine with a given system and given variables."""

    def machine(platform: str = "linux", **environ: str) -> Machine:
        return Machine(platform, home, environ)

    return machine


@pytest.fixture
def file_of(home: Path) -> FileOf:
    """Locate the file of a host in that home, on the system that runs the tests."""
    return lambda key: HOSTS[key].user_file(Machine(sys.platform, home, {}))


@pytest.fixture
def uvx(home: Path) -> Path:
    """Create a `uvx` where uv's installer puts it, off the PATH."""
    program = home / ".local" / "bin" / ("uvx.exe" if os.name == "nt" else "uvx")
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    return program


@pytest.fixture
def keychain() -> Generator[None]:
    """Replace this machine's keychain by an empty one."""
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


def environment(home: Path) -> dict[str, str | None]:
    """Return the variables of that home; None stands for one that is not set."""
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "APPDATA": str(home / "AppData" / "Roaming"),
        "LOCALAPPDATA": str(home / "AppData" / "Local"),
        "PATH": "",
        "XDG_CONFIG_HOME": None,
        "CODEX_HOME": None,
        "CLAUDE_CONFIG_DIR": None,
        "AGENTPHONE_API_KEY": None,
        "AGENTPHONE_API_KEY_FILE": None,
        "AGENTPHONE_KEYCHAIN": None,
        "AGENTPHONE_MCP_TOKEN": None,
    }


@pytest.fixture
def run(home: Path, uvx: Path, keychain: None, tmp_path: Path) -> Install:
    """Run the command in that home, with keywords as environment variables."""

    def run(*arguments: str, answers: str | None = None, **variables: str) -> Result:
        return CliRunner(env=environment(home) | variables).invoke(install, arguments, input=answers)

    return run
