"""Clients that dawdle, on real sockets: each is shown the auth, and whoever keeps to the times is served."""

import asyncio
import gc
import socket
import sys
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Thread
from weakref import WeakSet

import anyio
import anyio.lowlevel
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from agentphone_mcp.server.http.serve import event_loop_options, protocol
from agentphone_mcp.server.http.uvicorn_protocols.timeouts import ClientLimits, ClientTimeouts, UvicornProtocol
from agentphone_mcp.server.http.uvicorn_protocols.timeouts_h11 import ClientTimeoutsH11
from agentphone_mcp.server.http.uvicorn_protocols.timeouts_httptools import ClientTimeoutsHttpTools

QUICK = ClientLimits(head_seconds=0.4, body_seconds=0.4, stalled_seconds=0.4)
KEPT_SECONDS = 2
LIMIT = 60
"""Seconds after which a test gives up."""
GET = b"GET /length HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /length HTTP/1.1\r\nHost: a\r\n"
TICKS = 8


class Client:
    """A client that reads only when told to, whatever lies in the system for it."""

    def __init__(self, port: int, receive_buffer: int | None) -> None:
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        with anyio.fail_after(LIMIT):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        """What is there, or comes next; nothing at the end."""
        with anyio.fail_after(LIMIT):
            return await asyncio.get_running_loop().sock_recv(self._socket, 65_536)

    async def answer(self, end: bytes) -> bytes:
        """What comes up to and with the end."""
        came = b""
        while not came.endswith(end):
            part = await self.receive()
            assert part, f"closed after {came}"
            came += part
        return came

    async def rest(self) -> bytes:
        """All that comes until the server closes; it resets the connection if something of ours was not read."""
        came = b""
        with suppress(ConnectionError):
            while part := await self.receive():
                came += part
        return came

    async def dribble(self, piece: bytes) -> bytes:
        """Send a piece again and again until the server has enough; what it answered."""
        came: list[bytes] = []

        async def read() -> None:
            with suppress(ConnectionError):
                while part := await self.receive():
                    came.append(part)
            tasks.cancel_scope.cancel()

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                with suppress(ConnectionError):
                    while True:
                        await self.send(piece)
                        await anyio.sleep(0.02)
        return b"".join(came)

    def close(self) -> None:
        """Leave."""
        self._socket.close()


@dataclass
class Served:
    """A server under way.

    Attributes:
        port: where, on loopback.
        seen: the paths that reached the app, and what became of those that lasted.
        protocols: the connections that anything still holds on to.
        server: uvicorn's own.
        clients: those who connected.
    """

    port: int
    seen: list[str]
    protocols: WeakSet[ClientTimeouts]
    server: uvicorn.Server
    clients: list[Client] = field(default_factory=list)

    async def connect(self, sent: bytes = b"", receive_buffer: int | None = None) -> Client:
        """A client that has sent something; it is closed with the server."""
        client = Client(self.port, receive_buffer)
        self.clients.append(client)
        await client.send(sent)
        return client

    async def saw(self, what: str) -> None:
        """Wait until the app saw it."""
        await until(lambda: what in self.seen)

    async def forgot_everybody(self) -> None:
        """Wait until no connection is left, nor anything that holds one: a task, a timer, a set."""
        await until(lambda: not self.server.server_state.connections and not self.server.server_state.tasks)
        await until(lambda: gc.collect() >= 0 and not self.protocols)


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    with anyio.fail_after(LIMIT):
        while not happened():  # noqa: ASYNC110 - another thread's loop cannot set an event of ours
            await anyio.sleep(0.01)


