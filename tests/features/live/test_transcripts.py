"""Test live transcripts: each new turn is one update, and each call one stream that ends with its subscribers."""

import anyio
import httpx
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPDeprecationWarning

from tests.features.live.subscriber import CALL_1, FakeCall, Updates, place, subscribed
from tests.support import COMMAND, LIVE_KEY, clean_environment

# The older era's methods are deprecated, and still supported.
pytestmark = pytest.mark.filterwarnings(f"ignore::{MCPDeprecationWarning.__module__}.MCPDeprecationWarning")
FRIEND = "+14155559999"


async def test_each_new_turn_is_one_update_and_the_end_is_another(connect_to, answering, mode) -> None:
    """Turns before the subscription are no updates."""
    call, updates = FakeCall(turns=3), Updates()
    async with connect_to(answering(call), mode, hears=updates) as client, subscribed(client, CALL_1):
        for number in range(4, 7):
            call.speak()
            assert await updates.next() == [CALL_1]
            assert (await client.read_resource(CALL_1)).contents[0].text.count("Turn ") == number
        call.end()
        assert await updates.next() == [CALL_1]
        assert "completed" in (await client.read_resource(CALL_1)).contents[0].text.splitlines()[0]
    assert updates.take_all() == []
    assert call.streams == 1


async def test_a_stream_that_breaks_loses_and_repeats_no_update(connect_to, answering, mode) -> None:
    call, updates = FakeCall(turns=1), Updates()
    async with connect_to(answering(call), mode, hears=updates) as client, subscribed(client, CALL_1):
        call.speak()
        assert await updates.next() == [CALL_1]
        call.break_stream()
        call.turns.append({"role": "agent", "content": "Said meanwhile."})
        assert await updates.next() == [CALL_1]
        call.end()
        assert await updates.next() == [CALL_1]
    assert updates.take_all() == []


async def test_a_passing_error_does_not_end_the_updates(connect_to, answering) -> None:
    call, updates = FakeCall(), Updates()
    failures = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal failures
        if request.url.path.endswith("/stream") and failures < 1:
            failures += 1
            call.status = "unreadable"
            return httpx.Response(400, json={"detail": "no"})
        if call.status == "unreadable" and request.url.path.endswith("/call_1"):
            call.status = "in-progress"
            return httpx.Response(400, json={"detail": "no"})
        return call(request)

    async with connect_to(answering(answer), hears=updates) as client, subscribed(client, CALL_1):
        call.speak()
        assert await updates.next() == [CALL_1]
    assert (failures, call.streams) == (1, 1)


async def test_a_call_that_may_not_be_read_any_more_is_no_longer_followed(
    connect_to, answering, caplog, eventually
) -> None:
    call = FakeCall()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return httpx.Response(401, json={"detail": f"Revoked: {LIVE_KEY}"})
        return call(request)

    recorder = answering(answer)
    async with connect_to(recorder) as client, client.listen(resource_subscriptions=[CALL_1]):
        await eventually(lambda: "not updated any more" in caplog.text)
    assert "AGENTPHONE_API_KEY" in caplog.text
    assert LIVE_KEY not in caplog.text
    assert len(recorder.requests) == 3


async def test_a_crash_while_a_call_is_followed_leaves_the_server_running(connect_to, answering, caplog) -> None:
    call, crashed = FakeCall(), anyio.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            crashed.set()
            raise RuntimeError("internal")
        return call(request)

    async with connect_to(answering(answer)) as client, subscribed(client, CALL_1):
        with anyio.fail_after(60):
            await crashed.wait()
        await client.read_resource(CALL_1)
    assert "internal" in caplog.text


async def test_a_live_call_is_updated_turn_by_turn(connect, streams, mode) -> None:
    updates = Updates()
    async with connect(mode, hears=updates) as client:
        call_id, uri = await place(client, FRIEND)
        async with subscribed(client, uri):
            while "completed" not in (await client.read_resource(uri)).contents[0].text.splitlines()[0]:
                assert await updates.next() == [uri]
            await streams(call_id, 0)


async def test_a_call_that_is_over_opens_no_stream(connect_to, answering, mode) -> None:
    call, updates = FakeCall(turns=2, status="completed"), Updates()
    recorder = answering(call)
    async with connect_to(recorder, mode, hears=updates) as client, subscribed(client, CALL_1):
        await client.read_resource(CALL_1)
    assert (call.streams, updates.take_all()) == (0, [])


async def test_one_call_is_one_stream_under_all_its_addresses(connect, streams, sandbox, mode) -> None:
    """A host may write an id with its label; each address gets its own updates."""
    updates = Updates()
    async with connect(mode, hears=updates) as client:
        call_id, uri = await place(client)
        other = uri.replace(call_id, f"{call_id}%20%28Sam%29")
        async with subscribed(client, uri), subscribed(client, other):
            await streams(call_id, 1)
            assert set(await updates.next(4)) == {uri, other}
            assert sandbox.context.simulator.listeners(call_id) == 1
        await streams(call_id, 0)
        assert sandbox.context.account.calls[call_id].is_live


async def test_the_stream_stays_for_the_last_who_listens(connect, streams, sandbox, mode) -> None:
    updates = Updates()
    async with connect(mode, hears=updates) as client:
        call_id, uri = await place(client)
        other = f"{uri.removesuffix('/transcript')}%20%28Sam%29/transcript"
        async with subscribed(client, uri):
            async with subscribed(client, other):
                await streams(call_id, 1)
            updates.take_all()
            assert await updates.next() == [uri]
            assert sandbox.context.simulator.listeners(call_id) == 1
        await streams(call_id, 0)


async def test_a_client_over_stdio_gets_an_update_for_each_turn() -> None:
    environment = clean_environment(AGENTPHONE_SANDBOX="1", AGENTPHONE_SANDBOX_SPEED="50")
    command = StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=environment)
    updates = Updates()
    with anyio.fail_after(60):
        async with Client(command, mode="legacy", message_handler=updates) as client:
            _, uri = await place(client)
            async with subscribed(client, uri):
                assert await updates.next(3) == [uri] * 3
                assert (await client.read_resource(uri)).contents[0].text.count("Z] ") >= 3
