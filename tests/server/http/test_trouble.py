"""A database that restarts, a full disk, a session that is killed: nothing is spent in doubt, and all recovers."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client

from agentphone_mcp.policy.ledger.ledger import Ledger
from agentphone_mcp.policy.ledger.records import Entry
from agentphone_mcp.sandbox import Fault, Sandbox

PATIENCE = 60
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only there another process's limits can be changed")
BUY, ANOTHER, THIRD = ({"area_code": code, "confirm": True} for code in ("212", "415", "646"))
VERSION = "2025-06-18"


async def until(holds: Callable[[], Any]) -> None:
    """Wait until something holds that another process brings about; a bounded time."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - another process sets no events
            await asyncio.sleep(0.02)


async def is_ready(server: Any) -> int:
    """What a load balancer is told."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return (await http.get(f"{server.url}/readyz")).status_code


async def until_ready(server: Any, status: int) -> None:
    """Wait until a load balancer is told so."""
    async with asyncio.timeout(PATIENCE):
        while await is_ready(server) != status:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.1)


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool told."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """The sentence of a tool that failed."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    return result.content[0].text


def rows(place: str) -> list[Entry]:
    """What a ledger has, oldest first."""
    ledger = Ledger(place)
    found = ledger.entries()
    ledger.close()
    return found


@pytest.fixture(autouse=True)
def _account(sandbox: Sandbox) -> None:
    """It has money for more than one number, and its calls take their time."""
    sandbox.context.account.balance.amount = Decimal(100)
    sandbox.context.clock.speed = 1


@pytest.fixture
def at_work(starting: Any, dial: Any, bearer: Any) -> Any:
    """Start a server on a ledger, and connect a client."""

    @asynccontextmanager
    async def at_work(place: str) -> AsyncGenerator[tuple[Any, Client]]:
        async with starting(AGENTPHONE_STATE=place) as server, dial(server.url, bearer("ada")) as client:
            yield server, client
            assert server.process.returncode is None, "it was not started again"

    return at_work


async def test_postgresql_is_restarted_under_a_server(at_work, cluster, writes) -> None:
    """Meanwhile everything that spends is refused and what reads goes on; then all of it works by itself."""
    place = cluster.database()
    async with at_work(place) as (server, client):
        bought = await told(client, "buy_number", **BUY)
        assert await is_ready(server) == 200
        cluster.stop()
        for _ in range(3):
            said = await refused(client, "buy_number", **ANOTHER)
            assert said.startswith("Nothing was done: this server's ledger")
            assert "hunter2" not in said
        assert (await told(client, "buy_number", area_code="415"))["status"] == "needs_confirmation"
        assert (await told(client, "list_numbers"))["rows"]
        await until_ready(server, 503)
        assert writes() == ["POST /v1/numbers"]
        cluster.start()
        await until_ready(server, 200)
        assert (await told(client, "buy_number", **ANOTHER))["status"] == "done"
        again = await told(client, "buy_number", **BUY)
        assert (again["replayed"], again["result"]) == (True, bought["result"])
    assert writes() == ["POST /v1/numbers"] * 2
    assert [row.outcome for row in rows(place)] == ["done", "done"]


async def test_a_purchase_under_way_when_postgresql_stops_is_told_and_not_made_again(
    at_work, cluster, sandbox, writes
) -> None:
    """Its row stands in the way of the same purchase, and is settled as soon as it can be written again."""
    place = cluster.database()
    async with at_work(place) as (server, client):
        sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=3))
        buying = asyncio.create_task(told(client, "buy_number", **BUY))
        await until(lambda: writes() == ["POST /v1/numbers"])
        await asyncio.to_thread(cluster.stop)
        assert (await buying)["status"] == "done"
        await asyncio.to_thread(cluster.start)
        await until_ready(server, 200)
        again = await told(client, "buy_number", **BUY)
    assert (again["replayed"], again["result"]) == (True, (await buying)["result"])
    assert writes() == ["POST /v1/numbers"]
    assert [row.outcome for row in rows(place)] == ["done"]


@contextmanager
def full_disk(server: Any, folder: Path) -> Generator[None]:
    """Let no file of a server grow any more."""
    import resource

    pid, largest = server.process.pid, max(file.stat().st_size for file in folder.iterdir())
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@LINUX
async def test_a_ledger_that_cannot_grow_spends_nothing(at_work, state: Path, writes) -> None:
    """A full disk, for SQLite; with room again the same process spends again."""
    async with at_work(str(state)) as (server, client):
        await told(client, "buy_number", **BUY)
        with full_disk(server, state):
            for _ in range(3):
                said = await refused(client, "buy_number", **ANOTHER)
                assert said.startswith("Nothing was done: this server's ledger")
            assert (await told(client, "list_numbers"))["rows"]
            assert writes() == ["POST /v1/numbers"]
        assert (await told(client, "buy_number", **ANOTHER))["status"] == "done"
        assert (await told(client, "buy_number", **BUY))["replayed"] is True
    assert writes() == ["POST /v1/numbers"] * 2
    assert [row.outcome for row in rows(str(state))] == ["done", "done"]