class Telling:
    """An app that notes who reached it, and who left early."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        paths = [self.length, self.header, self.slow_to_ask, self.early, self.heavy, self.events]
        paths += [self.flooding, self.waiting]
        self.asgi = Starlette(routes=[Route(f"/{path.__name__}", path, methods=["GET", "POST"]) for path in paths])

    async def length(self, request: Request) -> Response:
        """How long the body is."""
        self.seen.append(f"{request.url.path} {len(request.headers)}")
        try:
            return PlainTextResponse(f"<{len(await request.body())}>")
        except ClientDisconnect:
            self.seen.append("left")
            raise

    async def header(self, request: Request) -> Response:
        """What a header says."""
        return PlainTextResponse(f"<{request.headers['x']}>")

    async def slow_to_ask(self, request: Request) -> Response:
        """The same, long after."""
        await anyio.sleep(QUICK.body_seconds * 2.5)
        return await self.length(request)

    async def early(self, _: Request) -> Response:
        """A refusal that does not wait for the body."""
        return PlainTextResponse("<no>", 401)

    async def heavy(self, _: Request) -> Response:
        """Less than makes asyncio pause a writer, and more than the system keeps for one that reads nothing."""
        return PlainTextResponse("x" * 60_000)

    async def events(self, _: Request) -> Response:
        """A stream that lasts longer than every deadline."""

        async def ticks() -> AsyncIterator[str]:
            for number in range(TICKS):
                yield f"data: {number}\n\n"
                await anyio.sleep(QUICK.head_seconds / 4)

        return StreamingResponse(ticks(), media_type="text/event-stream")

    async def flooding(self, _: Request) -> Response:
        """A stream without end."""

        async def flood() -> AsyncIterator[bytes]:
            self.seen.append("flooding")
            try:
                while True:
                    yield bytes(100_000)
                    await anyio.lowlevel.checkpoint()
            finally:
                self.seen.append("left")

        return StreamingResponse(flood())

    async def waiting(self, request: Request) -> Response:
        """Waits for the client to leave."""
        self.seen.append("waiting")
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.seen.append("left")
        return Response()


Serve = Callable[[ClientLimits], Served]


@pytest.fixture(
    params=[(ClientTimeoutsH11, False), (ClientTimeoutsHttpTools, False), (ClientTimeoutsHttpTools, True)],
    ids=["h11", "httptools", "uvloop"],
)
def serve(request: pytest.FixtureRequest, closing: Callable[[Callable[[], object]], None]) -> Generator[Serve]:
    """Serve in a thread, with an event loop of its own and one of the protocols."""
    kind, use_uvloop = request.param
    if use_uvloop:
        pytest.importorskip("uvloop")
    box = ExitStack()

    def serve(limits: ClientLimits) -> Served:
        return box.enter_context(serving(kind, limits, {"use_uvloop": use_uvloop}))

    yield serve
    closing(box.close)


@contextmanager
def serving(kind: type[ClientTimeouts], limits: ClientLimits, options: dict[str, bool]) -> Generator[Served]:
    """A web server, until its clients may go."""
    protocols: WeakSet[ClientTimeouts] = WeakSet()

    class Watched(kind):
        """Known to the test for as long as anything holds it."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            protocols.add(self)

    Watched.limits = limits
    app = Telling()
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    # Connections inherit it: little lies in the system that was not read.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    config = uvicorn.Config(
        app.asgi,
        http=Watched,
        log_config=None,
        access_log=False,
        ws=asyncio.Protocol,
        timeout_keep_alive=KEPT_SECONDS,
        timeout_graceful_shutdown=1,
    )
    served = Served(listener.getsockname()[1], app.seen, protocols, uvicorn.Server(config))
    run = partial(anyio.run, partial(served.server.serve, sockets=[listener]), backend_options=options)
    thread = Thread(target=run)
    thread.start()
    try:
        yield served
    finally:
        for client in served.clients:
            client.close()
        served.server.should_exit = True
        thread.join()


@pytest.fixture
def quick(serve: Serve) -> Served:
    """A server that loses its limits at once."""
    return serve(QUICK)


@pytest.fixture
def calm(serve: Serve) -> Served:
    """A server with the limits of life: what ends within a test is not ended by a deadline."""
    return serve(ClientLimits())


async def test_a_connection_that_says_nothing_is_closed(quick: Served) -> None:
    """Opening them costs a stranger nothing, and each takes a file of ours."""
    assert await (await quick.connect()).rest() == b""


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(quick: Served) -> None:
    """The deadline is for the whole head; a byte now and then does not put it off."""
    client = await quick.connect(b"GET /length HTTP/1.1\r\nHost: a\r\nX: ")
    assert await client.dribble(b"x") == b""
    assert quick.seen == []


async def test_half_a_request_on_a_kept_connection_is_not_waited_for(quick: Served) -> None:
    """uvicorn cancels its keep-alive timer at the first byte."""
    client = await quick.connect(GET)
    await client.answer(b"<0>")
    await client.send(GET[:20])
    assert await client.rest() == b""


