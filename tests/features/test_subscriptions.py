"""Subscriptions to transcripts: each new turn is an update, and no stream outlives those who wanted it."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.subscriptions import ListenNotSupportedError
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import ResourceUpdatedNotification

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.server.accounts import AccountPool
from agentphone_mcp.server.http.serve import web_server
from agentphone_mcp.system.sockets import listening
from tests.support import ROOT

# The older era's methods are deprecated, and served all the same.
pytestmark = pytest.mark.filterwarnings(f"ignore::{MCPDeprecationWarning.__module__}.MCPDeprecationWarning")
ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
LIVE_KEY = "sk_live_not_a_real_key_0042"
FRIEND, TALKATIVE = "+14155559999", "+14155550109"
CALL_1 = "agentphone://calls/call_1/transcript"
EVENT_STREAM = {"Content-Type": "text/event-stream"}


class Ear:
    """Hears which resources were updated; clients of both eras pass on what they are told."""

    def __init__(self) -> None:
        self.updates: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, message: Any) -> None:
        """Take in a notification."""
        if isinstance(message, ResourceUpdatedNotification):
            self.updates.put_nowait(str(message.params.uri))

    async def next(self, count: int = 1) -> list[str]:
        """The next updates, in bounded time."""
        async with asyncio.timeout(60):
            return [await self.updates.get() for _ in range(count)]


@asynccontextmanager
async def subscribed(client: Client, uri: str) -> AsyncGenerator[None]:
    """Subscribe as the client's era does, and unsubscribe in the end."""
    try:
        async with client.listen(resource_subscriptions=[uri]) as listening:
            assert listening.honored.resource_subscriptions == [uri]
            yield
    except ListenNotSupportedError:
        await client.subscribe_resource(uri)
        yield
        await client.unsubscribe_resource(uri)


class Line:
    """An API with one call, in which somebody speaks when a test says so."""

    def __init__(self, said: int = 0) -> None:
        self.status = "in-progress"
        self.turns = [self._turn(number) for number in range(said)]
        self.streams = 0
        self._events: asyncio.Queue[tuple[str, dict[str, Any]] | None] = asyncio.Queue()

    def speak(self) -> None:
        """Say the next turn."""
        self.turns.append(self._turn(len(self.turns)))
        self._events.put_nowait(("turn", self.turns[-1]))

    def end(self) -> None:
        """Hang up."""
        self.status = "completed"
        self._events.put_nowait(("ended", {"status": "completed"}))

    def redact(self) -> None:
        """Lose the stream."""
        self._events.put_nowait(None)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if request.url.path.endswith("/stream"):
            self.streams += 1
            return httpx.Response(200, content=self._stream(list(self.turns)), headers=EVENT_STREAM)
        if request.url.path.endswith("/transcript"):
            return httpx.Response(200, json={"transcript": self.turns})
        return httpx.Response(200, json={"id": "call_1", "status": self.status})

    async def _stream(self, past: list[dict[str, str]]) -> AsyncGenerator[bytes]:
        yield self._frame("connected", {"status": self.status})
        for turn in past:
            yield self._frame("turn", turn)
        while event := await self._events.get():
            if event[0] != "turn" or event[1] not in past:
                yield self._frame(*event)

    @staticmethod
    def _turn(number: int) -> dict[str, str]:
        return {"role": "user" if number % 2 else "agent", "content": f"Turn {number}."}

    @staticmethod
    def _frame(kind: str, data: dict[str, Any]) -> bytes:
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


async def place(client: Client, number: str = TALKATIVE) -> tuple[str, str]:
    """Place a call: its id, and the address of its transcript."""
    arguments = {"agent_id": "agt_frontdesk", "to_number": number, "confirm": True}
    call_id = (await client.call_tool("place_call", arguments)).structured_content["result"]["id"]
    return call_id, f"agentphone://calls/{call_id}/transcript"


@pytest.fixture
def streams(sandbox: Sandbox, eventually: Any) -> Callable[..., Any]:
    """Wait until so many streams of a call are open at the sandbox."""

    async def streams(call_id: str, count: int) -> None:
        await eventually(lambda: sandbox.context.simulator.listeners(call_id) == count)

    return streams


