"""Start the measured processes: our server, others', and the sandbox that they ask."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, Timer
from time import monotonic, sleep
from typing import Any

import httpx
from figures import Odd

FOLDER = Path(__file__).parent
OURS = (sys.executable, "-m", "agentphone_mcp")
ONE_TOOL = (sys.executable, str(FOLDER / "one_tool.py"))
LEGACY = "2025-11-25"
"""What hosts speak that shake hands, as nearly all do."""
ME = {"name": "benchmark", "version": "1"}
HELLO: dict[str, Any] = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": ME}
NO_CAPS = ",".join(
    f"{cap}=off" for cap in ("calls", "calls_to_one_number", "messages", "messages_to_one_number", "spend")
)
UNPACED = 1_000_000
"""Requests a minute: more than any measure makes."""
PATIENCE = 120
"""Seconds after which a process is ended that does not answer, and the measure with it."""
_MOMENT = 10
# Bytecode is written at the first start, as everywhere, so that all others are as everybody's second one.
_NOT_THEIRS = ("AGENTPHONE_", "PYTHONDONTWRITEBYTECODE")
# Nothing that an earlier server noted for its next start counts here.
_CACHE = tempfile.TemporaryDirectory()


@dataclass(frozen=True)
class Account:
    """Hold a running sandbox: its address, its key, and a call that has ended."""

    url: str
    key: str
    call_id: str

    @property
    def told(self) -> dict[str, str]:
        """Return the variables that connect a server to it, as fast as it can."""
        connection = {"AGENTPHONE_API_KEY": self.key, "AGENTPHONE_BASE_URL": self.url}
        return connection | {"AGENTPHONE_REQUESTS_PER_MINUTE": str(UNPACED)}

    @property
    def credentials(self) -> dict[str, str]:
        """Return the headers of a direct request."""
        return {"Authorization": f"Bearer {self.key}"}

    @contextmanager
    def asked_directly(self) -> Generator[httpx.Client]:
        """Open a bare client that keeps its connection."""
        with httpx.Client(base_url=self.url, headers=self.credentials, trust_env=False, timeout=PATIENCE) as http:
            yield http


@contextmanager
def child(*command: str, told: dict[str, str], **streams: Any) -> Generator[subprocess.Popen[bytes]]:
    """Run a process until the block ends, with only the given variables of ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_THEIRS)}
    settings = clean | {"AGENTPHONE_KEYCHAIN": "off", "XDG_CACHE_HOME": _CACHE.name} | told
    process = subprocess.Popen(command, env=settings, **streams)
    try:
        yield process
    finally:
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        process.terminate()
        try:
            process.wait(_MOMENT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr:
            process.stderr.close()


@contextmanager
def _not_forever(process: subprocess.Popen[bytes]) -> Generator[None]:
    """Kill the process after a while, so that its reader does not wait forever."""
    too_late = Timer(PATIENCE, process.kill)
    too_late.start()
    try:
        yield
    finally:
        too_late.cancel()


@contextmanager
def serving(*command: str, told: dict[str, str]) -> Generator[tuple[str, int]]:
    """Start a server over HTTP; yield its address and process."""
    with child(*command, told=told, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr
        with _not_forever(process):
            said = process.stderr.readline().decode()
        if "Serving on" not in said:
            raise Odd(f"a server does not serve over HTTP, it says: {said.strip()}")
        # A pipe that nobody empties would stop it; what goes wrong there is seen here.
        log = Thread(target=shutil.copyfileobj, args=(process.stderr, sys.stderr.buffer), daemon=True)
        log.start()
        try:
            yield said.split()[-1], process.pid
        finally:
            process.terminate()
            log.join(_MOMENT)


class Host:
    """Talk to a server over stdio as a host does, one request at a time."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name, self.pid = name, process.pid
        assert process.stdin
        assert process.stdout
        self._to, self._from = process.stdin, process.stdout
        self._asked = 0

    def shake_hands(self) -> None:
        """Initialize the session."""
        self.ask("initialize", HELLO)
        self._say({"method": "notifications/initialized"})

    def list_tools(self) -> None:
        """List the tools."""
        if not self.ask("tools/list", {})["tools"]:
            raise Odd(f"{self.name} has no tools")

    def call(self, tool: str, **arguments: object) -> None:
        """Call a tool and check that it succeeded."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError") or "needs_confirmation" in str(result.get("structuredContent")):
            raise Odd(f"{self.name} answered {tool} with {result['content']}")

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result.

        Raises:
            Odd: if there is none.
        """
        self._asked += 1
        self._say({"id": self._asked, "method": method, "params": params})
        for line in self._from:
            answer = json.loads(line)
            if answer.get("id") == self._asked:
                if "result" not in answer:
                    raise Odd(f"{self.name} answered {method} with {answer}")
                return answer["result"]
        raise Odd(f"{self.name} ended before it answered {method}")

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._to.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self._to.flush()
        except OSError:
            raise Odd(f"{self.name} ended before it was asked {message['method']}") from None


@contextmanager
def host_of(name: str, *command: str, told: dict[str, str]) -> Generator[Host]:
    """Start a server over stdio and yield its host; its log goes to stderr."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with child(*command, told=told, **streams) as process, _not_forever(process):
        yield Host(name, process)


@contextmanager
def sandbox(*options: str) -> Generator[Account]:
    """Start a sandbox process with an ended call and plenty of money."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, key = f"http://127.0.0.1:{port}", f"sk_sandbox_{secrets.token_hex(16)}"
    command = (*OURS, "sandbox", "--port", str(port), "--speed", "200", *options)
    with child(*command, told={"AGENTPHONE_SANDBOX_KEY": key}, stdout=subprocess.DEVNULL) as process:
        with Account(url, key, "").asked_directly() as http:
            _wait_for(process, http)
            http.post("/__sandbox/balance", json={"balance": "1000"}).raise_for_status()
            placed = http.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155559999"})
            call_id = placed.raise_for_status().json()["id"]
            give_up_at = monotonic() + PATIENCE
            while http.get(f"/v1/calls/{call_id}").json()["status"] != "completed":
                if monotonic() > give_up_at:
                    raise Odd("the sandbox's call does not end")
                sleep(0.05)
        yield Account(url, key, call_id)


def _wait_for(process: subprocess.Popen[bytes], http: httpx.Client) -> None:
    """Wait until the sandbox answers."""
    give_up_at = monotonic() + PATIENCE
    while True:
        try:
            http.get("/v1/usage").raise_for_status()
            return
        except httpx.TransportError:
            if process.poll() is not None or monotonic() > give_up_at:
                raise Odd("the sandbox does not start") from None
            sleep(0.05)


def memory(pid: int, kind: str) -> float:
    """Return the memory of a process in MiB, as Linux counts it: `VmRSS` now, `VmHWM` at most.

    Raises:
        Odd: where the system is another one.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise Odd("memory is read from /proc, which is not here: measure on Linux") from None
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024