async def test_blank_lines_between_requests_keep_no_connection(quick: Served) -> None:
    """httptools skips them, and each cancels the keep-alive timer."""
    client = await quick.connect(GET)
    await client.answer(b"<0>")
    assert b"200" not in await client.dribble(b"\r\n")


async def test_a_connection_whose_body_came_after_the_answer_is_closed_when_idle(quick: Served) -> None:
    """uvicorn's keep-alive timer was cancelled by the body and is not started again."""
    client = await quick.connect(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
    await client.answer(b"<no>")
    await client.send(b"late")
    assert await client.rest() == b""


async def test_a_body_that_comes_too_slowly_is_answered_with_408(quick: Served) -> None:
    """And the app, which waits for it, learns that it will not come."""
    client = await quick.connect(POST + b"Content-Length: 100000\r\n\r\n")
    assert (await client.dribble(b"x")).startswith(b"HTTP/1.1 408 ")
    await quick.saw("left")


async def test_a_pipelined_head_without_its_body_is_not_waited_for(quick: Served) -> None:
    """It is parsed when the answer before it is complete, when no data comes that could start a deadline."""
    client = await quick.connect(GET + POST + b"Content-Length: 1\r\n\r\n")
    assert b"HTTP/1.1 408 " in await client.rest()


async def test_an_endless_body_after_an_early_answer_is_cut(quick: Served) -> None:
    """Who was refused with 401 or 413 may not go on sending for ever."""
    client = await quick.connect(b"POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    came = await client.dribble(b"5\r\nhello\r\n")
    assert came.startswith(b"HTTP/1.1 401 ")
    assert came.count(b"HTTP/1.1") == 1


async def test_an_endless_trailer_is_cut(calm: Served) -> None:
    """It is no body, and the parser of httptools would keep all of it."""
    client = await calm.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ")
    assert b"200" not in await client.dribble(b"x" * 10_000)


async def test_trailers_are_no_headers(calm: Served) -> None:
    """A proxy cuts what it trusts from the headers alone; uvicorn adds the trailers to them with httptools."""
    client = await calm.connect(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: x\r\n\r\n")
    assert (await client.answer(b"<0>")).startswith(b"HTTP/1.1 200 ")
    assert calm.seen == ["/length 2"]


async def test_blanks_around_what_a_header_says_are_none_of_it(calm: Served) -> None:
    """Clients may put them there (RFC 9110, 5.5), and what is compared with a body or a list would not match."""
    client = await calm.connect(b"GET /header HTTP/1.1\r\nHost: a\r\nX: \t a b \t \r\n\r\n")
    await client.answer(b"<a b>")


async def test_a_client_that_does_not_read_a_stream_is_let_go(quick: Served) -> None:
    """The app hears of a disconnect and ends, instead of waiting for room."""
    await quick.connect(GET.replace(b"length", b"flooding"), receive_buffer=4096)
    await quick.saw("flooding")
    await quick.saw("left")
    await quick.forgot_everybody()


async def test_a_client_that_leaves_without_having_read_leaves_no_timer(calm: Served) -> None:
    """The deadline for reading would hold the connection for another minute."""
    client = await calm.connect(GET.replace(b"length", b"flooding"), receive_buffer=4096)
    await calm.saw("flooding")
    await anyio.sleep(0.05)
    client.close()
    await calm.forgot_everybody()


async def test_a_client_that_does_not_read_a_short_answer_is_let_go(quick: Served) -> None:
    """uvicorn has closed the connection then, but a transport waits for ever to be rid of what it still has."""
    await quick.connect(GET.replace(b"length", b"heavy"), receive_buffer=4096)
    await until(lambda: quick.server.server_state.total_requests == 1)
    await quick.forgot_everybody()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000, id="endless-header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 200_000, id="endless-headers"),
        pytest.param(b"GET /" + b"x" * 1_000_000, id="endless-path"),
    ],
)
async def test_a_head_of_a_megabyte_is_not_read_to_its_end(calm: Served, head: bytes) -> None:
    """It would be kept in memory; the connection may be reset before the answer is read."""
    client = await calm.connect()
    with suppress(ConnectionError):
        await client.send(head)
    came = await client.rest()
    assert came == b"" or came.startswith(b"HTTP/1.1 431 ")
    await calm.forgot_everybody()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /length HTTP/1.1\r\nHost: a\r\n" + b"X: x\r\n" * 1000 + b"\r\n", id="headers"),
        pytest.param(b"GET /length HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", id="header"),
        pytest.param(b"GET /length?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", id="path"),
    ],
)
async def test_a_head_that_is_too_large_is_answered_with_431(calm: Served, head: bytes) -> None:
    """Also when it comes in one piece, which h11 lets pass."""
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
async def test_a_body_whose_end_is_disputed_is_refused(calm: Served, framing: bytes) -> None:
    """What one takes for a body another takes for a request: that is how requests are smuggled past a proxy."""
    came = await (await calm.connect(POST + framing + b"\r\n\r\n0\r\n\r\n" + GET)).rest()
    assert came.startswith(b"HTTP/1.1 400 ")
    assert came.count(b"HTTP/1.1") == 1
    assert calm.seen == []


