"""What the gate and its ledger add to a write: `python tests/benchmarks/gate.py`.

A text is sent through the bare API client and through the gate, against the same sandbox, turn and turn about in one
run. Beside the median it prints what two empty commits to the same disk take: the ledger makes two, before and after.
"""

import asyncio
import sqlite3
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from time import perf_counter

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.key import ApiKey
from agentphone_mcp.guard.books import Books
from agentphone_mcp.guard.deeds import Deed
from agentphone_mcp.guard.destinations import Destinations
from agentphone_mcp.guard.gate import Gate
from agentphone_mcp.guard.limits import Limits
from agentphone_mcp.guard.rates import Cost
from agentphone_mcp.guard.reservations import Rules
from agentphone_mcp.guard.settling import Settler
from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.tools.looking_up import length_of, look_up

ROUNDS = 200
FRIEND = "+14155559999"
# Every cap is met and none is reached: counting is a part of what is measured.
LIMITS = Limits.parse("messages=9999/hour,messages_to_one_number=9999/day,spend=9999/day")


async def measure(sandbox: Sandbox, state: str) -> None:
    """Send texts both ways and print the medians."""
    sandbox.world.account.purse.balance = 10_000
    async with ApiClient(sandbox.url, ApiKey(sandbox.key)) as api:
        books = Books(state)
        settler = Settler("benchmark", books, partial(look_up, api), partial(length_of, api))
        gate = Gate(Rules(limits=LIMITS, destinations=Destinations()), settler)

        async def bare(number: int) -> object:
            return await api.messages.send(FRIEND, f"bare {number}", number_id="num_frontdesk")

        async def gated(number: int) -> object:
            body = f"gated {number}"
            deed = Deed(
                f"Text {FRIEND}: {body}",
                look_up="list_messages",
                tool="send_message",
                arguments={"to_number": FRIEND, "body": body},
                to_number=FRIEND,
                cost=Cost.of(0.02),
            )
            return await gate.carry_out(deed, True, lambda: api.messages.send(FRIEND, body, number_id="num_frontdesk"))

        times: dict[str, list[float]] = {"bare": [], "gated": []}
        await bare(-1), await gated(-1)
        for number in range(ROUNDS):
            times["bare"].append(await timed(partial(bare, number)))
            times["gated"].append(await timed(partial(gated, number)))
        books.close()
    one, other = (statistics.median(times[name]) for name in ("bare", "gated"))
    print(f"bare write           {one:6.2f} ms")
    print(f"through the gate     {other:6.2f} ms   {other / one:.2f} of a bare write, {other - one:.2f} ms more")
    print(f"two empty commits    {two_commits(state):6.2f} ms")


async def timed(deed: Callable[[], Awaitable[object]]) -> float:
    """How long it takes, in milliseconds."""
    started = perf_counter()
    await deed()
    return (perf_counter() - started) * 1000


def two_commits(folder: str) -> float:
    """The median time of two durable commits of SQLite, in milliseconds."""
    connection = sqlite3.connect(Path(folder) / "floor.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE one (at REAL)")
    times: list[float] = []
    for _ in range(ROUNDS):
        started = perf_counter()
        for _ in range(2):
            connection.execute("INSERT INTO one VALUES (0)")
        times.append((perf_counter() - started) * 1000)
    connection.close()
    return statistics.median(times)


def main() -> None:
    """Measure on a sandbox and a ledger of its own."""
    with tempfile.TemporaryDirectory() as state, running(speed=50) as sandbox:
        asyncio.run(measure(sandbox, state))


if __name__ == "__main__":
    main()
