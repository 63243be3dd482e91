"""Put the load balancer of manifests/docker before two servers, and stop one of them."""

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

from tests.support import PATIENCE, ROOT

CONFIGURATION = ROOT / "manifests" / "docker" / "haproxy.cfg"
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(HAPROXY is None, reason="no HAProxy is installed here")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def balanced(servers: list[Any]) -> AsyncGenerator[str]:
    """Run HAProxy with its real configuration, but with these addresses."""
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
    @asynccontextmanager
    async def replicas(location: str) -> AsyncGenerator[tuple[str, list[Any]]]:
        settings = {"AGENTPHONE_STATE": location, "AGENTPHONE_HTTP_STATE_KEY": "k" * 32, "AGENTPHONE_LOG_LEVEL": "INFO"}
        async with starting(**settings) as first, starting(**settings) as second, balanced([first, second]) as url:
            yield url, [first, second]

    return replicas


def answers(server: Any, text: str) -> int:
    return sum(text in line for line in server.log)


async def read_while(client: Client, goes_on: Callable[[], bool]) -> int:
    times = 0
    while goes_on():
        result = await client.call_tool("list_numbers", {})
        assert not result.is_error, result.content[0].text
        times += 1
    return times


async def test_modern_clients_do_not_notice_a_stopped_replica(replicas, dial, bearer, state: Path, eventually) -> None:
    async with replicas(str(state)) as (url, servers), AsyncExitStack() as stack:
        first, second = servers
        clients = [await stack.enter_async_context(dial(url, bearer("ada"))) for _ in range(8)]
        is_over = False
        calls = [asyncio.create_task(read_while(client, lambda: not is_over)) for client in clients]
        await eventually(lambda: all(answers(server, "POST /mcp 200") > 20 for server in servers))
        await eventually(lambda: all(answers(server, "GET /readyz 200") > 2 for server in servers))
        await first.stop()
        before = answers(second, "POST /mcp 200")
        await eventually(lambda: answers(second, "POST /mcp 200") > before + 20)
        is_over = True
        times = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(count) for count in times] == [int] * 8, times
    # The balancer was told before the socket was closed.
    assert answers(first, "GET /readyz 503") > 1


async def test_a_session_stays_with_its_replica_and_ends_with_it(
    replicas, dial, bearer, state: Path, eventually
) -> None:
    async with replicas(str(state)) as (url, servers), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(dial(url, bearer("ada"), mode="legacy")) for _ in range(6)]
        for _ in range(4):
            assert not any([(await client.call_tool("list_numbers", {})).is_error for client in clients])
        assert min(answers(server, "POST /mcp 200") for server in servers) > 0, "both have sessions"
        await eventually(lambda: all(answers(server, "GET /readyz 200") > 2 for server in servers))
        await servers[0].stop()
        outcomes = [await outcome(client) for client in clients]
        again = [
            await outcome(await stack.enter_async_context(dial(url, bearer("ada"), mode="legacy"))) for _ in outcomes
        ]
    assert set(outcomes) == {"answered", "Session not found"}
    assert set(again) == {"answered"}


async def outcome(client: Client) -> str:
    """Return "answered", or the message of the error."""
    try:
        result = await client.call_tool("list_numbers", {})
    except MCPError as exc:
        return exc.message
    return result.content[0].text if result.is_error else "answered"


async def test_all_replicas_read_while_the_ledger_is_down(replicas, dial, bearer, cluster, writes, eventually) -> None:
    buy = {"area_code": "212", "confirm": True}
    async with replicas(cluster.database()) as (url, servers), dial(url, bearer("ada")) as client:
        await asyncio.to_thread(cluster.stop)
        await eventually(lambda: all(answers(server, "GET /readyz 503") > 4 for server in servers))
        assert await outcome(client) == "answered"
        message = (await client.call_tool("buy_number", buy)).content[0].text
        assert message.startswith("Nothing was done: this server's ledger")
        assert writes() == []
        await asyncio.to_thread(cluster.start)
        ready = [answers(server, "GET /readyz 200") for server in servers]
        await eventually(
            lambda: all(
                answers(server, "GET /readyz 200") > before + 4 for server, before in zip(servers, ready, strict=True)
            )
        )
        assert (await client.call_tool("buy_number", buy)).structured_content["status"] == "done"
    assert writes() == ["POST /v1/numbers"]
