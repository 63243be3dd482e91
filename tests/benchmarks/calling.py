"""Measure a call beside the bare request, in one process and over stdio, and the server's memory."""

import asyncio
import itertools
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from figures import Budget, Figure, p95, paired, timed, turn_about, turn_about_in_loop
from near_host import near, serve_by_the_sdk
from one_tool import one_tool_server
from processes import NO_CAPS, ONE_TOOL, OURS, UNPACED, Account, host_of, memory, sandbox

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.policy.limits import Limits
from agentphone_mcp.server.server import create_server

FRIEND, FROM = "+14155559999", "num_frontdesk"
LATENCY = 0.2
_HIGH_CAPS = "messages=9999/hour,messages_to_one_number=9999/day,spend=9999/day"
"""Every cap is counted and none is reached."""
_BARE, _NO_OP = "bare httpx request", "one-tool server, no-op"
_BOTH = "its two bare requests"
"""A text is first described by the number that it goes out from."""
_AIM_IN_NO_OPS = 1.61
"""One millisecond, where the aim was set: a no-op of the SDK took 0.62 there. How fast a machine is does not count."""


def calls(quick: bool) -> Generator[Figure]:
    """Measure a read and a gated text, beside the bare requests of an asynchronous client.

    All are in one event loop, the host too: between two processes a good half of what a call takes is how long they
    take to wake each other up, which is the machine's and not ours.
    """
    with sandbox() as account, tempfile.TemporaryDirectory() as state:
        took = asyncio.run(_in_one_loop(account, Path(state), 20 if quick else 300))
    yield paired("calls", "get_call", "ms", took["read"], took["bare read"], _BARE, Budget("more", 1.0))
    yield _slowest("calls", "get_call", took["read"], took["bare read"], _BARE)
    yield _less_its_request("calls", took)
    # A call's own millisecond, and five for the gate and the ledger.
    yield paired("calls", "gated send_message", "ms", took["text"], took["bare text"], _BOTH, Budget("more", 6.0))
    yield _slowest("calls", "gated send_message", took["text"], took["bare text"], _BOTH)
    yield paired("calls", "gated send_message, again", "ms", took["text"], took["commits"], "two empty commits")


async def _in_one_loop(account: Account, state: Path, rounds: int) -> dict[str, list[float]]:
    config = Config(
        api_key=ApiKey(account.key),
        base_url=account.url,
        ledger_location=str(state),
        limits=Limits.parse(_HIGH_CAPS),
        requests_per_minute=UNPACED,
    )
    number, commits = itertools.count(), _Commits(state)
    async with (
        near(create_server(config).run_over) as ours,
        near(partial(serve_by_the_sdk, one_tool_server())) as least,
        httpx.AsyncClient(base_url=account.url, headers=account.credentials, trust_env=False) as http,
    ):

        async def bare_read() -> None:
            (await http.get(f"/v1/calls/{account.call_id}")).raise_for_status()

        async def bare_text() -> None:
            (await http.get(f"/v1/numbers/{FROM}")).raise_for_status()
            (await http.post("/v1/messages", json=_text(f"bare {next(number)}"))).raise_for_status()

        async def gated_text() -> None:
            await ours.call("send_message", **_gated_text(f"gated {next(number)}"))

        async def two_commits() -> None:
            commits.two()

        sides: dict[str, Callable[[], Awaitable[object]]] = {
            "bare read": bare_read,
            "read": partial(ours.call, "get_call", call_id=account.call_id),
            "nothing": partial(least.call, "nothing"),
            "bare text": bare_text,
            "text": gated_text,
            "commits": two_commits,
        }
        return await turn_about_in_loop(sides, rounds, warm=20)


