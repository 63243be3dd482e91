"""The demo shows what is so, and says when it is not."""

import os
import subprocess
import sys
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from agentphone_mcp.commands.demo import StepFailed, Story
from tests.support import ROOT


def demo(*code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the demo as a person would, or the given Python."""
    python = ["-c", *code] if code else ["-m", "agentphone_mcp", "demo"]
    return subprocess.run(
        [sys.executable, *python],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | environment,
    )


def test_a_person_sees_what_an_assistant_can_do() -> None:
    shown = demo(PYTHONIOENCODING="ascii")
    assert shown.returncode == 0, shown.stderr
    assert "\x1b" not in shown.stdout
    assert "nothing was bought yet" in shown.stdout
    assert (
        shown.stdout.index("Shall I?") < shown.stdout.index("You: Yes, buy it.") < shown.stdout.index("The number is")
    )
    assert "restaurant  Yes, that works for me." in shown.stdout
    assert "Phone numbers: 2 of 10." in shown.stdout


def test_files_where_it_is_shown_are_taken_for_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that it starts takes the packages of the demo."""
    (tmp_path / "mcp.py").write_text("raise SystemExit", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shown = demo(PYTHONSAFEPATH="1")
    assert shown.returncode == 0, shown.stdout


def test_a_demo_that_fails_says_so_with_its_exit_status() -> None:
    options = ["--sandbox", "--toolsets", "account"]
    shown = demo(
        f"import sys; from agentphone_mcp.commands.demo import run_demo; sys.exit(run_demo(server_options={options}))"
    )
    assert shown.returncode == 1
    assert "The demo failed: create_agent answered: The tool 'create_agent'" in shown.stdout
    assert "Traceback" not in shown.stdout + shown.stderr


async def test_a_step_that_does_not_do_what_it_says_stops_the_story(connect, sandbox) -> None:
    """An account without money buys no number, whatever the assistant would like to say."""
    sandbox.context.account.balance.amount = Decimal(0)
    async with connect() as client:
        with pytest.raises(StepFailed, match="INSUFFICIENT_BALANCE"):
            await Story(client, Console(file=StringIO())).tell()
