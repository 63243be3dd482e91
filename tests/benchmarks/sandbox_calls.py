"""Measure a sandbox with many calls at once: `python tests/benchmarks/sandbox_calls.py [--calls 200] [--speed 50]`.

Every call has a listener of its live stream. Printed are how long it all took beside the time that the scripts take (a
ratio of 1 means that the calls did not hold each other up), how the calls ended, and the memory of the process: the
sandbox's and, in it, that of the clients. Fails when a call did not end as its script says, when a stream lost,
repeated or reordered a turn, or when the process took 200 MiB or more.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx
import httpx_sse
from processes import memory

from agentphone_mcp.sandbox import running

# The numbers, and how calls to them end.
SCRIPTS: tuple[tuple[str, str], ...] = (
    ("+14155559999", "completed"),
    ("+14155550101", "busy"),
    ("+14155550102", "no-answer"),
    ("+14155550103", "completed"),
    ("+14155550104", "completed"),
    ("+14155550105", "failed"),
    ("+14155550106", "completed"),
    ("+14155550107", "completed"),
    ("+14155550108", "completed"),
    ("+14155550109", "completed"),
)
MOST_MIB = 200


async def follow(http: httpx.AsyncClient, number: str) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    """Place a call and follow its stream to the end."""
    placed = await http.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": number})
    placed.raise_for_status()
    call_id = placed.json()["id"]
    async with httpx_sse.aconnect_sse(http, "GET", f"/v1/calls/{call_id}/transcript/stream") as stream:
        return call_id, [(event.event, event.json()) async for event in stream.aiter_sse()]


async def measure(calls: int, speed: float) -> list[str]:
    """Run the calls, print the figures, and return what went wrong."""
    wrong: list[str] = []
    numbers = [SCRIPTS[index % len(SCRIPTS)] for index in range(calls)]
    with running(speed=speed) as sandbox:
        # Two hundred calls cost more than the five dollars of a new account.
        sandbox.context.account.balance.amount = Decimal(1_000)
        before = memory(os.getpid(), "VmRSS")
        async with httpx.AsyncClient(
            base_url=sandbox.url,
            headers={"Authorization": f"Bearer {sandbox.key}"},
            trust_env=False,
            timeout=120,
            limits=httpx.Limits(max_connections=calls + 10),
        ) as http:
            started = time.perf_counter()
            heard = await asyncio.gather(*(follow(http, number) for number, _ in numbers))
            took = time.perf_counter() - started
            for (number, status), (call_id, events) in zip(numbers, heard, strict=True):
                transcript = (await http.get(f"/v1/calls/{call_id}/transcript")).json()["transcript"]
                turns = [data for name, data in events if name == "turn"]
                if turns != transcript or len({turn["id"] for turn in turns}) != len(turns):
                    wrong.append(f"the stream of {call_id} ({number}) is not its transcript")
                if events[-1][0] != "ended" or events[-1][1]["status"] != status:
                    wrong.append(f"{call_id} ({number}) ended as {events[-1]}")
        ends = Counter(call.status for call in sandbox.context.account.calls.values() if call.id != "call_past01")
        spoken = sum(len(call.turns) for call in sandbox.context.account.calls.values())
        longest = max(
            (call.ended_at - call.started_at).total_seconds()
            for call in sandbox.context.account.calls.values()
            if call.ended_at
        )
    now, peak = memory(os.getpid(), "VmRSS"), memory(os.getpid(), "VmHWM")
    print(f"{calls} calls at speed {speed:g}: {dict(ends)}, {spoken} turns")
    print(f"took {took:.2f} s; the longest took {longest:.0f} s of sandbox time")
    alone = await longest_alone(speed)
    print(f"the longest script alone takes {alone:.2f} s: ratio {took / alone:.2f}")
    print(f"memory: {before:.0f} MiB before, {now:.0f} after, {peak:.0f} at most (limit {MOST_MIB})")
    if peak >= MOST_MIB:
        wrong.append(f"{peak:.0f} MiB of memory")
    return wrong


async def longest_alone(speed: float) -> float:
    """Return the seconds that the longest script takes alone."""
    with running(speed=speed) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.key}"}
        async with httpx.AsyncClient(base_url=sandbox.url, headers=headers, trust_env=False, timeout=120) as http:
            started = time.perf_counter()
            await follow(http, "+14155550109")
            return time.perf_counter() - started


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    options.add_argument("--calls", type=int, default=200)
    options.add_argument("--speed", type=float, default=50)
    given = options.parse_args()
    problems = asyncio.run(measure(given.calls, given.speed))
    for problem in problems:
        print(f"WRONG: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)
