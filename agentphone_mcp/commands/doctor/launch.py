"""Start the server of an entry as its host would, list its tools, end it, and tell of it without its secrets."""

import math
import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import IO, Any, cast

import anyio
import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from agentphone_mcp.api.allowlist import is_loopback
from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.commands.doctor.host_entries import SECRET_NAME, Address, Launch

_LONGEST_LINE = 300
_REMOVED = "[removed]"
_SHORTEST = 4
"""The least length of a secret; a shorter value is a switch such as `AUTH=1`, and occurs in any text."""
_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)\s+\S{8,}", re.IGNORECASE)
_OPTION = r"--?[\w-]*(?:key|token|secret|password)"
_SECRET_OPTION = re.compile(_OPTION, re.IGNORECASE)
_SECRET_IN_OPTION = re.compile(rf"({_OPTION})=.+", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Launched:
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


async def start(launch: Launch, command: str, folder: Path, within: float) -> Launched:
    """Start a launch in a folder by the path of its command, and list its tools; the process is ended in any case.

    Raises:
        NoAnswer: if no answer comes within so many seconds.
    """
    server = StdioServerParameters(command=command, args=list(launch.arguments), env=dict(launch.environ), cwd=folder)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            return await _ask(Client(stdio_client(server, errlog=errors), mode="legacy"), within)
        except (OSError, ValueError, MCPError, ExceptionGroup) as exc:
            raise NoAnswer(_last_line(errors, launch), exc) from exc


async def ask(address: Address, within: float) -> Launched:
    """List the tools of a remote server.

    Raises:
        NoAnswer: if no answer comes within so many seconds, or the server refuses.
    """
    refusals: list[int] = []

    async def note(response: httpx2.Response) -> None:
        if response.is_error:
            refusals.append(response.status_code)

    headers, hooks = dict(address.headers), {"response": [note]}
    # A proxy that the environment names would read what is meant for this machine.
    past_proxies = {"http://": None, "https://": None} if _is_on_this_machine(address.url) else None
    try:
        async with httpx2.AsyncClient(
            headers=headers, timeout=within, event_hooks=hooks, mounts=past_proxies, follow_redirects=False
        ) as client:
            return await _ask(Client(streamable_http_client(address.url, http_client=client), mode="legacy"), within)
    except (OSError, ValueError, MCPError, ExceptionGroup) as exc:
        raise NoAnswer("", exc, refusals[0] if refusals else None) from exc


def is_private(url: str) -> bool:
    """Tell whether nobody on the way can read what is sent to a URL: it is https, or on this machine."""
    try:
        return httpx2.URL(url).scheme == "https" or (httpx2.URL(url).scheme == "http" and _is_on_this_machine(url))
    except (httpx2.InvalidURL, ValueError):
        return False


def _is_on_this_machine(url: str) -> bool:
    return is_loopback(httpx2.URL(url).raw_host.decode("ascii").strip("[]"))


async def _ask(client: Client, within: float) -> Launched:
    started = perf_counter()
    with anyio.fail_after(within) as bounded:
        async with client:
            tools = (await client.list_tools()).tools
            took = perf_counter() - started
            # Closing the client has a time limit of its own.
            bounded.deadline = math.inf
            server = client.server_info
            name, version = (server.name, server.version) if server else ("one without a name", "unknown")
            return Launched(round(took * 1000), len(tools), name, version)


def _last_line(errors: IO[str], launch: Launch) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().splitlines() if line.strip()]
    # uv prints hints after the error itself.
    lines = [line for line in lines if not line.startswith("hint:")] or lines
    return _redact_secrets_of(launch, lines[-1])[:_LONGEST_LINE] if lines else ""


def redact(text: str) -> str:
    """Redact keys, logins in URLs and credentials of headers in a text."""
    return mask_keys(_CREDENTIALS.sub(rf"\1 {_REMOVED}", _LOGIN_IN_URL.sub("", text)))


def _redact_secrets_of(launch: Launch, text: str) -> str:
    """Redact also the values of the launch's variables with names of secrets, longest first."""
    held = {value for name, value in launch.environ.items() if SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    for value in sorted(held, key=len, reverse=True):
        text = text.replace(value, _REMOVED)
    return redact(text)


def command_line(launch: Launch, platform: str) -> str:
    """Quote the command for the shell of a system, named as in `sys.platform`, without its secrets."""
    given = (launch.command, *launch.arguments)
    words = [
        _REMOVED if _SECRET_OPTION.fullmatch(before) else _redact_secrets_of(launch, _without_value(word))
        for before, word in zip(("", *given), given, strict=False)
    ]
    return subprocess.list2cmdline(words) if platform == "win32" else shlex.join(words)


def shown(entry: Mapping[str, Any], platform: str) -> str:
    """Show what an entry that is not ours names, as it stands there and without its secrets: a command or a URL."""
    for name in ("url", "serverUrl", "httpUrl", "uri"):
        if isinstance(url := entry.get(name), str):
            return redact(url.partition("?")[0])[:_LONGEST_LINE]
    args = entry.get("args")
    words = tuple(map(str, cast("list[object]", args))) if isinstance(args, list) else ()
    launch = Launch(str(entry.get("command", entry.get("cmd", ""))), words, {}, "", ())
    tables = [
        cast("Mapping[str, object]", entry[name]) for name in ("env", "envs") if isinstance(entry.get(name), dict)
    ]
    names = [mask_keys(name) for table in tables for name in table]
    with_ = f", with {', '.join(names)} set" if names else ""
    return f"{command_line(launch, platform)}{with_}"[:_LONGEST_LINE]


def _without_value(word: str) -> str:
    option = _SECRET_IN_OPTION.fullmatch(word)
    return f"{option[1]}={_REMOVED}" if option else word
