"""Refuse requests that are too large or ambiguous, on each parser."""

from contextlib import suppress

import pytest

from tests.system.http.served import GET, HTTPTOOLS, POST, Served


async def test_an_endless_trailer_is_refused(calm: Served) -> None:
    """A trailer counts as no body, and httptools would store all of it."""
    client = await calm.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ")
    assert b"200" not in await client.dribble(b"x" * 10_000)


async def test_trailers_are_no_headers(calm: Served) -> None:
    """Proxies remove headers they do not trust, and uvicorn adds trailers to the headers with httptools."""
    client = await calm.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: x\r\n\r\n")
    assert (await client.answer(b"<0>")).startswith(b"HTTP/1.1 200 ")
    assert calm.seen == ["/length 2"]


async def test_blanks_around_a_header_value_are_removed(calm: Served) -> None:
    client = await calm.connect(b"GET /header HTTP/1.1\r\nHost: a\r\nX: \t a b \t \r\n\r\n")
    await client.answer(b"<a b>")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000, id="endless-header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 200_000, id="endless-headers"),
        pytest.param(b"GET /" + b"x" * 1_000_000, id="endless-path"),
    ],
)
async def test_a_head_of_a_megabyte_is_not_read_to_its_end(calm: Served, head: bytes) -> None:
    """The connection may be reset before the client reads the 431."""
    client = await calm.connect()
    with suppress(ConnectionError):
        await client.send(head)
    data = await client.rest()
    assert data == b"" or data.startswith(b"HTTP/1.1 431 ")
    await calm.released_all_connections()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /length HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 1000 + b"\r\n", id="headers"),
        pytest.param(b"GET /length HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", id="header"),
        pytest.param(b"GET /length?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", id="path"),
    ],
)
async def test_a_head_that_is_too_large_is_answered_with_431(calm: Served, head: bytes) -> None:
    assert (await (await calm.connect(head)).rest()).startswith(b"HTTP/1.1 431 ")
    assert calm.seen == []


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"Content-Length: 4\r\nTransfer-Encoding: chunked", id="length-then-chunks"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 4", id="chunks-then-length"),
        pytest.param(b"Content-Length: 4\r\nContent-Length: 5", id="two-lengths"),
        pytest.param(b"Content-Length: 4, 5", id="list-of-lengths"),
        pytest.param(b"Content-Length: +4", id="signed-length"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", id="two-encodings"),
        pytest.param(b"Transfer-Encoding: xchunked\r\nContent-Length: 4", id="unknown-encoding"),
        pytest.param(b"Transfer-Encoding : chunked", id="space-before-colon"),
    ],
)
async def test_an_ambiguous_body_length_is_refused(calm: Served, framing: bytes) -> None:
    """A proxy and a server that disagree about the end of a body let requests be smuggled."""
    data = await (await calm.connect(POST + framing + b"\r\n\r\n0\r\n\r\n" + GET)).rest()
    assert data.startswith(b"HTTP/1.1 400 ")
    assert data.count(b"HTTP/1.1") == 1
    assert calm.seen == []


async def test_equal_lengths_count_once_or_are_refused(calm: Served) -> None:
    """h11 accepts equal lengths, as RFC 9112 allows; httptools refuses them."""
    twice = b"Content-Length: %d\r\n" % len(GET) * 2
    data = await (await calm.connect(POST + b"Connection: close\r\n" + twice + b"\r\n" + GET)).rest()
    assert data.startswith(b"HTTP/1.1 400 ") or data.endswith(b"<%d>" % len(GET))
    assert data.count(b"HTTP/1.1") == 1


async def test_a_body_after_an_upgrade_is_never_a_request(calm: Served) -> None:
    """httptools ends such a request with its head, and would parse the body as the next request."""
    upgrade = b"Connection: close, Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(GET)
    client = await calm.connect(POST + upgrade)
    await client.send(GET)
    data = await client.rest()
    assert data.startswith(b"HTTP/1.1 400 ") or data.endswith(b"<%d>" % len(GET))
    assert data.count(b"HTTP/1.1") == 1


async def test_a_websocket_upgrade_is_ignored(calm: Served) -> None:
    """WebSockets would have no deadlines, so the request is served as plain HTTP."""
    wanted = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
    client = await calm.connect(GET[:-2] + wanted)
    assert (await client.answer(b"<0>")).startswith(b"HTTP/1.1 200 ")


async def test_no_second_response_is_sent_after_one_has_begun(calm: Served) -> None:
    """uvicorn alone would fail in h11's state machine, or send a second response."""
    client = await calm.connect(
        b"POST /flooding HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", receive_buffer=4096
    )
    await calm.has_seen("flooding")
    await client.send(b"this is no chunk\r\n")
    assert (await client.rest()).count(b"HTTP/1.1") == 1
    await calm.has_seen("left")


@pytest.mark.parametrize("serve", [HTTPTOOLS], indirect=True)
async def test_thousands_of_pipelined_requests_do_not_wait_in_memory(calm: Served) -> None:
    """A single read brings that many, and httptools makes objects of all; h11 keeps the bytes."""
    client = await calm.connect(GET.replace(b"length", b"waiting") + GET * 2_000)
    assert await client.rest() == b""
    await calm.has_seen("left")
    await calm.released_all_connections()
    assert calm.seen == ["waiting", "left"]
