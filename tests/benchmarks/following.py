"""Measure a server that follows a hundred calls: `python tests/benchmarks/following.py [--calls 100] [--speed 1]`.

A sandbox and a client are in this process, the server is one of its own, reached over stdio or HTTP. Printed are the
server's memory beside its memory when idle, how long a turn takes from the sandbox's telling it to the client's hearing
of it (the 95th percentile), and how long the server keeps listening after its client cancelled or left. With
`--six-minutes` a long call is followed at life's own speed by a client that gives up on a request after a minute.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Generator
from contextlib import AbstractContextManager
from decimal import Decimal
from time import perf_counter
from typing import Any

from figures import Budget, Figure, p95, paired
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from processes import NO_CAPS, OURS, Account, memory, serving

from agentphone_mcp.sandbox import Sandbox, running

FRIEND, TALKATIVE = "+14155559999", "+14155550109"
AGENT = {"agent_id": "agt_frontdesk", "confirm": True, "repeat": True}


class Turns:
    """Note when the sandbox published each turn of each call."""

    def __init__(self) -> None:
        self.told: dict[str, list[float]] = defaultdict(list)
        self.watcher: Any = None

    def __call__(self) -> None:
        """Note what is new; called in the sandbox's thread."""
        now = perf_counter()
        if self.watcher is not None:
            for happening in self.watcher.take():
                if happening.kind == "turn":
                    self.told[happening.row["callId"]].append(now)


def settings(sandbox: Sandbox, state: str) -> dict[str, str]:
    """Return the variables of a server."""
    return Account(sandbox.url, sandbox.key, "").told | {"AGENTPHONE_STATE": state, "AGENTPHONE_LIMITS": NO_CAPS}


def over_http(sandbox: Sandbox, state: str) -> AbstractContextManager[tuple[str, int]]:
    """Start a server on a free port; yield its address and process."""
    return serving(*OURS, "--transport", "streamable-http", "--port", "0", told=settings(sandbox, state))


async def many(sandbox: Sandbox, state: str, calls: int) -> tuple[float, float, list[float]]:
    """Follow many calls at once.

    Returns:
        The server's memory when idle and at most, in MiB, and how late each turn reached its client, in ms.
    """
    sandbox.context.account.balance.amount = Decimal(1_000)
    turns, late = Turns(), list[float]()
    with over_http(sandbox, state) as (url, pid):
        async with Client(streamable_http_client(url)) as client:
            await client.list_tools()
            await client.call_tool("place_call", {"to_number": "+14155550101", **AGENT})
            idle = memory(pid, "VmRSS")
            with sandbox.context.event_stream.subscribe(turns, capacity=100_000) as turns.watcher:
                placed = [
                    await client.call_tool("place_call", {"to_number": FRIEND, "prompt": f"No. {number}", **AGENT})
                    for number in range(calls)
                ]
                ids = [one.structured_content["result"]["id"] for one in placed]
                heard: dict[str, list[float]] = defaultdict(list)

                async def follow(call_id: str) -> Any:
                    async def note(*_: Any) -> None:
                        heard[call_id].append(perf_counter())

                    arguments = {"call_id": call_id, "max_seconds": 600}
                    return await client.call_tool("wait_for_call", arguments, progress_callback=note)

                most = idle
                async with asyncio.TaskGroup() as group:
                    following = [group.create_task(follow(call_id)) for call_id in ids]
                    while not all(task.done() for task in following):
                        most = max(most, memory(pid, "VmRSS"))
                        await asyncio.sleep(0.25)
                told = [task.result().structured_content for task in following]
    for one in told:
        call_id = one["call_id"]
        assert one["ended"], one
        assert len(heard[call_id]) == len(one["turns"]) == len(turns.told[call_id]), call_id
        # What was said before anybody followed comes all at once.
        first = min(heard[call_id])
        late += [there - here for here, there in zip(turns.told[call_id], heard[call_id], strict=True) if here > first]
    return idle, most, [seconds * 1000 for seconds in late]