def over_stdio(quick: bool) -> Generator[Figure]:
    """Measure the same between two processes, beside the requests of a synchronous client."""
    with sandbox() as account, account.asked_directly() as http, tempfile.TemporaryDirectory() as state:
        told = account.told | {"AGENTPHONE_LIMITS": _HIGH_CAPS, "AGENTPHONE_STATE": state}
        number = itertools.count()

        def bare_text() -> None:
            http.get(f"/v1/numbers/{FROM}").raise_for_status()
            http.post("/v1/messages", json=_text(f"bare {next(number)}")).raise_for_status()

        with host_of("ours", *OURS, told=told) as ours, host_of("one tool", *ONE_TOOL, told=told) as least:
            ours.shake_hands(), least.shake_hands()
            sides: dict[str, Callable[[], object]] = {
                "bare read": lambda: http.get(f"/v1/calls/{account.call_id}").raise_for_status(),
                "read": partial(ours.call, "get_call", call_id=account.call_id),
                "nothing": partial(least.call, "nothing"),
                "bare text": bare_text,
                "text": lambda: ours.call("send_message", **_gated_text(f"gated {next(number)}")),
            }
            rounds = 20 if quick else 300
            took = turn_about({name: timed(action) for name, action in sides.items()}, rounds, warm=5)
    yield paired("stdio", "get_call", "ms", took["read"], took["bare read"], _BARE)
    yield _slowest("stdio", "get_call", took["read"], took["bare read"], _BARE)
    yield paired("stdio", "get_call, again", "ms", took["read"], took["nothing"], _NO_OP)
    yield _less_its_request("stdio", took)
    yield paired("stdio", "gated send_message", "ms", took["text"], took["bare text"], _BOTH)


def _text(body: str) -> dict[str, str]:
    return {"number_id": FROM, "to_number": FRIEND, "body": body}


def _gated_text(body: str) -> dict[str, Any]:
    return {**_text(body), "confirm": True}


def _less_its_request(measure: str, took: dict[str, list[float]]) -> Figure:
    """Express what a read adds to its request in no-op calls of the SDK."""
    more = [read - bare for read, bare in zip(took["read"], took["bare read"], strict=True)]
    return paired(
        measure, "get_call, less its request", "ms", more, took["nothing"], _NO_OP, Budget("ratio", _AIM_IN_NO_OPS)
    )


def _slowest(measure: str, name: str, ours: list[float], floors: list[float], beside: str) -> Figure:
    one, other = p95(ours), p95(floors)
    return Figure(measure, f"{name}, p95", "ms", one, other, beside, one / other)


class _Commits:
    """Commit to SQLite on the ledger's disk, as the ledger does before and after an action."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "floor.sqlite3", isolation_level=None)
        for line in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE one (at REAL)"):
            self._connection.execute(line)

    def two(self) -> None:
        """Commit twice."""
        for _ in range(2):
            self._connection.execute("INSERT INTO one VALUES (0)")


def overview(quick: bool) -> Generator[Figure]:
    """Measure the overview, which asks a slow API for four things at once."""
    with sandbox() as account, account.asked_directly() as http, tempfile.TemporaryDirectory() as state:
        rule = {"rule": f"GET /v1/* delay={LATENCY} always"}
        http.post("/__sandbox/faults", json=rule).raise_for_status()
        with host_of("ours", *OURS, told=account.told | {"AGENTPHONE_STATE": state}) as ours:
            ours.shake_hands()
            sides: dict[str, Callable[[], object]] = {
                "bare": lambda: http.get("/v1/usage").raise_for_status(),
                "ours": partial(ours.call, "account_overview"),
            }
            took = turn_about({name: timed(action) for name, action in sides.items()}, 3 if quick else 15, warm=1)
    beside = f"one request of {LATENCY * 1000:.0f} ms"
    yield paired("overview", "account_overview", "ms", took["ours"], took["bare"], beside, Budget("ratio", 1.3))


def memories(quick: bool) -> Generator[Figure]:
    """Measure a stdio server's peak memory: with the tools listed, and after a hundred calls."""
    with sandbox() as account, tempfile.TemporaryDirectory() as state:
        told = account.told | {"AGENTPHONE_STATE": state, "AGENTPHONE_LIMITS": NO_CAPS}
        sides = {
            "ours": partial(_peaks, OURS, told, "get_call", {"call_id": account.call_id}),
            "one tool": partial(_peaks, ONE_TOOL, told, "nothing", {}),
        }
        took = turn_about(sides, 1 if quick else 3)
    ours, least = (list(zip(*took[name], strict=True)) for name in sides)
    budget = Budget("more", 25)
    yield paired("memory", "after tools/list", "MiB", ours[0], least[0], "one-tool server", budget)
    yield paired("memory", "after 100 calls", "MiB", ours[1], least[1], "one-tool server, no-op", budget)


def _peaks(command: tuple[str, ...], told: dict[str, str], tool: str, arguments: dict[str, str]) -> list[float]:
    with host_of(tool, *command, told=told) as host:
        host.shake_hands()
        host.list_tools()
        peaks = [memory(host.pid, "VmHWM")]
        for _ in range(100):
            host.call(tool, **arguments)
        return [*peaks, memory(host.pid, "VmHWM")]
