"""The load balancer of manifests/docker before two servers: who goes where, and what is noticed of a replica's end."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from tests.support import ROOT

CONFIGURATION = ROOT / "manifests" / "docker" / "haproxy.cfg"
PATIENCE = 60
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="no HAProxy is installed here")


def free_port() -> int:
    """A port that nobody uses just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@asynccontextmanager
async def balanced(servers: list[Any]) -> AsyncGenerator[str]:
    """Run HAProxy as it is configured, but for the addresses, and give its own."""
    port = free_port()
    addresses = {f"PHONE_{n}": server.url.removeprefix("http://") for n, server in enumerate(servers, 1)}
    process = await asyncio.create_subprocess_exec(
        HAPROXY,
        "-db",
        "-f",
        str(CONFIGURATION),
        env=os.environ | addresses | {"BALANCER_BIND": f"127.0.0.1:{port}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await until_answered(url, 401)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def until_answered(url: str, status: int) -> None:
    """Wait until whoever has no token is answered so."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False, timeout=60) as http:
        while True:
            try:
                if (await http.get(f"{url}/mcp")).status_code == status:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


@pytest.fixture
def replicas(starting: Any) -> Any:
    """Start two servers on a ledger, and the balancer before them."""

    @asynccontextmanager
    async def replicas(place: str) -> AsyncGenerator[tuple[str, list[Any]]]:
        settings = {"AGENTPHONE_STATE": place, "AGENTPHONE_HTTP_STATE_KEY": "k" * 32, "AGENTPHONE_LOG_LEVEL": "INFO"}
        async with starting(**settings) as first, starting(**settings) as second, balanced([first, second]) as url:
            yield url, [first, second]

    return replicas


def answers(server: Any, what: str) -> int:
    """How often a server has answered so."""
    return sum(what in line for line in server.log)


async def reading(client: Client, goes_on: Callable[[], bool]) -> int:
    """Read again and again; how often that was."""
    times = 0
    while goes_on():
        result = await client.call_tool("list_numbers", {})
        assert not result.is_error, result.content[0].text
        times += 1
    return times


async def test_no_modern_client_notices_that_a_replica_is_stopped(
    replicas, dial, bearer, state: Path, eventually
) -> None:
    """Both serve them; while one of the two ends and afterwards, every request is answered."""
    async with replicas(str(state)) as (url, servers), AsyncExitStack() as stack:
        first, second = servers
        clients = [await stack.enter_async_context(dial(url, bearer("ada"))) for _ in range(8)]
        is_over = False
        calls = [asyncio.create_task(reading(client, lambda: not is_over)) for client in clients]
        await eventually(lambda: all(answers(one, "POST /mcp 200") > 20 for one in servers))
        await eventually(lambda: all(answers(one, "GET /readyz 200") > 2 for one in servers))
        await first.stop()
        before = answers(second, "POST /mcp 200")
        await eventually(lambda: answers(second, "POST /mcp 200") > before + 20)
        is_over = True
        times = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in times] == [int] * 8, times
    # The balancer was told before the socket was closed.
    assert answers(first, "GET /readyz 503") > 1


async def test_a_session_stays_with_its_replica_and_ends_with_it(
    replicas, dial, bearer, state: Path, eventually
) -> None:
    """Old clients are told that theirs is gone when its replica is, and open another."""
    async with replicas(str(state)) as (url, servers), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(dial(url, bearer("ada"), mode="legacy")) for _ in range(6)]
        for _ in range(4):
            assert not any([(await client.call_tool("list_numbers", {})).is_error for client in clients])
        assert min(answers(one, "POST /mcp 200") for one in servers) > 0, "both have sessions"
        await eventually(lambda: all(answers(one, "GET /readyz 200") > 2 for one in servers))
        await servers[0].stop()
        ends = [await outcome(client) for client in clients]
        again = [await outcome(await stack.enter_async_context(dial(url, bearer("ada"), mode="legacy"))) for _ in ends]
    assert set(ends) == {"answered", "Session not found"}
    assert set(again) == {"answered"}


async def outcome(client: Client) -> str:
    """Whether a client was answered, or what it was told."""
    try:
        result = await client.call_tool("list_numbers", {})
    except MCPError as ended:
        return ended.message
    return result.content[0].text if result.is_error else "answered"


async def test_while_the_ledger_is_away_all_replicas_still_read(
    replicas, dial, bearer, cluster, writes, eventually
) -> None:
    """None is ready then; what spends is refused with a sentence, and not by the balancer."""
    buy = {"area_code": "212", "confirm": True}
    async with replicas(cluster.database()) as (url, servers), dial(url, bearer("ada")) as client:
        await asyncio.to_thread(cluster.stop)
        await eventually(lambda: all(answers(one, "GET /readyz 503") > 4 for one in servers))
        assert await outcome(client) == "answered"
        said = (await client.call_tool("buy_number", buy)).content[0].text
        assert said.startswith("Nothing was done: this server's ledger")
        assert writes() == []
        await asyncio.to_thread(cluster.start)
        ready = [answers(one, "GET /readyz 200") for one in servers]
        await eventually(
            lambda: all(
                answers(one, "GET /readyz 200") > before + 4 for one, before in zip(servers, ready, strict=True)
            )
        )
        assert (await client.call_tool("buy_number", buy)).structured_content["status"] == "done"
    assert writes() == ["POST /v1/numbers"]
