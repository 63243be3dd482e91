"""Recover from restarts of the database, full disks and lost sessions, without spending twice."""

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
from tests.support import PATIENCE

pytestmark = pytest.mark.slow  # servers and a PostgreSQL that are stopped and started again

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prlimit changes limits of another process on Linux only")
BUY, ANOTHER, THIRD = ({"area_code": code, "confirm": True} for code in ("212", "415", "646"))
VERSION = "2025-06-18"


async def until(holds: Callable[[], Any]) -> None:
    """Wait until another process has brought something about."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - another process sets no events
            await asyncio.sleep(0.02)


async def is_ready(server: Any) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return (await http.get(f"{server.url}/readyz")).status_code


async def until_ready(server: Any, status: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await is_ready(server) != status:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.1)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content[0].text
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that must fail, and return its message."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    return result.content[0].text


def rows(location: str) -> list[Entry]:
    ledger = Ledger(location)
    entries = ledger.entries()
    ledger.close()
    return entries


@pytest.fixture(autouse=True)
def _account(sandbox: Sandbox) -> None:
    """Let the account buy several numbers, and its calls last."""
    sandbox.context.account.balance.amount = Decimal(100)
    sandbox.context.clock.speed = 1


@pytest.fixture
def serving(starting: Any, dial: Any, bearer: Any) -> Any:
    @asynccontextmanager
    async def serving(location: str) -> AsyncGenerator[tuple[Any, Client]]:
        async with starting(AGENTPHONE_STATE=location) as server, dial(server.url, bearer("ada")) as client:
            yield server, client
            assert server.process.returncode is None, "it was not started again"

    return serving


async def test_spending_resumes_after_a_restart_of_postgresql(serving, cluster, writes) -> None:
    location = cluster.database()
    async with serving(location) as (server, client):
        bought = await call(client, "buy_number", **BUY)
        assert await is_ready(server) == 200
        cluster.stop()
        for _ in range(3):
            message = await refusal(client, "buy_number", **ANOTHER)
            assert message.startswith("Nothing was done: this server's ledger")
            assert "hunter2" not in message
        assert (await call(client, "buy_number", area_code="415"))["status"] == "needs_confirmation"
        assert (await call(client, "list_numbers"))["rows"]
        await until_ready(server, 503)
        assert writes() == ["POST /v1/numbers"]
        cluster.start()
        await until_ready(server, 200)
        assert (await call(client, "buy_number", **ANOTHER))["status"] == "done"
        again = await call(client, "buy_number", **BUY)
        assert (again["replayed"], again["result"]) == (True, bought["result"])
    assert writes() == ["POST /v1/numbers"] * 2
    assert [row.outcome for row in rows(location)] == ["done", "done"]


async def test_a_purchase_under_way_when_postgresql_stops_is_made_once(serving, cluster, sandbox, writes) -> None:
    location = cluster.database()
    async with serving(location) as (server, client):
        sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=3))
        buying = asyncio.create_task(call(client, "buy_number", **BUY))
        await until(lambda: writes() == ["POST /v1/numbers"])
        await asyncio.to_thread(cluster.stop)
        assert (await buying)["status"] == "done"
        await asyncio.to_thread(cluster.start)
        await until_ready(server, 200)
        again = await call(client, "buy_number", **BUY)
    assert (again["replayed"], again["result"]) == (True, (await buying)["result"])
    assert writes() == ["POST /v1/numbers"]
    assert [row.outcome for row in rows(location)] == ["done"]


@contextmanager
def full_disk(server: Any, folder: Path) -> Generator[None]:
    """Let no file of a server grow, by its file size limit."""
    import resource

    pid, largest = server.process.pid, max(file.stat().st_size for file in folder.iterdir())
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@LINUX
async def test_nothing_is_spent_while_the_disk_is_full(serving, state: Path, writes) -> None:
    async with serving(str(state)) as (server, client):
        await call(client, "buy_number", **BUY)
        with full_disk(server, state):
            for _ in range(3):
                message = await refusal(client, "buy_number", **ANOTHER)
                assert message.startswith("Nothing was done: this server's ledger")
            assert (await call(client, "list_numbers"))["rows"]
            assert writes() == ["POST /v1/numbers"]
        assert (await call(client, "buy_number", **ANOTHER))["status"] == "done"
        assert (await call(client, "buy_number", **BUY))["replayed"] is True
    assert writes() == ["POST /v1/numbers"] * 2
    assert [row.outcome for row in rows(str(state))] == ["done", "done"]


class OldSession:
    """A session of the older protocol, with each request on a connection of its own."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = f"{url}/mcp"
        self.headers = headers | {"Accept": "application/json, text/event-stream"}
        self._number = 0

    async def open(self) -> "OldSession":
        params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
        answer = await self.send("initialize", params)
        self.headers |= {"Mcp-Session-Id": answer.headers["Mcp-Session-Id"], "MCP-Protocol-Version": VERSION}
        await self.send("notifications/initialized", None)
        return self

    async def call(self, tool: str, **arguments: Any) -> httpx.Response:
        return await self.send("tools/call", {"name": tool, "arguments": arguments})

    async def kill(self) -> int:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            return (await http.delete(self.url, headers=self.headers)).status_code

    async def send(self, method: str, params: Any) -> httpx.Response:
        """Send a request, or a notification if it has no parameters, and read the whole response."""
        self._number += 1
        number = {} if params is None else {"id": self._number, "params": params}
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            return await http.post(self.url, json={"jsonrpc": "2.0", "method": method} | number, headers=self.headers)


