"""A keychain of the test's own, a sandbox in life's own time, and the command as a person runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import keyring
import pytest
from keyring.core import load_keyring

from agentphone_mcp.config.keychain import SERVICE
from agentphone_mcp.sandbox import Sandbox, running
from tests.support import ROOT

HERE = Path(__file__).parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sandbox(closing: Callable[[Callable[[], object]], None]) -> Generator[Sandbox]:
    """A sandbox in which a code is good for ten real minutes, on however slow a machine."""
    box = ExitStack()
    yield box.enter_context(running(speed=1))
    closing(box.close)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[], dict[str, str]]]:
    """A keychain for this process and for those it starts; what it keeps, by account."""
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
    """Run our command to its end; only the given settings and what `kept` says are in the environment."""

    def run(*arguments: str, told: str = "", **settings: str) -> "subprocess.CompletedProcess[str]":
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTPHONE_")}
        path = os.pathsep.join((str(ROOT), str(HERE)))
        return subprocess.run(
            [sys.executable, "-m", "agentphone_mcp", *arguments],
            env=clean | {"PYTHONPATH": path} | settings,
            input=told,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
