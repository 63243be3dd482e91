"""Send hostile requests to a server, which must go on serving without a traceback."""

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from time import monotonic, sleep

import pytest

from agentphone_mcp.sandbox import running
from tests.server.http import hostile
from tests.support import COMMAND, clean_environment

KINDS = (
    *("hosts", "types", "syntax", "sizes", "batches", "ids", "methods", "params", "calls", "headers", "sessions"),
    *("credentials", "states", "listening", "verbs", "targets", "versions", "pipelines", "left", "cuts", "framing"),
    "endless",
)
REQUESTS = 12
FEWER = {"sizes": 4}
# Prints a hash of the first requests of a run.
SENT = """
import hashlib, sys
from agentphone_mcp.sandbox import running
from tests.server.http import hostile
sys.set_int_max_str_digits(0)
run = hostile.Run(hostile.Site("127.0.0.1", 1, "/mcp"), 1, list(hostile.KINDS), None)
print(len(hostile.KINDS), hashlib.sha256(b"".join(run.attack(number)[1].sent for number in range(44))).hexdigest())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, Path]]:
    """Start a server on a sandbox; give its URL and the file of its log."""
    log = tmp_path_factory.mktemp("hostile") / "log"
    command = [*COMMAND, "--sandbox", "--transport", "streamable-http", "--port", "0"]
    environment = clean_environment(AGENTPHONE_SANDBOX_SPEED="1000")
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=stderr)
    log.with_name("pid").write_text(str(process.pid))
    try:
        until = monotonic() + 30
        while b"Serving on " not in (text := log.read_bytes()) or not text.endswith(b"\n"):
            assert process.poll() is None, text
            assert monotonic() < until, text
            sleep(0.05)
        yield text.decode().split("Serving on ")[1].split()[0], log
        assert process.poll() is None, "it has died"
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture
def _any_number_of_digits() -> Generator[None]:
    limit = sys.get_int_max_str_digits()
    yield
    sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("_any_number_of_digits")
def test_hostile_requests_are_answered_or_dropped_and_others_served(
    server: tuple[str, Path], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url, log = server
    arguments = ["--url", url, "--log", str(log), "--kind", kind, "--seed", "5"]
    with pytest.raises(SystemExit) as end:
        hostile.main([*arguments, "--requests", str(FEWER.get(kind, REQUESTS))])
    assert end.value.code == 0, capsys.readouterr().out[:5_000]


@pytest.fixture(scope="module")
def sandbox_arguments() -> Generator[list[str]]:
    """Serve a sandbox in a thread, and give the arguments with its URL and its key."""
    with running(speed=1_000) as sandbox:
        yield ["--sandbox", "--url", f"{sandbox.url}/v1/contacts", "--header", f"Authorization: Bearer {sandbox.key}"]


@pytest.mark.parametrize("kind", hostile.KINDS_FOR_A_SANDBOX)
@pytest.mark.usefixtures("_any_number_of_digits")
@pytest.mark.attack("19", "what needs no key reaches the sandbox, or fills its memory")
def test_a_sandbox_goes_on_serving_too(
    sandbox_arguments: list[str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        hostile.main([*sandbox_arguments, "--kind", kind, "--seed", "5", "--requests", str(REQUESTS)])
    assert end.value.code == 0, capsys.readouterr().out[:5_000]


@pytest.mark.slow
@pytest.mark.usefixtures("_any_number_of_digits")
def test_thousands_of_hostile_requests_leave_a_server_as_it_was(
    server: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    url, log = server
    pid = log.with_name("pid").read_text()
    with pytest.raises(SystemExit) as end:
        hostile.main(["--url", url, "--log", str(log), "--requests", "1000", "--rounds", "3", "--pid", pid])
    assert end.value.code == 0, capsys.readouterr().out[:5_000]


@pytest.mark.slow
@pytest.mark.usefixtures("_any_number_of_digits")
def test_thousands_of_hostile_requests_leave_a_sandbox_serving(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, log = "sk_sandbox_of_this_test", tmp_path / "log"
    command = [*COMMAND, "sandbox", "--port", "0", "--key", key]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, env=clean_environment(), stdout=written, stderr=subprocess.STDOUT) as process,
    ):
        try:
            until = monotonic() + 30
            while b"AGENTPHONE_API_KEY=" not in log.read_bytes():
                assert monotonic() < until
                sleep(0.05)
            url = log.read_text().partition("AGENTPHONE_BASE_URL=")[2].split()[0]
            arguments = ["--sandbox", "--url", f"{url}/v1/contacts", "--header", f"Authorization: Bearer {key}"]
            with pytest.raises(SystemExit) as end:
                # Its memory grows until its list of requests is full, so that is not looked at.
                hostile.main([*arguments, "--requests", "1000", "--rounds", "3"])
            assert end.value.code == 0, capsys.readouterr().out[:5_000]
        finally:
            process.terminate()


def test_the_same_seed_sends_the_same_requests() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", SENT],
            env=clean_environment(PYTHONHASHSEED=seed),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].split()[0] == str(len(KINDS))
