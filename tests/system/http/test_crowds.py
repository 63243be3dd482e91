"""Bound the connections that wait for their client, so that whoever sends a request is served."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import httpx
import pytest

from agentphone_mcp.system.http.requests import CapacityMiddleware
from agentphone_mcp.system.http.timeouts import ClientLimits
from agentphone_mcp.system.http.waiting import WaitingConnections, sender_of
from tests.system.http.served import GET, POST, Client, RecordingApp, Serve, Served, until

pytestmark = pytest.mark.attack("17", "connections that wait keep out whoever sends a request")
FEW = replace(ClientLimits(), half_open=3)
HALVES = {
    "silent": b"",
    "head": GET[:9],
    "body": POST + b"Content-Length: 9\r\n\r\n1",
    "body-after-the-answer": b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1",
    "second-head": GET + GET[:9],
}


def connected(served: Served) -> int:
    return len(served.server.server_state.connections)


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
async def test_the_half_open_connection_that_is_oldest_makes_place(serve: Serve, half: bytes) -> None:
    """Until now each stayed for ten seconds at least, however many an address had."""
    served = serve(FEW)
    for _ in range(8):
        await served.connect(half)
    # It is accepted after all others.
    assert await (await served.connect(GET)).answer(b"<0>")
    await until(lambda: connected(served) <= 4)


async def test_whoever_is_served_does_not_make_place(serve: Serve) -> None:
    served = serve(FEW)
    working = await served.connect(GET.replace(b"length", b"waiting"))
    await served.has_seen("waiting")
    half_open = [await served.connect(GET[:9]) for _ in range(8)]
    await half_open[4].rest()
    await until(lambda: connected(served) == 4)
    assert "left" not in served.seen
    working.close()
    await served.has_seen("left")
    await until(lambda: connected(served) == 3)


async def test_idle_connections_make_place_when_there_is_none(serve: Serve) -> None:
    """A proxy keeps many of them, so that they are not bounded by its address."""
    served = serve(replace(FEW, connections=6))
    clients: list[Client] = []
    for _ in range(9):
        clients.append(await served.connect(GET))
        await clients[-1].answer(b"<0>")
    for client in clients[:3]:
        assert await client.rest() == b""
    await clients[-1].send(GET)
    await clients[-1].answer(b"<0>")


async def test_a_crowd_leaves_nothing_behind(serve: Serve) -> None:
    served = serve(replace(FEW, connections=6))
    for half in HALVES.values():
        for _ in range(6):
            await served.connect(half)
    for client in served.clients:
        client.close()
    await served.released_all_connections()


@pytest.mark.parametrize(
    ("address", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_a_network_of_ipv6_is_one_sender(address: str, other: str, is_same: bool) -> None:
    """Whoever has one has as many addresses as they like."""
    assert (sender_of(address) == sender_of(other)) is is_same


class Waiting:
    """A connection that notes that it was ended."""

    def __init__(self) -> None:
        self.is_ended = False

    def give_way(self) -> None:
        self.is_ended = True


def test_the_sender_with_the_most_makes_place() -> None:
    table, honest, many = WaitingConnections(), Waiting(), [Waiting() for _ in range(3)]
    table.note(honest, "honest", is_idle=False, most_half_open=9)
    for each in many:
        table.note(each, "crowd", is_idle=False, most_half_open=9)
    for _ in range(2):
        table.make_place()
    assert [each.is_ended for each in (honest, *many)] == [False, True, True, False]


async def test_probes_are_answered_while_too_many_requests_are_under_way() -> None:
    app = RecordingApp()
    bounded = CapacityMiddleware(app.asgi, 1, frozenset(("/early",)))
    transport = httpx.ASGITransport(bounded)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as http, anyio.create_task_group() as tasks:
        tasks.start_soon(http.get, "/waiting")
        while "waiting" not in app.seen:
            await anyio.lowlevel.checkpoint()
        refused, probe = await http.get("/length"), await http.get("/early")
        assert (refused.status_code, probe.status_code) == (503, 401)
        assert refused.headers["Retry-After"]
        tasks.cancel_scope.cancel()
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as http:
        assert (await http.get("/length")).status_code == 200
