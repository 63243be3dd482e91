"""Start the server of an entry as its host would, list its tools, and end it with its child processes."""

import math
import tempfile
from dataclasses import dataclass
from time import perf_counter
from typing import IO

import anyio
import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from agentphone_mcp.commands.doctor.host_entries import Address, Launch
from agentphone_mcp.commands.doctor.redaction import redact_secrets_of

_LONGEST_LINE = 300


@dataclass(frozen=True)
class Answer:
    """Holds what a server answered, and after how many milliseconds."""

    ms: int
    tools: int
    name: str
    version: str


class NoAnswer(Exception):
    """Reports that a server did not start or did not answer.

    Attributes:
        said: its last line on stderr, without secrets; empty if there is none.
        why: the error; a TimeoutError if it took too long.
        status: the HTTP status with which a remote server refused, if it did.
    """

    def __init__(self, said: str, why: Exception, status: int | None = None) -> None:
        super().__init__(said)
        self.status = status
        self.said = said
        self.why = why


async def start(launch: Launch, command: str, within: float) -> Answer:
    """Start a command and list its tools; the process is ended in any case.

    Args:
        launch: the command as the host would start it.
        command: the path of the command.
        within: the time limit for the answer, in seconds.

    Raises:
        NoAnswer: if no answer comes in time.
    """
    server = StdioServerParameters(command=command, args=list(launch.arguments), env=dict(launch.environ))
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            return await _ask(Client(stdio_client(server, errlog=errors), mode="legacy"), within)
        except (OSError, ValueError, MCPError, ExceptionGroup) as exc:
            raise NoAnswer(_last_line(errors, launch), exc) from exc


async def ask(address: Address, within: float) -> Answer:
    """List the tools of a remote server.

    Raises:
        NoAnswer: if no answer comes within so many seconds, or the server refuses.
    """
    refusals: list[int] = []

    async def note(response: httpx2.Response) -> None:
        if response.is_error:
            refusals.append(response.status_code)

    headers, hooks = dict(address.headers), {"response": [note]}
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=within, event_hooks=hooks) as client:
            return await _ask(Client(streamable_http_client(address.url, http_client=client), mode="legacy"), within)
    except (OSError, ValueError, MCPError, ExceptionGroup) as exc:
        raise NoAnswer("", exc, refusals[0] if refusals else None) from exc


async def _ask(client: Client, within: float) -> Answer:
    started = perf_counter()
    with anyio.fail_after(within) as bounded:
        async with client:
            tools = (await client.list_tools()).tools
            took = perf_counter() - started
            # Closing the client has a time limit of its own.
            bounded.deadline = math.inf
            server = client.server_info
            name, version = (server.name, server.version) if server else ("one without a name", "unknown")
            return Answer(round(took * 1000), len(tools), name, version)


def _last_line(errors: IO[str], launch: Launch) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    # uv prints hints after the error itself.
    lines = [line for line in lines if not line.startswith("hint:")] or lines
    return redact_secrets_of(launch, lines[-1])[:_LONGEST_LINE] if lines else ""