async def test_equal_lengths_are_one_length_or_none(calm: Served) -> None:
    """h11 reads them as one, as RFC 9112 allows; httptools refuses."""
    twice = b"Content-Length: %d\r\n" % len(GET) * 2
    came = await (await calm.connect(POST + b"Connection: close\r\n" + twice + b"\r\n" + GET)).rest()
    assert came.startswith(b"HTTP/1.1 400 ") or came.endswith(b"<%d>" % len(GET))
    assert came.count(b"HTTP/1.1") == 1


async def test_a_body_after_an_upgrade_is_never_a_request(calm: Served) -> None:
    """httptools ends such a request with its head, and would parse the body as the next one."""
    upgrade = b"Connection: close, Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(GET)
    client = await calm.connect(POST + upgrade)
    await client.send(GET)
    came = await client.rest()
    assert came.startswith(b"HTTP/1.1 400 ") or came.endswith(b"<%d>" % len(GET))
    assert came.count(b"HTTP/1.1") == 1


async def test_a_websocket_is_not_spoken(calm: Served) -> None:
    """It would have no deadlines; the request is served as what else it is."""
    wanted = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"
    client = await calm.connect(GET[:-2] + wanted)
    assert (await client.answer(b"<0>")).startswith(b"HTTP/1.1 200 ")


async def test_nothing_is_said_into_an_answer_that_has_begun(calm: Served) -> None:
    """What follows then is no HTTP; uvicorn would fail in h11's state machine, or send a second answer."""
    client = await calm.connect(
        b"POST /flooding HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", receive_buffer=4096
    )
    await calm.saw("flooding")
    await client.send(b"this is no chunk\r\n")
    assert (await client.rest()).count(b"HTTP/1.1") == 1
    await calm.saw("left")


async def test_pipelined_requests_are_answered_in_turn(quick: Served) -> None:
    """Few send them, but they are HTTP."""
    body = POST + b"Content-Length: %d\r\n\r\n%s"
    client = await quick.connect(GET + body % (2, b"22") + body % (3, b"333"))
    came = await client.answer(b"<3>")
    assert came.count(b"HTTP/1.1 200 ") == 3
    assert came.index(b"<0>") < came.index(b"<2>") < came.index(b"<3>")


@pytest.mark.parametrize("serve", [(ClientTimeoutsHttpTools, False)], ids=["httptools"], indirect=True)
async def test_thousands_of_pipelined_requests_do_not_wait_in_memory(calm: Served) -> None:
    """A single read brings that many, and httptools makes objects of all; h11 keeps the bytes."""
    client = await calm.connect(GET.replace(b"length", b"waiting") + GET * 2_000)
    assert await client.rest() == b""
    await calm.saw("left")
    await calm.forgot_everybody()
    assert calm.seen == ["waiting", "left"]


async def test_a_request_hears_of_the_disconnect_though_another_came_after_it(calm: Served) -> None:
    """uvicorn tells the last one that it has parsed, and the one that is being served would wait for ever."""
    client = await calm.connect(GET.replace(b"length", b"waiting") + GET)
    await calm.saw("waiting")
    client.close()
    await calm.saw("left")
    await calm.forgot_everybody()


async def test_a_stream_that_is_read_outlasts_every_deadline(quick: Served) -> None:
    """Server-sent events are open for hours."""
    client = await quick.connect(GET.replace(b"length", b"events"))
    assert (await client.answer(b"0\r\n\r\n")).count(b"data: ") == TICKS


