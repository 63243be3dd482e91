"""Measure the start: over stdio beside `import mcp.server`, over HTTP beside a one-tool server."""

import logging
import sys
import tempfile
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from time import perf_counter
from urllib.parse import urljoin

import httpx
import httpx_sse
from figures import Budget, Figure, Odd, paired, turn_about
from processes import FOLDER, HELLO, LEGACY, ONE_TOOL, OURS, PATIENCE, child, host_of, sandbox, serving

from agentphone_mcp.server.stdio.surface import note_difference

IMPORT = (sys.executable, "-c", "import mcp.server")
BY_THE_SDK = (sys.executable, str(FOLDER / "by_the_sdk.py"))
# What a host says until it knows the tools.
MESSAGES: tuple[dict[str, object], ...] = (
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}},
)


def over_stdio(quick: bool) -> Generator[Figure]:
    """Time from the process's start to the answers of initialize, tools/list and a first call."""
    with sandbox() as account, tempfile.TemporaryDirectory() as state:
        told = account.told | {"AGENTPHONE_STATE": state}
        sides: dict[str, Callable[[], list[float]]] = {
            "import": partial(_import, told),
            "one tool": partial(_answers, "the one-tool server", ONE_TOOL, told, "nothing", {}),
            "ours": partial(_answers, "ours", OURS, told, "get_call", {"call_id": account.call_id}),
            "plain": partial(
                _answers, "ours, plain", OURS, told | _plain(state), "get_call", {"call_id": account.call_id}
            ),
            "by the SDK": partial(
                _answers, "ours by the SDK", BY_THE_SDK, told, "get_call", {"call_id": account.call_id}
            ),
        }
        took = turn_about(sides, 1 if quick else 11, warm=0 if quick else 1)
    columns = {name: list(zip(*rows, strict=True)) for name, rows in took.items()}
    ours, floor, least = columns["ours"], columns["import"][0], columns["one tool"]
    first = partial(paired, "start", unit="ms")
    yield first(name="initialize", ours=ours[0], floors=floor, beside="import mcp.server")
    yield first(name="tools/list", ours=ours[1], floors=floor, beside="import mcp.server", budget=Budget("ratio", 0.15))
    yield first(name="tools/list, again", ours=ours[1], floors=least[1], beside="one-tool server")
    plain, bare = columns["plain"][2], columns["by the SDK"][2]
    no_later = Budget("ratio", 1.0)
    yield first(name="first get_call", ours=ours[2], floors=plain, beside="ours, waiting for the SDK", budget=no_later)
    yield first(name="first get_call, again", ours=ours[2], floors=bare, beside="ours, without the command")
    yield first(name="first get_call, too", ours=ours[2], floors=least[2], beside="one-tool server, no-op")


def _plain(folder: str) -> dict[str, str]:
    """Make a server wait for the SDK, as it does after the precomputed surface was wrong once."""
    logging.disable()
    note_difference(Path(folder, "agentphone-mcp"), "tools/list")
    logging.disable(logging.NOTSET)
    return {"XDG_CACHE_HOME": folder}


def _import(told: dict[str, str]) -> list[float]:
    started = perf_counter()
    with child(*IMPORT, told=told) as process:
        if process.wait(PATIENCE):
            raise Odd("mcp.server cannot be imported")
        return [(perf_counter() - started) * 1000]


def _answers(
    name: str, command: tuple[str, ...], told: dict[str, str], tool: str, arguments: dict[str, str]
) -> list[float]:
    started = perf_counter()
    took: list[float] = []
    with host_of(name, *command, told=told) as host:
        for action in (host.shake_hands, host.list_tools, partial(host.call, tool, **arguments)):
            action()
            took.append((perf_counter() - started) * 1000)
    return took


def over_http(quick: bool) -> Generator[Figure]:
    """Time from the process's start to the tools of a client that connects as soon as it serves."""
    with sandbox() as account, tempfile.TemporaryDirectory() as state:
        told = account.told | {"AGENTPHONE_STATE": state}
        for transport, listed in (("streamable-http", _list_tools), ("sse", _list_tools_by_sse)):
            ours = (*OURS, "--transport", transport, "--port", "0")
            commands = {"ours": ours, "one tool": (*ONE_TOOL, transport)}
            sides = {name: _started_and_listed(command, told, listed) for name, command in commands.items()}
            took = turn_about(sides, 1 if quick else 31, warm=0 if quick else 1)
            beside, budget = "one-tool server", Budget("ratio", 1.1)
            yield paired("http-start", transport, "ms", took["ours"], took["one tool"], beside, budget)


def _started_and_listed(
    command: tuple[str, ...], told: dict[str, str], listed: Callable[[httpx.Client, str], None]
) -> Callable[[], float]:
    """Time a start and a list, without the process's end."""

    def took() -> float:
        started = perf_counter()
        with serving(*command, told=told) as (url, _), httpx.Client(trust_env=False, timeout=PATIENCE) as http:
            listed(http, url)
            return (perf_counter() - started) * 1000

    return took


def _list_tools(http: httpx.Client, url: str) -> None:
    """Initialize and list the tools."""
    headers = {"Accept": "application/json, text/event-stream"}
    for message in MESSAGES:
        answer = http.post(url, json=message, headers=headers).raise_for_status()
        headers |= {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
    _see_tools(answer.text)


def _list_tools_by_sse(http: httpx.Client, url: str) -> None:
    """Do the same over SSE, as old clients do."""
    with httpx_sse.connect_sse(http, "GET", url) as stream:
        events = stream.iter_sse()
        to = urljoin(url, next(events).data)
        for message in MESSAGES:
            http.post(to, json=message).raise_for_status()
            if "id" in message:
                answer = next(events).data
    _see_tools(answer)


def _see_tools(answer: str) -> None:
    if '"inputSchema"' not in answer:
        raise Odd(f"no tools were listed but {answer}")
