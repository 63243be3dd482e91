"""Compare with a bare MCP server over HTTP: `python tests/benchmarks/hosting.py [--era both] [--sessions 32]`.

Ours and `plain.py`, each in a process of its own, ask the same sandbox (a third process) for the same call, turn and
turn about in short rounds, which this process asks for over raw connections, so that the load costs little. Printed
are the medians of the rounds: calls a second, the processor time that the server itself spent on a call (which a busy
machine disturbs less), and the peak of its memory. Fails when ours answers less than 0.9 of what the plain one does,
or takes over 40 MiB more.

Both run on the same event loop (`--loop`) and HTTP parser (httptools where it is installed, unless `--http h11`).
`--set NAME=VALUE` is for our environment alone and `--header` for requests to us: with both, a server that wants
credentials is measured.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from figures import Budget, Figure, Odd, paired
from processes import FOLDER, HELLO, LEGACY, ME, memory, sandbox, serving

LEAST_RATIO, MOST_MIB = 0.9, 40
MODERN = "2026-07-28"
OVER_HTTP = ("--transport", "streamable-http", "--port", "0")
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": ME,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class Server:
    """Hold a measured server: its address, and its figures so far by protocol era."""

    name: str
    url: str
    pid: int
    headers: dict[str, str]
    rates: dict[str, list[float]] = field(default_factory=dict)
    costs: dict[str, list[float]] = field(default_factory=dict)

    def processor_seconds(self) -> float:
        """Return the process's CPU seconds so far, kernel included."""
        spent = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")

    def peak(self) -> float:
        """Return the process's peak memory in MiB."""
        return memory(self.pid, "VmHWM")