async def test_a_stream_outlasts_the_deadline_of_a_request_behind_it(quick: Served) -> None:
    """A pipelined one is not received before its turn, and its deadline begins then."""
    half = POST + b"Content-Length: 100\r\n\r\n1"
    came = await (await quick.connect(GET.replace(b"length", b"events") + half)).rest()
    assert came.count(b"data: ") == TICKS
    assert came.count(b"HTTP/1.1 408 ") == 1


async def test_a_stream_that_is_read_slowly_goes_on(serve: Serve) -> None:
    """Each write waits for the client, and each time anew."""
    served = serve(replace(QUICK, stalled_seconds=0.5))
    client = await served.connect(GET.replace(b"length", b"flooding"), receive_buffer=4096)
    with anyio.move_on_after(1):
        while True:
            assert await client.receive()
    assert served.seen == ["flooding"]


async def test_a_kept_connection_may_rest_between_requests(quick: Served) -> None:
    """As long as uvicorn keeps it; the deadline begins with the first byte."""
    client = await quick.connect(GET)
    await client.answer(b"<0>")
    await anyio.sleep(QUICK.head_seconds * 2)
    await client.send(GET)
    await client.answer(b"<0>")


async def test_a_long_head_may_come_in_pieces(calm: Served) -> None:
    """The bound is the same for every protocol, and more than h11's own."""
    client = await calm.connect(GET[:-2] + b"X: " + b"x" * 25_000)
    await anyio.sleep(0.05)
    await client.send(b"x\r\n\r\n")
    await client.answer(b"<0>")


async def test_a_client_with_a_bad_line_is_served(calm: Served) -> None:
    """Slow and honest is no crime."""
    client = await calm.connect()
    request = POST + b"Content-Length: 30\r\n\r\n" + b"x" * 30
    for start in range(0, len(request), 5):
        await client.send(request[start : start + 5])
        await anyio.sleep(0.01)
    await client.answer(b"<30>")


async def test_a_client_is_not_blamed_while_the_app_does_not_read(quick: Served) -> None:
    """We have paused the connection then, and its deadline would be ours."""
    size = 3_000_000
    client = await quick.connect(b"POST /slow_to_ask HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    await client.send(bytes(size))
    await client.answer(b"<%d>" % size)


@pytest.mark.parametrize("path", [b"length", b"slow_to_ask"], ids=["at-once", "later"])
async def test_a_client_that_waits_to_be_asked_is_asked(quick: Served, path: bytes) -> None:
    """`Expect: 100-continue`: until the app wants the body, the client does right not to send it."""
    client = await quick.connect(POST.replace(b"length", path) + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    await client.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
    await client.send(b"hello")
    await client.answer(b"<5>")


def as_many_as_may_be(connections: int) -> int:
    """Fewer where a process may open few files; each connection takes two of this one."""
    if sys.platform == "win32":
        return connections
    import resource

    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if most == resource.RLIM_INFINITY else min(connections, most // 4)


async def test_hundreds_of_half_open_connections_leave_nothing_behind(quick: Served) -> None:
    """No task, no timer, no set that grows: nothing holds their protocols, and the next client is served."""
    halves = (b"", GET[:9], POST + b"Content-Length: 9\r\n\r\n1", GET + GET[:9], GET)
    for number in range(as_many_as_may_be(500)):
        await quick.connect(halves[number % len(halves)])
    for client in quick.clients:
        await client.rest()
        client.close()
    await quick.forgot_everybody()
    await (await quick.connect(GET)).answer(b"<0>")


async def test_uvicorn_still_has_what_is_used_of_it(calm: Served) -> None:
    """These are no public interface; a version without them must not be taken in silence."""
    client = await calm.connect(GET)
    await client.answer(b"<0>")
    (connection,) = calm.protocols
    used = {*UvicornProtocol.__annotations__, "on_response_complete", "send_400_response"}
    assert used <= set(dir(connection))
    used = {"disconnected", "message_event", "response_complete", "response_started", "waiting_for_100_continue"}
    assert used <= set(dir(connection.cycle))


def test_the_faster_protocol_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; without it the server runs as well."""
    assert protocol() is ClientTimeoutsHttpTools
    monkeypatch.setitem(sys.modules, ClientTimeoutsHttpTools.__module__, None)
    assert protocol() is ClientTimeoutsH11


def test_the_faster_loop_is_used_where_it_is_installed() -> None:
    """There is none for Windows."""

    async def loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    used = anyio.run(loop, backend_options=event_loop_options())
    assert used.startswith("uvloop") == (sys.platform != "win32")
