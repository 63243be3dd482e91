"""Close the connections of clients that do not send or read in time, and leave nothing behind."""

import sys

from tests.system.http.served import GET, POST, WITH_UVLOOP, Served, until


async def test_a_silent_connection_is_closed(quick: Served) -> None:
    assert await (await quick.connect()).rest() == b""


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(quick: Served) -> None:
    client = await quick.connect(b"GET /length HTTP/1.1\r\nHost: a\r\nX: ")
    assert await client.dribble(b"x") == b""
    assert quick.seen == []


async def test_half_a_request_on_a_kept_connection_is_not_waited_for(quick: Served) -> None:
    """The first byte cancels uvicorn's keep-alive timer, so a deadline has to replace it."""
    client = await quick.connect(GET)
    await client.answer(b"<0>")
    await client.send(GET[:20])
    assert await client.rest() == b""


async def test_blank_lines_do_not_keep_a_connection_open(quick: Served) -> None:
    """The httptools parser skips blank lines, and each cancels the keep-alive timer."""
    client = await quick.connect(GET)
    await client.answer(b"<0>")
    assert b"200" not in await client.dribble(b"\r\n")


async def test_a_connection_whose_body_came_after_the_answer_is_closed_when_idle(quick: Served) -> None:
    """The late body cancels uvicorn's keep-alive timer, which is not started again."""
    client = await quick.connect(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
    await client.answer(b"<no>")
    await client.send(b"late")
    assert await client.rest() == b""


@WITH_UVLOOP
async def test_a_body_that_comes_too_slowly_is_answered_with_408(quick: Served) -> None:
    client = await quick.connect(POST + b"Content-Length: 100000\r\n\r\n")
    assert (await client.dribble(b"x")).startswith(b"HTTP/1.1 408 ")
    await quick.has_seen("left")


async def test_a_pipelined_head_without_its_body_is_not_waited_for(quick: Served) -> None:
    """It is parsed after the response before it, when no data arrives that could start a deadline."""
    client = await quick.connect(GET + POST + b"Content-Length: 1\r\n\r\n")
    assert b"HTTP/1.1 408 " in await client.rest()


async def test_an_endless_body_after_an_early_response_is_ended(quick: Served) -> None:
    client = await quick.connect(b"POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    data = await client.dribble(b"5\r\nhello\r\n")
    assert data.startswith(b"HTTP/1.1 401 ")
    assert data.count(b"HTTP/1.1") == 1


@WITH_UVLOOP
async def test_a_client_that_does_not_read_a_stream_is_disconnected(quick: Served) -> None:
    await quick.connect(GET.replace(b"length", b"flooding"), receive_buffer=4096)
    await quick.has_seen("flooding")
    await quick.has_seen("left")
    await quick.released_all_connections()


@WITH_UVLOOP
async def test_a_client_that_leaves_without_having_read_leaves_no_timer(calm: Served) -> None:
    """The deadline for reading would hold the connection for another minute."""
    client = await calm.connect(GET.replace(b"length", b"flooding"), receive_buffer=4096)
    await until(lambda: any(protocol._stalled for protocol in calm.protocols))
    client.close()
    await calm.released_all_connections()


async def test_a_client_that_does_not_read_a_short_response_is_disconnected(quick: Served) -> None:
    """After uvicorn closes a connection, its transport waits without limit for unread data."""
    await quick.connect(GET.replace(b"length", b"heavy"), receive_buffer=4096)
    await until(lambda: quick.server.server_state.total_requests == 1)
    await quick.released_all_connections()


async def test_a_request_is_disconnected_though_another_is_pipelined_behind_it(calm: Served) -> None:
    """uvicorn disconnects the last request it has parsed only."""
    client = await calm.connect(GET.replace(b"length", b"waiting") + GET)
    await calm.has_seen("waiting")
    client.close()
    await calm.has_seen("left")
    await calm.released_all_connections()


def affordable(connections: int) -> int:
    """Reduce a number of connections where a process may open few files; each takes two."""
    if sys.platform == "win32":
        return connections
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if most == resource.RLIM_INFINITY else min(connections, most // 4)


@WITH_UVLOOP
async def test_hundreds_of_half_open_connections_leave_nothing_behind(quick: Served) -> None:
    halves = (b"", GET[:9], POST + b"Content-Length: 9\r\n\r\n1", GET + GET[:9], GET)
    for number in range(affordable(500)):
        await quick.connect(halves[number % len(halves)])
    for client in quick.clients:
        await client.rest()
        client.close()
    await quick.released_all_connections()
    await (await quick.connect(GET)).answer(b"<0>")