class OldSession:
    """A session of the older protocol, whose requests are sent by hand."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = f"{url}/mcp"
        self.headers = headers | {"Accept": "application/json, text/event-stream"}
        self._number = 0

    async def open(self) -> "OldSession":
        """Shake hands."""
        hello = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
        answer = await self.send("initialize", hello)
        self.headers |= {"Mcp-Session-Id": answer.headers["Mcp-Session-Id"], "MCP-Protocol-Version": VERSION}
        await self.send("notifications/initialized", None)
        return self

    async def call(self, tool: str, **arguments: Any) -> httpx.Response:
        """Call a tool on a connection of its own, which is cut when this is cancelled."""
        return await self.send("tools/call", {"name": tool, "arguments": arguments})

    async def kill(self) -> int:
        """End it from another connection."""
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            return (await http.delete(self.url, headers=self.headers)).status_code

    async def send(self, method: str, params: Any) -> httpx.Response:
        """Send a request, or a notification where it has no parameters, and read all of the answer."""
        self._number += 1
        number = {} if params is None else {"id": self._number, "params": params}
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            return await http.post(self.url, json={"jsonrpc": "2.0", "method": method} | number, headers=self.headers)


async def delete(session: OldSession, call: asyncio.Task[httpx.Response]) -> None:
    """Kill a session while one of its calls is under way."""
    assert await session.kill() == 200
    await asyncio.wait([call])


async def cut(_: OldSession, call: asyncio.Task[httpx.Response]) -> None:
    """Cut the connection on which the answer to a call would come."""
    call.cancel()
    await asyncio.wait([call])


@pytest.mark.parametrize("end", [delete, cut])
async def test_a_purchase_outlives_its_session(at_work, sandbox, bearer, state: Path, writes, end: Any) -> None:
    """It is seen through and written down, and whoever asks again in another session learns of it."""
    sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=2))
    async with at_work(str(state)) as (server, _):
        session = await OldSession(server.url, bearer("ada")).open()
        call = asyncio.create_task(session.call("buy_number", **BUY))
        await until(lambda: writes() == ["POST /v1/numbers"])
        await end(session, call)
        await until(lambda: [row.outcome for row in rows(str(state))] == ["done"])
        again = await (await OldSession(server.url, bearer("ada")).open()).call("buy_number", **BUY)
        assert '"replayed":true' in again.text
        assert (await session.call("list_numbers")).status_code == (404 if end is delete else 200)
    assert writes() == ["POST /v1/numbers"]


@pytest.mark.parametrize(
    ("end", "max_seconds"),
    [
        pytest.param(delete, 600, id="deleted"),
        # In that protocol whoever is cut off may come back, so only the call's own time ends it.
        pytest.param(cut, 3, id="cut"),
    ],
)
async def test_nobody_listens_to_a_call_for_a_session_that_is_gone(
    at_work, sandbox, bearer, state: Path, end: Any, max_seconds: int
) -> None:
    """The stream of its transcript is closed, and the call itself goes on."""
    async with at_work(str(state)) as (server, client):
        call_id = await long_call(client)
        session = await OldSession(server.url, bearer("ada")).open()
        following = asyncio.create_task(session.call("wait_for_call", call_id=call_id, max_seconds=max_seconds))
        await until(lambda: sandbox.context.simulator.listeners(call_id) == 1)
        await end(session, following)
        await until(lambda: sandbox.context.simulator.listeners(call_id) == 0)
        assert sandbox.context.account.calls[call_id].is_live


async def test_nobody_listens_to_a_call_for_a_modern_client_that_is_gone(
    at_work, dial, sandbox, bearer, state: Path
) -> None:
    """There a request ends with its connection."""
    async with at_work(str(state)) as (server, client):
        call_id = await long_call(client)
        async with dial(server.url, bearer("ben")) as leaving:
            following = asyncio.create_task(told(leaving, "wait_for_call", call_id=call_id, max_seconds=600))
            await until(lambda: sandbox.context.simulator.listeners(call_id) == 1)
            following.cancel()
            await asyncio.wait([following])
        await until(lambda: sandbox.context.simulator.listeners(call_id) == 0)
        assert sandbox.context.account.calls[call_id].is_live


async def long_call(client: Client) -> str:
    """Call somebody who talks for minutes."""
    placed = await told(client, "place_call", agent_id="agt_frontdesk", to_number="+14155550109", confirm=True)
    return placed["result"]["id"]
