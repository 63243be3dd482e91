"""The report is readable in every terminal, and the command can be interrupted."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import pytest
from click.testing import CliRunner, Result

from agentphone_mcp.commands.doctor.finding import Finding
from agentphone_mcp.commands.doctor.installation import check_packages, check_python, check_time_zones
from agentphone_mcp.commands.doctor.run import Environment, run_checks
from agentphone_mcp.commands.install.locations import Machine
from agentphone_mcp.commands.main import main
from tests.support import ROOT

PATIENCE = 120


def run(*options: str, charset: str = "utf-8", **environ: str) -> Result:
    """Run the command with a table as its output."""
    return CliRunner(charset=charset, env=environ).invoke(main, ["doctor", *options], catch_exceptions=False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "utf-8"])
def test_the_table_fits_every_terminal(api: Any, encoding: str) -> None:
    result = run("--no-hosts", "--state", "/日本語/👋/" + "long/" * 30, charset=encoding, COLUMNS="80")
    lines = result.stdout.splitlines()
    assert result.stderr == ""
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in "".join(lines)
    assert lines[-1].startswith("It works")


def test_the_table_says_what_to_do(api: Any) -> None:
    api.answers["/v1/usage"] = (401, {"detail": "no"})
    shown = run("--no-hosts", COLUMNS="200").stdout
    assert "-> The key from AGENTPHONE_API_KEY (it ends in 0042) is wrong or revoked" in shown
    assert "It does not work: 1 failure" in shown


@pytest.mark.skipif(os.name != "posix", reason="a folder that one is in cannot go on Windows")
def test_it_runs_in_a_folder_that_is_gone(doctor: Any, api: Any) -> None:
    Path.cwd().rmdir()
    assert doctor().exit_code == 0


@pytest.mark.skipif(os.name != "posix", reason="the signal of a terminal is another on Windows")
@pytest.mark.parametrize(
    ("kind", "ctrl_c"),
    [
        pytest.param("SIGTERM", "on", id="terminated"),
        pytest.param("SIGINT", "on", id="ctrl-c", marks=pytest.mark.slow),
        pytest.param("SIGHUP", "on", id="terminal-closed", marks=pytest.mark.slow),
        pytest.param("SIGTERM", "off", id="terminated-in-the-background", marks=pytest.mark.slow),
    ],
)
def test_it_can_be_interrupted(api: Any, home: Path, kind: str, ctrl_c: str) -> None:
    marker = home / "started"
    (home / ".cursor").mkdir()
    code = f"import os, pathlib, time; pathlib.Path({str(marker)!r}).write_text(str(os.getpid())); time.sleep(600)"
    entry = f'{{"mcpServers": {{"agentphone": {{"command": "{sys.executable}", "args": ["-c", "{code}"]}}}}}}'
    (home / ".cursor/mcp.json").write_text(entry)
    with subprocess.Popen(
        [sys.executable, "-c", _DOCTOR, ctrl_c],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        reader = subprocess.run(
            [sys.executable, "-c", _WAIT, str(marker)], check=True, capture_output=True, timeout=PATIENCE
        )
        process.send_signal(getattr(signal, kind))
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.kill(int(reader.stdout), 0)


_DOCTOR = """
import runpy, signal, sys
# Whoever runs the tests may have them ignored.
for kind in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(kind, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler if sys.argv[1] == "on" else signal.SIG_IGN)
sys.argv[1:] = ["doctor"]
runpy.run_module("agentphone_mcp", run_name="__main__")
"""
_WAIT = """
import pathlib, sys, time
file = pathlib.Path(sys.argv[1])
while not (file.exists() and file.read_text()):
    time.sleep(0.05)
print(file.read_text())
"""


@pytest.mark.parametrize(
    ("versions", "message"),
    [
        pytest.param({"mcp": "1.30.0", "httpx": "0.28.1"}, "mcp 1.30.0 is not <3,>=2.3", id="too-old"),
        pytest.param({"mcp": "2.3.0"}, "httpx is missing", id="missing"),
    ],
)
def test_the_packages_do_not_fit(versions: Mapping[str, str], message: str) -> None:

    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    found = check_packages(["mcp>=2.3,<3", "httpx>=0.28", "nothing>=1; extra == 'more'"], version)
    assert (found.status, found.said) == ("failure", message)
    assert found.remedy


def test_python_is_too_old() -> None:
    found = check_python(">=3.11", "3.10.4")
    assert (found.status, "needs >=3.11" in found.said) == ("failure", True)


def test_there_are_no_time_zones() -> None:

    def none(name: str) -> object:
        raise ZoneInfoNotFoundError(name)

    found = check_time_zones(none)
    assert (found.status, found.remedy) == ("failure", "Install the data: pip install tzdata")


async def test_a_check_that_breaks_down_hides_no_other(home: Path) -> None:

    async def broken(*, is_key_in_keychain: bool) -> list[Finding]:
        raise RuntimeError("at sk_live_not_a_real_key_0042")

    found = await run_checks(
        Environment({"AGENTPHONE_BASE_URL": "http://127.0.0.1:9"}, Machine("linux", home, {})), broken
    )
    assert found[-1].check == "hosts"
    assert found[-1].said == "this check broke down: RuntimeError: at [key removed]"
    assert len(found) > 5


def test_serving_does_not_wait_for_it() -> None:
    code = "import sys, agentphone_mcp.commands.main; print([m for m in sys.modules if 'doctor' in m or m == 'mcp'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    assert result.stdout.strip() == b"[]"
