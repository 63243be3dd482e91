"""Serve clients that are slow within the limits, and streams without a limit."""

from dataclasses import replace

import anyio
import pytest

from tests.system.http.served import GET, POST, QUICK, TICKS, WITH_UVLOOP, Serve, Served, until


async def test_pipelined_requests_are_answered_in_order(quick: Served) -> None:
    body = POST + b"Content-Length: %d\r\n\r\n%s"
    client = await quick.connect(GET + body % (2, b"22") + body % (3, b"333"))
    data = await client.answer(b"<3>")
    assert data.count(b"HTTP/1.1 200 ") == 3
    assert data.index(b"<0>") < data.index(b"<2>") < data.index(b"<3>")


async def test_a_stream_that_is_read_outlasts_every_deadline(quick: Served) -> None:
    client = await quick.connect(GET.replace(b"length", b"events"))
    assert (await client.answer(b"0\r\n\r\n")).count(b"data: ") == TICKS


async def test_a_stream_outlasts_the_deadline_of_a_request_behind_it(quick: Served) -> None:
    """The deadline of a pipelined request starts when its turn comes."""
    half = POST + b"Content-Length: 100\r\n\r\n1"
    data = await (await quick.connect(GET.replace(b"length", b"events") + half)).rest()
    assert data.count(b"data: ") == TICKS
    assert data.count(b"HTTP/1.1 408 ") == 1


async def test_a_stream_that_is_read_slowly_goes_on(serve: Serve) -> None:
    served = serve(replace(QUICK, stalled_seconds=0.5))
    client = await served.connect(GET.replace(b"length", b"flooding"), receive_buffer=4096)
    with anyio.move_on_after(1):
        while True:
            assert await client.receive()
    assert served.seen == ["flooding"]


async def test_a_kept_connection_may_idle_between_requests(quick: Served) -> None:
    client = await quick.connect(GET)
    await client.answer(b"<0>")
    await anyio.sleep(QUICK.head_seconds * 2)
    await client.send(GET)
    await client.answer(b"<0>")


async def test_a_long_head_may_come_in_pieces(calm: Served) -> None:
    first = GET[:-2] + b"X: " + b"x" * 25_000
    client = await calm.connect(first)
    await until(lambda: sum(calm.received) == len(first))
    await client.send(b"x\r\n\r\n")
    await client.answer(b"<0>")


async def test_a_slow_client_within_the_deadline_is_served(calm: Served) -> None:
    client = await calm.connect()
    request = POST + b"Content-Length: 30\r\n\r\n" + b"x" * 30
    for start in range(0, len(request), 5):
        await client.send(request[start : start + 5])
        await anyio.sleep(0.01)
    await client.answer(b"<30>")


@WITH_UVLOOP
async def test_no_deadline_runs_while_the_app_does_not_read(quick: Served) -> None:
    """The server itself has paused reading then."""
    size = 3_000_000
    client = await quick.connect(b"POST /slow_to_ask HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    await client.send(bytes(size))
    await client.answer(b"<%d>" % size)


@pytest.mark.parametrize("path", [b"length", b"slow_to_ask"], ids=["at-once", "later"])
async def test_a_client_that_expects_100_continue_gets_it(quick: Served, path: bytes) -> None:
    """With `Expect: 100-continue` a client rightly waits until the app wants the body."""
    client = await quick.connect(POST.replace(b"length", path) + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    await client.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    await client.send(b"hello")
    await client.answer(b"<5>")
