"""What the tests of the doctor share: a home of their own, the command, and an API that is ill in the way they want."""

import json
import os
import ssl
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import time
from typing import Any

import pytest
from click.testing import CliRunner

from agentphone_mcp.commands.main import main
from tests.support import ROOT

KEY = "sk_test_not_a_real_key_0042"
USAGE = {
    "plan": {"name": "free", "numberLimit": 10},
    "numbers": {"used": 1, "limit": 10},
    "stats": {"messagesLast30d": 3, "minutesLast30d": 4},
}
SERVER = {"command": sys.executable, "args": ["-m", "agentphone_mcp"], "env": {"PYTHONPATH": str(ROOT)}}
"""Our entry, as it starts the server under test."""


@dataclass(frozen=True)
class Report:
    """What the command said: its exit status, and the findings as JSON has them."""

    exit_code: int
    findings: list[dict[str, Any]]
    text: str

    def of(self, check: str) -> dict[str, Any]:
        """The one finding of a check."""
        (found,) = (finding for finding in self.findings if finding["check"] == check)
        return found

    def checks(self, status: str) -> list[str]:
        """What stands so, in order."""
        return [finding["check"] for finding in self.findings if finding["status"] == status]

    def fails_in(self, check: str) -> dict[str, Any]:
        """The one failure there is, which is of this check, has a remedy, and makes the exit status 1."""
        assert self.checks("failure") == [check], self.text
        assert self.exit_code == 1
        found = self.of(check)
        assert found["remedy"]
        return found

    def warns_in(self, check: str) -> dict[str, Any]:
        """The one warning there is; nothing fails."""
        assert (self.checks("failure"), self.checks("warning")) == ([], [check]), self.text
        assert self.exit_code == 0
        found = self.of(check)
        assert found["remedy"]
        return found


Doctor = Callable[..., Report]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with nothing in it, a project in which one is, and no variable of ours or of a proxy."""
    home, project = tmp_path / "home", tmp_path / "project"
    for folder in (home, project):
        folder.mkdir()
    monkeypatch.chdir(project)
    for name in os.environ:
        if name.startswith(("AGENTPHONE_", "XDG_")) and name not in ("AGENTPHONE_STATE", "XDG_STATE_HOME"):
            monkeypatch.delenv(name)
        if name.upper().endswith("_PROXY") or name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
    for name, folder in {"HOME": ".", "USERPROFILE": ".", "APPDATA": "roaming", "LOCALAPPDATA": "local"}.items():
        monkeypatch.setenv(name, str(home / folder))
    return home


@pytest.fixture
def uvx(home: Path) -> Path:
    """A `uvx` in a folder of its own, which is the PATH of the command."""
    folder = home / "bin"
    folder.mkdir()
    program = folder / ("uvx.bat" if os.name == "nt" else "uvx")
    program.write_text("@echo uvx 9.9.9\n" if os.name == "nt" else "#!/bin/sh\necho uvx 9.9.9\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def doctor(uvx: Path) -> Doctor:
    """Run the command with these options and variables, as a person would."""

    def doctor(*options: str, **environ: str) -> Report:
        told = CliRunner(env={"PATH": str(uvx.parent)} | environ).invoke(
            main, ["doctor", "--json", *options], catch_exceptions=False
        )
        found = json.loads(told.stdout)
        assert found["ok"] == (told.exit_code == 0)
        assert told.stderr == ""
        return Report(told.exit_code, found["findings"], told.stdout)

    return doctor


@dataclass
class Pretender:
    """An API whose every answer is set by the test.

    Attributes:
        url: where it is.
        answers: the status and the JSON of a path, or the text of a page.
        clock_off: seconds that its Date header is off.
        asked: the requests so far, as `METHOD path`.
    """

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict[str, tuple[int, Any]])
    clock_off: float = 0
    asked: list[str] = field(default_factory=list[str])


def _handler(api: Pretender) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        """Answers a request as the test said."""

        def do_GET(self) -> None:
            """Answer."""
            path = self.path.partition("?")[0]
            api.asked.append(f"{self.command} {path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, said = api.answers.get(path, (404, {"detail": "not found"}))
            body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(said, str) else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the library's name

        def date_time_string(self, timestamp: float | None = None) -> str:
            """Tell the time."""
            return formatdate((timestamp or time()) + api.clock_off, usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Answering


@pytest.fixture
def api(home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Pretender]:
    """An API that is well until a test makes it ill, with a key that goes there."""
    yield from _served(None, monkeypatch)


@pytest.fixture
def tls_api(home: Path, monkeypatch: pytest.MonkeyPatch, certificates: ssl.SSLContext) -> Generator[Pretender]:
    """The same over TLS, with a certificate by an authority that nobody knows."""
    yield from _served(certificates, monkeypatch)


def _served(tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch) -> Generator[Pretender]:
    api = Pretender(answers={"/v1/usage": (200, USAGE), "/v1/webhooks": (200, None), "/v1/agents": (200, {"data": []})})
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(api)) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        api.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AGENTPHONE_BASE_URL", api.url)
        monkeypatch.setenv("AGENTPHONE_API_KEY", KEY)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield api
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a port on which nothing listens, and to which the API's requests go."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AGENTPHONE_BASE_URL", url)
    monkeypatch.setenv("AGENTPHONE_API_KEY", KEY)
    return url
