"""A server that hostile requests reach goes on serving, says nothing of itself, and keeps its log quiet."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.support import ROOT

HERE = Path(__file__).parent
HOSTILE = [sys.executable, str(HERE / "hostile.py")]
KINDS = (
    *("hosts", "types", "syntax", "sizes", "batches", "ids", "methods", "params", "calls", "headers", "sessions"),
    *("credentials", "states", "listening", "verbs", "targets", "versions", "pipelines", "left", "cuts", "framing"),
    "endless",
)
EACH = 12
FEW = {"sizes": 4}
"""Of what takes its time."""
# Prints what is sent by the first requests of a run.
SENT = """
import hashlib, hostile
run = hostile.Run(hostile.Site("127.0.0.1", 1, "/mcp"), 1, list(hostile.KINDS), None)
print(len(hostile.KINDS), hashlib.sha256(b"".join(run.attack(number)[1].sent for number in range(44))).hexdigest())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Path]]:
    """Our command on a sandbox of its own: its address, and the file that its log is written to."""
    log = tmp_path_factory.mktemp("hostile") / "log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTPHONE_")}
    settings = {"PYTHONPATH": str(ROOT), "AGENTPHONE_SANDBOX_SPEED": "1000"}
    command = [sys.executable, "-m", "agentphone_mcp", "--sandbox", "--transport", "streamable-http", "--port", "0"]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=clean | settings, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        until = monotonic() + 30
        while b"Serving on " not in (said := log.read_bytes()) or not said.endswith(b"\n"):
            assert process.poll() is None, said
            assert monotonic() < until, said
            sleep(0.05)
        yield said.decode().split("Serving on ")[1].split()[0], log
        assert process.poll() is None, "it has died"
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_requests_are_answered_or_dropped_and_others_served(server: tuple[str, Path], kind: str) -> None:
    """Whatever is sent, there is HTTP without a crash in it, no traceback in the log, and the next client is served."""
    url, log = server
    command = [*HOSTILE, "--url", url, "--log", str(log), "--kind", kind, "--seed", "5"]
    command += ["--requests", str(FEW.get(kind, EACH))]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout[:5_000] + ran.stderr


def test_the_same_seed_sends_the_same_requests() -> None:
    """What was found once can be sent again, on another day and another machine."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", SENT],
            cwd=HERE,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].split()[0] == str(len(KINDS))