def measure(quick: bool) -> Generator[Figure]:
    """Measure the server's memory with followed calls, and how long a turn takes to arrive."""
    calls, speed = (3, 20) if quick else (50, 2)
    with tempfile.TemporaryDirectory() as state, running(speed=speed) as sandbox:
        idle, most, late = asyncio.run(many(sandbox, state, calls))
    yield paired("following", "memory", "MiB", [most], [idle], f"idle server, {calls} calls", Budget("more", 15))
    yield Figure("following", "a turn's way", "ms", statistics.median(late))
    slowest = Budget("value", 50)
    yield Figure("following", "a turn's way, p95", "ms", p95(late), budget=slowest)


async def until(sandbox: Sandbox, call_id: str, listeners: int) -> float:
    """Return the milliseconds until that many listen."""
    started = perf_counter()
    while sandbox.context.simulator.listeners(call_id) != listeners:  # noqa: ASYNC110 - the engine tells nobody
        await asyncio.sleep(0.001)
    return (perf_counter() - started) * 1000


async def leave(client: Client, sandbox: Sandbox) -> tuple[asyncio.Task[Any], str]:
    """Follow a call until the sandbox has a listener."""
    placed = await client.call_tool("place_call", {"to_number": TALKATIVE, **AGENT})
    call_id = placed.structured_content["result"]["id"]
    waiting = asyncio.create_task(client.call_tool("wait_for_call", {"call_id": call_id, "max_seconds": 600}))
    await until(sandbox, call_id, 1)
    return waiting, call_id


async def leaving(sandbox: Sandbox, state: str) -> None:
    """Cancel over stdio, and disconnect over HTTP."""
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "agentphone_mcp"], env=os.environ | settings(sandbox, state)
    )
    for mode in ("auto", "legacy"):
        async with Client(stdio_client(command), mode=mode) as client:
            waiting, call_id = await leave(client, sandbox)
            waiting.cancel()
            print(
                f"cancelled over stdio ({mode})   {await until(sandbox, call_id, 0):6.1f} ms until the stream is closed"
            )
        with over_http(sandbox, state) as (url, _):
            async with Client(streamable_http_client(url), mode=mode) as client:
                waiting, call_id = await leave(client, sandbox)
                waiting.cancel()
                print(f"cancelled over HTTP ({mode})    {await until(sandbox, call_id, 0):6.1f} ms")
            client = Client(streamable_http_client(url), mode=mode)
            await client.__aenter__()
            waiting, call_id = await leave(client, sandbox)
            waiting.cancel()
            await client.__aexit__(None, None, None)
            print(f"left over HTTP ({mode})         {await until(sandbox, call_id, 0):6.1f} ms")


async def six_minutes(sandbox: Sandbox, state: str) -> None:
    """Follow the longest script in pieces of 45 s and print whether each turn came once."""
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "agentphone_mcp"], env=os.environ | settings(sandbox, state)
    )
    async with Client(stdio_client(command), read_timeout_seconds=60) as client:
        placed = await client.call_tool("place_call", {"to_number": TALKATIVE, **AGENT})
        call_id, after, heard, requests = placed.structured_content["result"]["id"], 0, list[str](), 0
        started = perf_counter()
        while True:
            told = (
                await client.call_tool("wait_for_call", {"call_id": call_id, "after_turn": after})
            ).structured_content
            heard += [turn["text"] for turn in told["turns"]]
            after, requests = told["after_turn"], requests + 1
            if told["ended"]:
                break
        said = (await client.call_tool("get_transcript", {"call_id": call_id})).structured_content["turns"]
    took = perf_counter() - started
    each_once = heard == [turn["text"] for turn in said]
    print(
        f"{took:.0f} s in {requests} requests: {len(said)} turns, each once and in order: {each_once}; "
        f"ended {told['status']}"
    )


def main() -> None:
    """Take the measures that were asked for."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--calls", type=int, default=100)
    asked.add_argument("--speed", type=float, default=1)
    asked.add_argument("--six-minutes", action="store_true")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as state, running(speed=given.speed) as sandbox:
        if given.six_minutes:
            asyncio.run(six_minutes(sandbox, state))
        else:
            idle, most, late = asyncio.run(many(sandbox, state, given.calls))
            print(f"{given.calls} followed calls   {most - idle:6.1f} MiB over the idle server's {idle:.1f}")
            print(
                f"a turn's way to its client   {statistics.median(late):6.1f} ms median, {p95(late):.1f} ms p95 "
                f"({len(late)} turns)"
            )
            asyncio.run(leaving(sandbox, state))


if __name__ == "__main__":
    main()