async def end_session(session: OldSession, call: asyncio.Task[httpx.Response]) -> None:
    assert await session.kill() == 200
    await asyncio.wait([call])


async def disconnect(_: OldSession, call: asyncio.Task[httpx.Response]) -> None:
    call.cancel()
    await asyncio.wait([call])


@pytest.mark.parametrize("end", [end_session, disconnect])
async def test_a_purchase_outlives_its_session(serving, sandbox, bearer, state: Path, writes, end: Any) -> None:
    sandbox.faults.rules.append(Fault("POST", "/v1/numbers", delay=2))
    async with serving(str(state)) as (server, _):
        session = await OldSession(server.url, bearer("ada")).open()
        purchase = asyncio.create_task(session.call("buy_number", **BUY))
        await until(lambda: writes() == ["POST /v1/numbers"])
        await end(session, purchase)
        await until(lambda: [row.outcome for row in rows(str(state))] == ["done"])
        again = await (await OldSession(server.url, bearer("ada")).open()).call("buy_number", **BUY)
        assert '"replayed":true' in again.text
        assert (await session.call("list_numbers")).status_code == (404 if end is end_session else 200)
    assert writes() == ["POST /v1/numbers"]


@pytest.mark.parametrize(
    ("end", "max_seconds"),
    [
        pytest.param(end_session, 600, id="deleted"),
        # In that protocol a disconnected client may reconnect, so only `max_seconds` ends the request.
        pytest.param(disconnect, 3, id="disconnect"),
    ],
)
async def test_following_a_call_ends_with_the_session(
    serving, sandbox, bearer, state: Path, end: Any, max_seconds: int
) -> None:
    async with serving(str(state)) as (server, client):
        call_id = await long_call(client)
        session = await OldSession(server.url, bearer("ada")).open()
        following = asyncio.create_task(session.call("wait_for_call", call_id=call_id, max_seconds=max_seconds))
        await until(lambda: sandbox.context.simulator.listeners(call_id) == 1)
        await end(session, following)
        await until(lambda: sandbox.context.simulator.listeners(call_id) == 0)
        assert sandbox.context.account.calls[call_id].is_live


async def test_following_a_call_ends_with_the_connection_of_a_modern_client(
    serving, dial, sandbox, bearer, state: Path
) -> None:
    async with serving(str(state)) as (server, client):
        call_id = await long_call(client)
        async with dial(server.url, bearer("ben")) as leaving:
            following = asyncio.create_task(call(leaving, "wait_for_call", call_id=call_id, max_seconds=600))
            await until(lambda: sandbox.context.simulator.listeners(call_id) == 1)
            following.cancel()
            await asyncio.wait([following])
        await until(lambda: sandbox.context.simulator.listeners(call_id) == 0)
        assert sandbox.context.account.calls[call_id].is_live


async def long_call(client: Client) -> str:
    placed = await call(client, "place_call", agent_id="agt_frontdesk", to_number="+14155550109", confirm=True)
    return placed["result"]["id"]
