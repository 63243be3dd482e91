"""Provide an empty home, the command run in it, and an API whose answers each test sets."""

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
"""An entry that starts the server under test."""


@dataclass(frozen=True)
class Report:
    """Holds the exit status and the findings of the command, as in its JSON."""

    exit_code: int
    findings: list[dict[str, Any]]
    text: str

    def of(self, check: str) -> dict[str, Any]:
        """Return the only finding of a check."""
        (found,) = (finding for finding in self.findings if finding["check"] == check)
        return found

    def checks(self, status: str) -> list[str]:
        """Return the checks with a status, in order."""
        return [finding["check"] for finding in self.findings if finding["status"] == status]

    def fails_in(self, check: str) -> dict[str, Any]:
        """Return the finding of this check after asserting that it alone failed, with a remedy and status 1."""
        assert self.checks("failure") == [check], self.text
        assert self.exit_code == 1
        found = self.of(check)
        assert found["remedy"]
        return found

    def warns_in(self, check: str) -> dict[str, Any]:
        """Return the finding of this check after asserting that it is the only warning and nothing fails."""
        assert (self.checks("failure"), self.checks("warning")) == ([], [check]), self.text
        assert self.exit_code == 0
        found = self.of(check)
        assert found["remedy"]
        return found


Doctor = Callable[..., Report]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create an empty home and enter an empty project, without variables of ours or of a proxy."""
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
    """Create a `uvx` in a folder that is the command's PATH."""
    folder = home / "bin"
    folder.mkdir()
    program = folder / ("uvx.bat" if os.name == "nt" else "uvx")
    program.write_text("@echo uvx 9.9.9\n" if os.name == "nt" else "#!/bin/sh\necho uvx 9.9.9\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def doctor(uvx: Path) -> Doctor:
    """Run the command with options and environment variables."""

    def doctor(*options: str, **environ: str) -> Report:
        result = CliRunner(env={"PATH": str(uvx.parent)} | environ).invoke(
            main, ["doctor", "--json", *options], catch_exceptions=False
        )
        found = json.loads(result.stdout)
        assert found["ok"] == (result.exit_code == 0)
        assert result.stderr == ""
        return Report(result.exit_code, found["findings"], result.stdout)

    return doctor


@dataclass
class Pretender:
    """Holds the answers of a fake API, set by the test.

    Attributes:
        url: its base URL.
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
        """Answers requests as the test has set."""

        def do_GET(self) -> None:
            """Send the answer set for the path."""
            path = self.path.partition("?")[0]
            api.asked.append(f"{self.command} {path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, message = api.answers.get(path, (404, {"detail": "not found"}))
            body = message.encode() if isinstance(message, str) else json.dumps(message).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(message, str) else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the library's name

        def date_time_string(self, timestamp: float | None = None) -> str:
            """Return the time, off by `clock_off` seconds."""
            return formatdate((timestamp or time()) + api.clock_off, usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Answering


@pytest.fixture
def api(home: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Pretender]:
    """Serve an API that works until the test changes an answer, with a key for it."""
    yield from _served(None, monkeypatch)


@pytest.fixture
def tls_api(home: Path, monkeypatch: pytest.MonkeyPatch, certificates: ssl.SSLContext) -> Generator[Pretender]:
    """Serve that API over TLS, with a certificate of an unknown authority."""
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
    """Return the URL of a port on which nothing listens, as the API's base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AGENTPHONE_BASE_URL", url)
    monkeypatch.setenv("AGENTPHONE_API_KEY", KEY)
    return url
