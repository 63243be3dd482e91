"""What the tests of hosts can ask for: somebody's home on any system, and the command in a home of its own."""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner, Result
from keyring.backends.null import Keyring

from agentphone_mcp.commands.install.command import install
from agentphone_mcp.commands.install.locations import Machine

Install = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def machine(home: Path) -> Callable[..., Machine]:
    """That home on a machine with a system and variables, none of them this machine's."""

    def machine(platform: str = "linux", **environ: str) -> Machine:
        return Machine(platform, home, environ)

    return machine


@pytest.fixture
def uvx(home: Path) -> Path:
    """A program where uv's installer puts its own, which no PATH leads to."""
    program = home / ".local" / "bin" / ("uvx.exe" if os.name == "nt" else "uvx")
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    return program


@pytest.fixture
def keychain() -> Generator[None]:
    """A keychain that has nothing, whatever there is on this machine."""
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def run(home: Path, uvx: Path, keychain: None, tmp_path: Path) -> Install:
    """Run the command in that home; a keyword is a variable."""
    settings = {
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

    def run(*arguments: str, answers: str | None = None, **variables: str) -> Result:
        return CliRunner(env=settings | variables).invoke(install, arguments, input=answers)

    return run
