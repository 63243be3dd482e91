"""Provide a keychain for the test, a sandbox at real speed, and the command in this process or its own."""

import json
import os
import subprocess
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner, Result
from keyring.core import load_keyring

from agentphone_mcp.commands.main import main
from agentphone_mcp.config.keychain import SERVICE
from agentphone_mcp.sandbox import Sandbox, running
from tests.commands.login.pretend_keychain import PYTHONPATH
from tests.support import COMMAND, PATIENCE, clean_environment

HERE = Path(__file__).parent
Run = Callable[..., Result]


@pytest.fixture
def sandbox(closing: Callable[[Callable[[], object]], None]) -> Generator[Sandbox]:
    """Run a sandbox in which a code is good for ten real minutes, on however slow a machine."""
    box = ExitStack()
    yield box.enter_context(running(speed=1))
    closing(box.close)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[], dict[str, str]]]:
    """Set a keychain for this process and those it starts; return what it keeps, by account."""
    before = keyring.get_keyring()
    file = tmp_path / "keychain.json"
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setenv("PRETEND_KEYCHAIN", str(file))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "pretend_keychain.Keychain")
    keyring.set_keyring(load_keyring("pretend_keychain.Keychain"))
    yield lambda: json.loads(file.read_text("utf-8")).get(SERVICE, {}) if file.exists() else {}
    keyring.set_keyring(before)


@pytest.fixture
def run() -> Run:
    """Run our command in this process; only the given settings and those of `kept` are in the environment."""

    def run(*arguments: str, typed: str = "", **settings: str) -> Result:
        unset = {name: None for name in os.environ if name.startswith("AGENTPHONE_")}
        with pytest.MonkeyPatch.context() as patch:
            if backend := settings.get("PYTHON_KEYRING_BACKEND"):
                patch.setattr(keyring, "get_keyring", lambda: load_keyring(backend))
            return CliRunner().invoke(main, arguments, input=typed, env=unset | settings)

    return run


@pytest.fixture
def run_process() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run our command to its end in a process, as a server sets up its own logging."""

    def run_process(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            env=clean_environment(PYTHONPATH=PYTHONPATH, **settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            check=False,
        )

    return run_process