class Connection:
    """Speak just enough HTTP over one connection."""

    def __init__(self, server: Server, era: str, call_id: str) -> None:
        self._server, self._era, self._call_id = server, era, call_id
        self._headers = {
            "Host": urlsplit(server.url).netloc,
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **server.headers,
        }
        self._call = b""

    async def open(self) -> None:
        """Connect, and initialize where the protocol era asks for it."""
        at = urlsplit(self._server.url)
        self._reader, self._writer = await asyncio.open_connection(at.hostname, at.port)
        params: dict[str, Any] = {"name": "get_call", "arguments": {"call_id": self._call_id}}
        if self._era == "modern":
            params["_meta"] = _ENVELOPE
            self._headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "get_call"}
        else:
            headers, _ = await self._ask(self._request("initialize", HELLO, id=0))
            self._headers |= {"Mcp-Session-Id": headers["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
            await self._ask(self._request("notifications/initialized"))
        self._call = self._request("tools/call", params, id=1)
        await self.call()

    async def call(self) -> None:
        """Get the call and check that it came."""
        _, body = await self._ask(self._call)
        if self._call_id.encode() not in body or b'"isError":true' in body:
            raise Odd(f"{self._server.name} answered {body!r}")

    async def close(self) -> None:
        """Close the connection."""
        if self._era == "legacy":
            await self._ask(self._bytes("DELETE"))
        self._writer.close()

    def _request(self, method: str, params: dict[str, Any] | None = None, **id: int) -> bytes:
        message = {"jsonrpc": "2.0", "method": method, **id} | ({"params": params} if params else {})
        return self._bytes("POST", json.dumps(message).encode())

    def _bytes(self, verb: str, body: bytes = b"") -> bytes:
        headers = "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())
        head = f"{verb} {urlsplit(self._server.url).path} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def _ask(self, request: bytes) -> tuple[dict[str, str], bytes]:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        if not head[0].startswith("HTTP/1.1 2"):
            raise Odd(f"{self._server.name} answered {head[0]}")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if "chunked" not in headers.get("transfer-encoding", ""):
            return headers, await self._reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readexactly(2)
        return headers, body


async def one_round(server: Server, era: str, call_id: str, sessions: int, seconds: float) -> None:
    """Load one server for a while and note its rate."""
    connections = [Connection(server, era, call_id) for _ in range(sessions)]
    await asyncio.gather(*(connection.open() for connection in connections))
    answered, spent, started = 0, server.processor_seconds(), perf_counter()
    until = started + seconds

    async def keep_asking(connection: Connection) -> None:
        nonlocal answered
        while perf_counter() < until:
            await connection.call()
            answered += 1

    await asyncio.gather(*(keep_asking(connection) for connection in connections))
    server.rates.setdefault(era, []).append(answered / (perf_counter() - started))
    server.costs.setdefault(era, []).append((server.processor_seconds() - spent) / answered * 1000)
    await asyncio.gather(*(connection.close() for connection in connections))


def command(given: argparse.Namespace, run: str, *arguments: str) -> list[str]:
    """Return the command that starts a server on the chosen event loop and parser."""
    prelude = f"import runpy, sys\nsys.path.insert(0, {str(FOLDER)!r})\n"
    if given.http == "h11":
        prelude += "sys.modules['httptools'] = None\n"  # uvicorn takes it wherever it can be imported
    if given.loop == "uvloop":
        prelude += "import uvloop\nuvloop.install()\n"
    return [
        sys.executable,
        "-c",
        f"{prelude}runpy.run_module({run!r}, run_name='__main__', alter_sys=True)",
        *arguments,
    ]


@contextmanager
def both(given: argparse.Namespace) -> Generator[tuple[Server, Server, str]]:
    """Start ours and the plain server on one sandbox; yield both and a call's id."""
    with ExitStack() as stack:
        account = stack.enter_context(sandbox())
        state = stack.enter_context(tempfile.TemporaryDirectory())
        ours = {"AGENTPHONE_STATE": state} | dict(pair.split("=", 1) for pair in given.set)
        servers: list[Server] = []
        for name, line, extra, headers in (
            ("ours", command(given, "agentphone_mcp", *OVER_HTTP), ours, given.header),
            ("plain", command(given, "plain"), {}, []),
        ):
            url, pid = stack.enter_context(serving(*line, told=account.told | extra))
            own = {key.strip(): value.strip() for key, _, value in (one.partition(":") for one in headers)}
            servers.append(Server(name, url, pid, own))
        yield *servers, account.call_id


async def rounds(
    servers: tuple[Server, Server], era: str, call_id: str, sessions: int, given: argparse.Namespace
) -> None:
    """Load both servers in turn."""
    for number in range(given.rounds):
        # Whoever comes first in a round comes second in the next: the machine may get slower meanwhile.
        for server in reversed(servers) if number % 2 else servers:
            await one_round(server, era, call_id, sessions, given.seconds)


def measure(quick: bool) -> Generator[Figure]:
    """Measure calls a second at 1, 8 and 32 sessions, and peak memory."""
    words = ["--rounds", "1", "--seconds", "0.2"] if quick else ["--rounds", "5", "--seconds", "1"]
    given = options().parse_args(words)
    with both(given) as (ours, plain, call_id):
        for sessions in (1, 8, 32):
            asyncio.run(rounds((ours, plain), "legacy", call_id, sessions, given))
            budget = Budget("ratio", LEAST_RATIO, is_least=True) if sessions == 32 else None
            rates = [server.rates.pop("legacy") for server in (ours, plain)]
            yield paired("hosting", f"sessions: {sessions}", "calls/s", *rates, "plain server", budget)
        peaks = [[server.peak()] for server in (ours, plain)]
    yield paired("hosting", "peak memory", "MiB", *peaks, "plain server", Budget("more", MOST_MIB))


def show(ours: Server, plain: Server) -> None:
    """Print the figures and fail at too large a difference."""
    print(f"{'':24}{'ours':>9}{'plain':>9}{'ratio':>8}")
    wrong: list[str] = []
    for era in ours.rates:
        rate = [statistics.median(server.rates[era]) for server in (ours, plain)]
        cost = [statistics.median(server.costs[era]) for server in (ours, plain)]
        # Rounds are compared with their neighbours, so that what slows both down in between does not count.
        ratio = statistics.median(a / b for a, b in zip(ours.rates[era], plain.rates[era], strict=True))
        print(f"{era + ': calls a second':24}{rate[0]:9.0f}{rate[1]:9.0f}{ratio:8.2f}")
        print(f"{era + ': CPU ms a call':24}{cost[0]:9.2f}{cost[1]:9.2f}{cost[0] / cost[1]:8.2f}")
        if ratio < LEAST_RATIO:
            wrong.append(f"{era}: {ratio:.2f} of the plain server's calls, less than {LEAST_RATIO}")
    peaks = [server.peak() for server in (ours, plain)]
    more = peaks[0] - peaks[1]
    print(f"{'peak memory, MiB':24}{peaks[0]:9.1f}{peaks[1]:9.1f}{peaks[0] / peaks[1]:8.2f}   {more:.1f} MiB more")
    if more > MOST_MIB:
        wrong.append(f"{more:.1f} MiB more than the plain server, over {MOST_MIB}")
    if wrong:
        raise Odd("; ".join(wrong))


def options() -> argparse.ArgumentParser:
    """Declare the command line."""
    asked = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    asked.add_argument("--era", choices=("legacy", "modern", "both"), default="both")
    asked.add_argument("--sessions", type=int, default=32)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--seconds", type=float, default=2.0, help="how long a round takes")
    asked.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    asked.add_argument("--http", choices=("auto", "h11"), default="auto")
    asked.add_argument("--header", action="append", default=[], metavar="NAME: VALUE")
    asked.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    return asked


def main() -> None:
    """Take the measures that were asked for."""
    given = options().parse_args()
    try:
        with both(given) as (ours, plain, call_id):
            for era in ("legacy", "modern") if given.era == "both" else (given.era,):
                asyncio.run(rounds((ours, plain), era, call_id, given.sessions, given))
            show(ours, plain)
    except Odd as exc:
        raise SystemExit(f"WRONG: {exc}") from None


if __name__ == "__main__":
    main()
