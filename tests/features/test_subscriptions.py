"""Test resources/subscribe and subscriptions/listen: what is accepted, and what clients of one server share."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.serve import web_server
from agentphone_mcp.system.sockets import listening
from tests.features.live.subscriber import CALL_1, FakeCall, Updates, place, subscribed
from tests.support import LIVE_KEY

# The older era's methods are deprecated, and still supported.
pytestmark = pytest.mark.filterwarnings(f"ignore::{MCPDeprecationWarning.__module__}.MCPDeprecationWarning")


async def test_that_resources_can_be_subscribed_to_is_declared(connect, mode) -> None:
    """Only transcripts of calls change by themselves."""
    async with connect(mode) as client:
        assert client.server_capabilities.resources.subscribe is True
    async with connect(mode, toolsets=("agents",)) as client:
        assert client.server_capabilities.resources.subscribe is False


async def test_an_older_client_has_its_share_of_subscriptions_and_no_more(connect_to, answering, monkeypatch) -> None:
    monkeypatch.setattr("agentphone_mcp.features.subscriptions._MAX_SUBSCRIPTIONS", 2)
    recorder = answering(FakeCall(status="completed"))
    first, second, third = (CALL_1.replace("call_1", f"call_1%20%28{name}%29") for name in ("Sam", "Ann", "Bob"))
    async with connect_to(recorder, "legacy") as client:
        for uri in (first, second, first):
            await client.subscribe_resource(uri)
        asked = len(recorder.requests)
        with pytest.raises(MCPError, match="has 2 subscriptions, as many as it may: unsubscribe from one first"):
            await client.subscribe_resource(third)
        assert len(recorder.requests) == asked
        await client.unsubscribe_resource(first)
        await client.subscribe_resource(third)


async def test_subscriptions_of_a_newer_client_beyond_its_share_are_left_out(
    connect_to, answering, monkeypatch
) -> None:
    monkeypatch.setattr("agentphone_mcp.features.subscriptions._MAX_SUBSCRIPTIONS", 2)
    recorder = answering(FakeCall(status="completed"))
    uris = [CALL_1.replace("call_1", f"call_{number}") for number in range(1, 9)]
    async with connect_to(recorder) as client, client.listen(resource_subscriptions=uris) as listening:
        assert listening.honored.resource_subscriptions == uris[:2]
    assert len(recorder.requests) == 2


async def test_subscribing_twice_is_one_subscription(connect, streams) -> None:
    updates = Updates()
    async with connect("legacy", hears=updates) as client:
        call_id, uri = await place(client)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(client.subscribe_resource, uri)
        await client.subscribe_resource(uri)
        await streams(call_id, 1)
        await client.unsubscribe_resource(uri)
        await streams(call_id, 0)
        await client.unsubscribe_resource(uri)
        await client.unsubscribe_resource("agentphone://account")
        await client.subscribe_resource(uri)
        await streams(call_id, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.unsubscribe_resource, uri)
            tasks.start_soon(client.subscribe_resource, uri)
        assert await updates.next(2) == [uri, uri]


REFUSED = ["agentphone://account", "agentphone://agents/agt_frontdesk", "agentphone://calls/call_past01", "file:///x"]


@pytest.mark.parametrize("uri", REFUSED)
async def test_an_older_client_is_refused_what_never_changes(connect, uri) -> None:
    async with connect("legacy") as client:
        with pytest.raises(MCPError, match=r"Only agentphone://calls/\{call_id\}/transcript") as refused:
            await client.subscribe_resource(uri)
    assert refused.value.error.code == -32602


@pytest.mark.parametrize("call_id", ["call_nobody", "..", "a%2Fb", ""])
async def test_an_older_client_is_refused_what_is_not_there(connect, call_id) -> None:
    async with connect("legacy") as client:
        with pytest.raises(MCPError, match="list_calls gives a valid call_id"):
            await client.subscribe_resource(f"agentphone://calls/{call_id}/transcript")


async def test_a_refusal_shows_no_key(connect_to, answering) -> None:
    async with connect_to(answering({"detail": f"No: {LIVE_KEY}"}, 403), "legacy") as client:
        with pytest.raises(MCPError, match="Do not try again") as refused:
            await client.subscribe_resource(CALL_1)
    assert LIVE_KEY not in str(refused.value)


async def test_a_newer_client_gets_only_transcripts_acknowledged(connect) -> None:
    past = "agentphone://calls/call_past01/transcript"
    asked = [*REFUSED, "agentphone://calls/call_nobody/transcript", past, past]
    async with connect() as client, client.listen(resource_subscriptions=asked, tools_list_changed=True) as listening:
        assert listening.honored.resource_subscriptions == [past]
        assert listening.honored.tools_list_changed is True
    async with connect() as client, client.listen(resource_subscriptions=REFUSED) as listening:
        assert listening.honored.resource_subscriptions is None


@pytest.fixture
async def over_http(sandbox: Sandbox, state: Path) -> AsyncGenerator[Callable[..., Client]]:
    """Serve over HTTP, and connect any number of clients to it."""
    config = Config(api_key=ApiKey(sandbox.key), base_url=sandbox.url, ledger_location=str(state))
    with listening("127.0.0.1", 0) as listener:
        server = web_server(config, HttpSettings(), AccountPool(config))
        serving = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        yield lambda mode, updates: Client(url, mode=mode, message_handler=updates)
        server.should_exit = True
        await serving


async def test_clients_of_one_server_share_a_stream(over_http, sandbox, streams, mode) -> None:
    updates, others = Updates(), Updates()
    async with over_http(mode, updates) as first:
        call_id, uri = await place(first)
        async with subscribed(first, uri):
            async with over_http(mode, others) as second, subscribed(second, uri):
                await streams(call_id, 1)
                assert await updates.next(2) == await others.next(2) == [uri, uri]
                assert sandbox.context.simulator.listeners(call_id) == 1
            updates.take_all()
            assert await updates.next() == [uri]
        await streams(call_id, 0)
        assert sandbox.context.account.calls[call_id].is_live


async def test_a_client_that_goes_away_leaves_no_stream(over_http, sandbox, streams, mode) -> None:
    async with over_http(mode, None) as staying:
        call_id, uri = await place(staying)

        async def subscribe() -> None:
            async with over_http(mode, None) as client, subscribed(client, uri):
                await anyio.sleep_forever()

        leaving = asyncio.create_task(subscribe())
        await streams(call_id, 1)
        leaving.cancel()
        await streams(call_id, 0)
        await staying.read_resource(uri)
    assert sandbox.context.account.calls[call_id].is_live