@ERAS
async def test_that_resources_can_be_subscribed_to_is_declared(connect, mode) -> None:
    """While there are calls; nothing else ever changes by itself."""
    async with connect(mode) as client:
        assert client.server_capabilities.resources.subscribe is True
    async with connect(mode, toolsets=("agents",)) as client:
        assert client.server_capabilities.resources.subscribe is False


@ERAS
async def test_each_new_turn_is_one_update_and_the_end_is_another(connect_to, answering, mode) -> None:
    """What was said before is none: it is read once, when the client is subscribed."""
    line, ear = Line(said=3), Ear()
    async with connect_to(answering(line), mode, hears=ear) as client, subscribed(client, CALL_1):
        for number in range(4, 7):
            line.speak()
            assert await ear.next() == [CALL_1]
            text = (await client.read_resource(CALL_1)).contents[0].text
            assert text.count("Turn ") == number
        line.end()
        assert await ear.next() == [CALL_1]
        assert "completed" in (await client.read_resource(CALL_1)).contents[0].text.splitlines()[0]
    assert ear.updates.empty()
    assert line.streams == 1


@ERAS
async def test_a_stream_that_breaks_loses_and_repeats_no_update(connect_to, answering, mode) -> None:
    """The call itself tells what was said in the meantime."""
    line, ear = Line(said=1), Ear()
    async with connect_to(answering(line), mode, hears=ear) as client, subscribed(client, CALL_1):
        line.speak()
        assert await ear.next() == [CALL_1]
        line.redact()
        line.turns.append({"role": "agent", "content": "Said meanwhile."})
        assert await ear.next() == [CALL_1]
        line.end()
        assert await ear.next() == [CALL_1]
    assert ear.updates.empty()


async def test_a_moments_trouble_does_not_end_the_updates(connect_to, answering) -> None:
    """The API fails for a while, and the call is followed on."""
    line, ear = Line(), Ear()
    failures = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal failures
        if request.url.path.endswith("/stream") and failures < 1:
            failures += 1
            line.status = "unreadable"
            return httpx.Response(400, json={"detail": "no"})
        if line.status == "unreadable" and request.url.path.endswith("/call_1"):
            line.status = "in-progress"
            return httpx.Response(400, json={"detail": "no"})
        return line(request)

    async with connect_to(answering(answer), hears=ear) as client, subscribed(client, CALL_1):
        line.speak()
        assert await ear.next() == [CALL_1]
    assert (failures, line.streams) == (1, 1)


async def test_a_call_that_may_not_be_read_any_more_is_left(connect_to, answering, caplog, eventually) -> None:
    """The log says so, without the key."""
    line = Line()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            return httpx.Response(401, json={"detail": f"Revoked: {LIVE_KEY}"})
        return line(request)

    recorder = answering(answer)
    async with connect_to(recorder) as client, client.listen(resource_subscriptions=[CALL_1]):
        await eventually(lambda: "not updated any more" in caplog.text)
    assert "AGENTPHONE_API_KEY" in caplog.text
    assert LIVE_KEY not in caplog.text
    assert len(recorder.requests) == 3


async def test_a_crash_while_a_call_is_followed_leaves_the_server_running(connect_to, answering, caplog) -> None:
    """The log has it."""
    line, crashed = Line(), asyncio.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream"):
            crashed.set()
            raise RuntimeError("internal")
        return line(request)

    async with connect_to(answering(answer)) as client, subscribed(client, CALL_1):
        async with asyncio.timeout(60):
            await crashed.wait()
        await client.read_resource(CALL_1)
    assert "internal" in caplog.text


@ERAS
async def test_a_live_call_is_told_turn_by_turn(connect, streams, mode) -> None:
    """At the sandbox, to its end; then nothing is left open there."""
    ear = Ear()
    async with connect(mode, hears=ear) as client:
        call_id, uri = await place(client, FRIEND)
        async with subscribed(client, uri):
            while "completed" not in (await client.read_resource(uri)).contents[0].text.splitlines()[0]:
                assert await ear.next() == [uri]
            await streams(call_id, 0)


