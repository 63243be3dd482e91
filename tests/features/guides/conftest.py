"""Run the guides' examples: their servers as processes, a webhook with a fixed answer, and callers."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from tests.features.webhook import Hook, listening_hook
from tests.support import PATIENCE

SECRET = "whsec_of_the_guides"
ORDERS = "agt_orderline"
ADA, DESK, STRANGER = "+14155550142", "+14155550100", "+14155559999"
_MAY_PASS = ("PATH", "HOME", "SYSTEMROOT", "TMPDIR", "LANG")


class ExampleServer:
    """Run an example's server as a process, and read the lines that it prints."""

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
        self._printed: Queue[str] = Queue()
        self._reader = Thread(target=self._read)
        self._reader.start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for the next line that matches, and return the match."""
        while True:
            line = self._printed.get(timeout=PATIENCE)
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match

    def close(self) -> None:
        """End the process, and wait until it is gone."""
        self._process.kill()
        self._process.wait(timeout=PATIENCE)
        self._reader.join(timeout=PATIENCE)

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as output:
            for line in output:
                self._printed.put(line.rstrip())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., tuple[ExampleServer, str]]]:
    """Save and start an example as its guide says, and return its server and the URL of its webhook."""
    started: list[ExampleServer] = []

    def serve(file: str, code: str, **environment: str) -> tuple[ExampleServer, str]:
        command = sys.executable
        if file.endswith(".mjs"):
            command = shutil.which("node") or pytest.skip("this example needs Node")
        saved = tmp_path / file
        saved.write_text(code, encoding="utf-8")
        server = ExampleServer([command, str(saved)], WEBHOOK_SECRET=SECRET, **environment)
        started.append(server)
        port = server.wait_for(r"(?:port |://127\.0\.0\.1:)(\d+)")[1]
        return server, f"http://127.0.0.1:{port}/webhook"

    yield serve
    for server in started:
        server.close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """Run a webhook in this process."""
    with listening_hook() as hook:
        yield hook


class Phone:
    """Set the webhook of an agent at the sandbox, and call or text its number."""

    def __init__(self, sandbox: Sandbox, api: httpx.Client) -> None:
        self._sandbox = sandbox
        self.api = api
        self.post(f"/v1/agents/{ORDERS}/numbers", {"numberId": "num_frontdesk"})

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a POST request, and return the JSON of its successful response."""
        answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def set_webhook(self, url: str) -> None:
        """Set the agent's webhook, with the secret that the examples' servers were started with."""
        self.post(f"/v1/agents/{ORDERS}/webhook", {"url": url})
        webhook = self._sandbox.context.account.agents[ORDERS].webhook
        assert webhook
        webhook.secret = SECRET

    def call(self, *says: str, caller: str = STRANGER) -> list[tuple[str, str]]:
        """Call and say these lines; return the role and words of each turn, once the call is over."""
        call_id = self.post("/__sandbox/calls", {"from": caller, "to": DESK, "says": says})["id"]
        # The stream ends with the call.
        assert self.api.get(f"/v1/calls/{call_id}/transcript/stream").is_success
        turns = self.api.get(f"/v1/calls/{call_id}/transcript").json()["transcript"]
        return [(turn["role"], turn["content"]) for turn in turns]

    def text(self, body: str) -> None:
        """Text the agent as Ada."""
        self.post("/__sandbox/messages", {"from": ADA, "to": DESK, "body": body})

    def turns_delivered(self) -> list[dict[str, Any]]:
        """List the deliveries of voice turns to the webhook, oldest first."""
        rows = self.api.get(f"/v1/agents/{ORDERS}/webhook/deliveries", params={"limit": 100}).json()
        return [row for row in reversed(rows) if (row["event"], row["channel"]) == ("agent.message", "voice")]


@pytest.fixture
def phone(sandbox: Sandbox) -> Iterator[Phone]:
    """Give an agent in webhook mode a number, to call and to text."""
    headers = {"Authorization": f"Bearer {sandbox.key}"}
    with httpx.Client(base_url=sandbox.url, headers=headers, timeout=PATIENCE, trust_env=False) as api:
        yield Phone(sandbox, api)
