"""Starts what an entry names as its host would, asks it for its tools, and ends it with all that it started."""

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
    """What a server said: after how many milliseconds, how many tools, and which version it is."""

    ms: int
    tools: int
    name: str
    version: str


class NoAnswer(Exception):
    """The server did not start or did not answer.

    Attributes:
        said: the last line that it wrote to stderr, without secrets; empty if there is none.
        why: the error that it came to; a TimeoutError where it took too long.
        status: with which HTTP status a server elsewhere said no, if it did.
    """

    def __init__(self, said: str, why: Exception, status: int | None = None) -> None:
        super().__init__(said)
        self.status = status
        self.said = said
        self.why = why


async def start(launch: Launch, command: str, within: float) -> Answer:
    """Start a command and go as far as the answer of tools/list; however that goes, it is ended.

    Args:
        launch: what the host would start.
        command: where its command was found.
        within: seconds until the answer.

    Raises:
        NoAnswer: if there is none.
    """
    server = StdioServerParameters(command=command, args=list(launch.arguments), env=dict(launch.environ))
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            return await _ask(Client(stdio_client(server, errlog=errors), mode="legacy"), within)
        except (OSError, ValueError, MCPError, ExceptionGroup) as exc:
            raise NoAnswer(_last_line(errors, launch), exc) from exc


async def ask(address: Address, within: float) -> Answer:
    """Ask a server that runs elsewhere for its tools.

    Raises:
        NoAnswer: if there is no answer within so many seconds, or it says no.
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
            # The end has bounds of its own.
            bounded.deadline = math.inf
            server = client.server_info
            name, version = (server.name, server.version) if server else ("one without a name", "unknown")
            return Answer(round(took * 1000), len(tools), name, version)


def _last_line(errors: IO[str], launch: Launch) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    # uv ends with what might help, after what is wrong.
    lines = [line for line in lines if not line.startswith("hint:")] or lines
    return redact_secrets_of(launch, lines[-1])[:_LONGEST_LINE] if lines else ""
