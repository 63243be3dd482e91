"""What the guides' examples are run with: processes for their servers, a webhook that answers as told, callers."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox

SECRET = "whsec_of_the_guides"
ORDERS = "agt_orderline"
ADA, DESK, STRANGER = "+14155550142", "+14155550100", "+14155559999"
_PATIENCE = 60
_MAY_PASS = ("PATH", "HOME", "SYSTEMROOT", "TMPDIR", "LANG")


class Served:
    """An example's server in a process of its own, and the lines that it prints."""

    def __init__(self, command: list[str], **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if name in _MAY_PASS}
        self._process = subprocess.Popen(
            command,
            env=clean | {"PORT": "0", "PYTHONUNBUFFERED": "1"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._coming: Queue[str] = Queue()
        self._listener = Thread(target=self._listen)
        self._listener.start()

    def until(self, pattern: str) -> re.Match[str]:
        """The next line in which this is found; fails if none comes in time."""
        while True:
            line = self._coming.get(timeout=_PATIENCE)
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found

    def close(self) -> None:
        """End the process, and wait until it is gone."""
        self._process.kill()
        self._process.wait(timeout=_PATIENCE)
        self._listener.join(timeout=_PATIENCE)

    def _listen(self) -> None:
        assert self._process.stdout
        with self._process.stdout as output:
            for line in output:
                self._coming.put(line.rstrip())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., tuple[Served, str]]]:
    """Save an example under its name, run it as its guide says, and tell the URL of its webhook."""
    started: list[Served] = []

    def serve(file: str, code: str, **environment: str) -> tuple[Served, str]:
        command = sys.executable
        if file.endswith(".mjs"):
            command = shutil.which("node") or pytest.skip("this example needs Node")
        saved = tmp_path / file
        saved.write_text(code, encoding="utf-8")
        server = Served([command, str(saved)], WEBHOOK_SECRET=SECRET, **environment)
        started.append(server)
        port = server.until(r"(?:port |://127\.0\.0\.1:)(\d+)")[1]
        return server, f"http://127.0.0.1:{port}/webhook"

    yield serve
    for server in started:
        server.close()


class Hook:
    """A webhook that answers every turn of a call with the same bytes, and keeps what it was sent."""

    def __init__(self) -> None:
        self.body, self.content_type = b"{}", "application/json"
        self.received: Queue[tuple[bytes, dict[str, str]]] = Queue()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.received.put((body, dict(self.headers)))
                self.send_response(200)
                self.send_header("Content-Type", hook.content_type)
                self.end_headers()
                self.wfile.write(hook.body)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"

    def next(self, event: str, channel: str) -> tuple[bytes, dict[str, str]]:
        """The next such event as it came over the wire."""
        while True:
            body, headers = self.received.get(timeout=_PATIENCE)
            read = json.loads(body)
            if (read["event"], read["channel"]) == (event, channel):
                return body, headers

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook in this process."""
    hook = Hook()
    yield hook
    hook.close()


class Line:
    """The sandbox as the examples' author uses it: a webhook is set, and somebody calls or texts."""

    def __init__(self, sandbox: Sandbox, api: httpx.Client) -> None:
        self._sandbox = sandbox
        self.api = api
        self.post(f"/v1/agents/{ORDERS}/numbers", {"numberId": "num_frontdesk"})

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST it, and read the answer."""
        answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def set_webhook(self, url: str) -> None:
        """Make it the webhook of the agent. An example's server knows its secret from its start, so it is that one."""
        self.post(f"/v1/agents/{ORDERS}/webhook", {"url": url})
        webhook = self._sandbox.context.account.agents[ORDERS].webhook
        assert webhook
        webhook.secret = SECRET

    def call(self, *says: str, caller: str = STRANGER) -> list[tuple[str, str]]:
        """Somebody calls and says this, line by line; tells who said what, when the call is over."""
        call_id = self.post("/__sandbox/calls", {"from": caller, "to": DESK, "says": says})["id"]
        # The stream ends with the call.
        assert self.api.get(f"/v1/calls/{call_id}/transcript/stream").is_success
        turns = self.api.get(f"/v1/calls/{call_id}/transcript").json()["transcript"]
        return [(turn["role"], turn["content"]) for turn in turns]

    def text(self, body: str) -> None:
        """Ada texts the agent."""
        self.post("/__sandbox/messages", {"from": ADA, "to": DESK, "body": body})

    def turns_delivered(self) -> list[dict[str, Any]]:
        """What became of each turn that was sent to the webhook, the first one first."""
        rows = self.api.get(f"/v1/agents/{ORDERS}/webhook/deliveries", params={"limit": 100}).json()
        return [row for row in reversed(rows) if (row["event"], row["channel"]) == ("agent.message", "voice")]


@pytest.fixture
def line(sandbox: Sandbox) -> Iterator[Line]:
    """A telephone line whose agent is in webhook mode."""
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    with httpx.Client(base_url=sandbox.url, headers=headers, timeout=_PATIENCE, trust_env=False) as api:
        yield Line(sandbox, api)