@ERAS
async def test_a_call_that_is_over_opens_no_stream(connect_to, answering, mode) -> None:
    """It may be subscribed to; nothing more will be said."""
    line, ear = Line(said=2), Ear()
    line.status = "completed"
    recorder = answering(line)
    async with connect_to(recorder, mode, hears=ear) as client, subscribed(client, CALL_1):
        await client.read_resource(CALL_1)
    assert (line.streams, ear.updates.empty()) == (0, True)


async def test_an_older_client_has_its_share_of_subscriptions_and_no_more(connect_to, answering, monkeypatch) -> None:
    """One too many is told what to do, and asks nothing of the API."""
    monkeypatch.setattr("agentphone_mcp.features.subscriptions._MAX_SUBSCRIPTIONS", 2)
    line = Line()
    line.status = "completed"
    recorder = answering(line)
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


async def test_a_newer_client_is_told_where_its_share_ends(connect_to, answering, monkeypatch) -> None:
    """What is beyond it is left out, and the API not asked about it."""
    monkeypatch.setattr("agentphone_mcp.features.subscriptions._MAX_SUBSCRIPTIONS", 2)
    line = Line()
    line.status = "completed"
    recorder = answering(line)
    uris = [CALL_1.replace("call_1", f"call_{number}") for number in range(1, 9)]
    async with connect_to(recorder) as client, client.listen(resource_subscriptions=uris) as listening:
        assert listening.honored.resource_subscriptions == uris[:2]
    assert len(recorder.requests) == 2


@ERAS
async def test_one_call_is_one_stream_under_all_its_addresses(connect, streams, sandbox, mode) -> None:
    """A host may write an id with its name; each is told under the address that it asked for."""
    ear = Ear()
    async with connect(mode, hears=ear) as client:
        call_id, uri = await place(client)
        other = uri.replace(call_id, f"{call_id}%20%28Sam%29")
        async with subscribed(client, uri), subscribed(client, other):
            await streams(call_id, 1)
            assert set(await ear.next(4)) == {uri, other}
            assert sandbox.context.simulator.listeners(call_id) == 1
        await streams(call_id, 0)
        assert sandbox.context.account.calls[call_id].is_live


@ERAS
async def test_the_stream_stays_for_the_last_who_listens(connect, streams, sandbox, mode) -> None:
    """And is closed at once when they leave."""
    ear = Ear()
    async with connect(mode, hears=ear) as client:
        call_id, uri = await place(client)
        other = f"{uri.removesuffix('/transcript')}%20%28Sam%29/transcript"
        async with subscribed(client, uri):
            async with subscribed(client, other):
                await streams(call_id, 1)
            while not ear.updates.empty():
                ear.updates.get_nowait()
            assert await ear.next() == [uri]
            assert sandbox.context.simulator.listeners(call_id) == 1
        await streams(call_id, 0)


async def test_subscribing_twice_is_one_subscription(connect, streams) -> None:
    """Also at once; and one unsubscribes from what was never subscribed to without harm."""
    ear = Ear()
    async with connect("legacy", hears=ear) as client:
        call_id, uri = await place(client)
        await asyncio.gather(*(client.subscribe_resource(uri) for _ in range(5)))
        await client.subscribe_resource(uri)
        await streams(call_id, 1)
        await client.unsubscribe_resource(uri)
        await streams(call_id, 0)
        await client.unsubscribe_resource(uri)
        await client.unsubscribe_resource("agentphone://account")
        await client.subscribe_resource(uri)
        await streams(call_id, 1)
        await asyncio.gather(client.unsubscribe_resource(uri), client.subscribe_resource(uri))
        assert await ear.next(2) == [uri, uri]


REFUSED = ["agentphone://account", "agentphone://agents/agt_frontdesk", "agentphone://calls/call_past01", "file:///x"]


@pytest.mark.parametrize("uri", REFUSED)
async def test_an_older_client_is_refused_what_never_changes(connect, uri) -> None:
    """In a sentence that says what can be subscribed to."""
    async with connect("legacy") as client:
        with pytest.raises(MCPError, match=r"Only agentphone://calls/\{call_id\}/transcript") as refused:
            await client.subscribe_resource(uri)
    assert refused.value.error.code == -32602


@pytest.mark.parametrize("call_id", ["call_nobody", "..", "a%2Fb", ""])
async def test_an_older_client_is_refused_what_is_not_there(connect, call_id) -> None:
    """With the list that gives valid ids."""
    async with connect("legacy") as client:
        with pytest.raises(MCPError, match="list_calls gives a valid call_id"):
            await client.subscribe_resource(f"agentphone://calls/{call_id}/transcript")


async def test_a_refusal_shows_no_key(connect_to, answering) -> None:
    """Whatever the API says."""
    async with connect_to(answering({"detail": f"No: {LIVE_KEY}"}, 403), "legacy") as client:
        with pytest.raises(MCPError, match="Do not try again") as refused:
            await client.subscribe_resource(CALL_1)
    assert LIVE_KEY not in str(refused.value)


async def test_a_newer_client_is_told_what_of_it_is_followed(connect) -> None:
    """What is acknowledged is what updates will come for."""
    past = "agentphone://calls/call_past01/transcript"
    asked = [*REFUSED, "agentphone://calls/call_nobody/transcript", past, past]
    async with connect() as client, client.listen(resource_subscriptions=asked, tools_list_changed=True) as listening:
        assert listening.honored.resource_subscriptions == [past]
        assert listening.honored.tools_list_changed is True
    async with connect() as client, client.listen(resource_subscriptions=REFUSED) as listening:
        assert listening.honored.resource_subscriptions is None


@pytest.fixture
async def over_http(sandbox: Sandbox, state: Path) -> AsyncGenerator[Callable[..., Client]]:
    """A server of ours over HTTP, to which any number of clients connect."""
    config = Config(api_key=ApiKey(sandbox.key), base_url=sandbox.url, ledger_location=str(state))
    with listening("127.0.0.1", 0) as listener:
        server = web_server(config, HttpSettings(), AccountPool(config))
        serving = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        yield lambda mode, ear: Client(url, mode=mode, message_handler=ear)
        server.should_exit = True
        await serving


@ERAS
async def test_clients_of_one_server_share_a_stream(over_http, sandbox, streams, mode) -> None:
    """All hear each turn; one of them leaves, and the other hears on."""
    one, two = Ear(), Ear()
    async with over_http(mode, one) as first:
        call_id, uri = await place(first)
        async with subscribed(first, uri):
            async with over_http(mode, two) as second, subscribed(second, uri):
                await streams(call_id, 1)
                assert await one.next(2) == await two.next(2) == [uri, uri]
                assert sandbox.context.simulator.listeners(call_id) == 1
            while not one.updates.empty():
                one.updates.get_nowait()
            assert await one.next() == [uri]
        await streams(call_id, 0)
        assert sandbox.context.account.calls[call_id].is_live


@ERAS
async def test_a_client_that_goes_away_leaves_no_stream(over_http, sandbox, streams, mode) -> None:
    """Without unsubscribing, while the server and the call go on."""
    async with over_http(mode, None) as staying:
        call_id, uri = await place(staying)

        async def come_and_go() -> None:
            async with over_http(mode, None) as client, subscribed(client, uri):
                await asyncio.Event().wait()

        leaving = asyncio.create_task(come_and_go())
        await streams(call_id, 1)
        leaving.cancel()
        await streams(call_id, 0)
        await staying.read_resource(uri)
    assert sandbox.context.account.calls[call_id].is_live


@ERAS
async def test_a_client_over_stdio_hears_of_each_turn(mode: str) -> None:
    """As a host starts it."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "AGENTPHONE_SANDBOX": "1",
        "AGENTPHONE_SANDBOX_SPEED": "50",
    }
    command = StdioServerParameters(command=sys.executable, args=["-m", "agentphone_mcp"], env=environment)
    ear = Ear()
    async with asyncio.timeout(30), Client(command, mode=mode, message_handler=ear) as client:
        _, uri = await place(client)
        async with subscribed(client, uri):
            assert await ear.next(3) == [uri] * 3
            assert (await client.read_resource(uri)).contents[0].text.count("Z] ") >= 3
