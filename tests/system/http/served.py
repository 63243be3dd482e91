"""Serve an app on one of the protocols in a thread, and connect clients that misbehave on purpose."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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

from agentphone_mcp.system.http.timeouts import ClientLimits, ClientTimeouts
from agentphone_mcp.system.http.timeouts_h11 import ClientTimeoutsH11
from agentphone_mcp.system.http.timeouts_httptools import ClientTimeoutsHttpTools
from tests.support import PATIENCE

H11 = pytest.param((ClientTimeoutsH11, False), id="h11")
HTTPTOOLS = pytest.param((ClientTimeoutsHttpTools, False), id="httptools")
UVLOOP = pytest.param((ClientTimeoutsHttpTools, True), id="uvloop")
WITH_UVLOOP = pytest.mark.parametrize("serve", [H11, HTTPTOOLS, UVLOOP], indirect=True)
"""For tests in which the event loop matters: it buffers, pauses and closes."""
QUICK = ClientLimits(head_seconds=0.4, body_seconds=0.4, stalled_seconds=0.4)
KEPT_SECONDS = 2
GET = b"GET /length HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /length HTTP/1.1\r\nHost: a\r\n"
TICKS = 8


class Client:
    """Reads only when told to, so that the rest waits in the socket."""

    def __init__(self, port: int, receive_buffer: int | None) -> None:
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)

    async def send(self, data: bytes) -> None:
        with anyio.fail_after(PATIENCE):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        with anyio.fail_after(PATIENCE):
            return await asyncio.get_running_loop().sock_recv(self._socket, 65_536)

    async def answer(self, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            part = await self.receive()
            assert part, f"closed after {data}"
            data += part
        return data

    async def rest(self) -> bytes:
        """Return everything until the server closes or, if it has not read all of ours, resets the connection."""
        data = b""
        with suppress(ConnectionError):
            while part := await self.receive():
                data += part
        return data

    async def dribble(self, piece: bytes) -> bytes:
        """Send a piece again and again until the server closes; return what it answered."""
        data: list[bytes] = []

        async def read() -> None:
            with suppress(ConnectionError):
                while part := await self.receive():
                    data.append(part)
            tasks.cancel_scope.cancel()

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                with suppress(ConnectionError):
                    while True:
                        await self.send(piece)
                        await anyio.sleep(0.02)
        return b"".join(data)

    def close(self) -> None:
        self._socket.close()


@dataclass
class Served:
    """A running server.

    Attributes:
        port: its port on loopback.
        seen: the requests that reached the app, and what became of those that lasted.
        received: how many bytes each read brought.
        protocols: the connections that anything still refers to.
        server: uvicorn's server.
        clients: the clients that connected.
    """

    port: int
    seen: list[str]
    received: list[int]
    protocols: WeakSet[ClientTimeouts]
    server: uvicorn.Server
    clients: list[Client] = field(default_factory=list)

    async def connect(self, sent: bytes = b"", receive_buffer: int | None = None) -> Client:
        """Connect a client and send something; it is closed with the server."""
        client = Client(self.port, receive_buffer)
        self.clients.append(client)
        await client.send(sent)
        return client

    async def has_seen(self, event: str) -> None:
        await until(lambda: event in self.seen)

    async def released_all_connections(self) -> None:
        """Wait until no connection is left, nor any task or timer that holds one."""
        await until(lambda: not self.server.server_state.connections and not self.server.server_state.tasks)
        await until(lambda: gc.collect() >= 0 and not self.protocols)


async def until(happened: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not happened():  # noqa: ASYNC110 - another thread's loop cannot set an event of ours
            await anyio.sleep(0.01)


class RecordingApp:
    """An app that records which requests reached it, and whose client left early."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        paths = [self.length, self.header, self.slow_to_ask, self.early, self.heavy, self.events]
        paths += [self.flooding, self.waiting]
        self.asgi = Starlette(routes=[Route(f"/{path.__name__}", path, methods=["GET", "POST"]) for path in paths])

    async def length(self, request: Request) -> Response:
        self.seen.append(f"{request.url.path} {len(request.headers)}")
        try:
            return PlainTextResponse(f"<{len(await request.body())}>")
        except ClientDisconnect:
            self.seen.append("left")
            raise

    async def header(self, request: Request) -> Response:
        return PlainTextResponse(f"<{request.headers['x']}>")

    async def slow_to_ask(self, request: Request) -> Response:
        """Answer likewise, but read the body only long after the deadline."""
        await anyio.sleep(QUICK.body_seconds * 2.5)
        return await self.length(request)

    async def early(self, _: Request) -> Response:
        """Refuse without reading the body."""
        return PlainTextResponse("<no>", 401)

    async def heavy(self, _: Request) -> Response:
        """Send less than makes asyncio pause a writer, and more than the socket buffers hold."""
        return PlainTextResponse("x" * 60_000)

    async def events(self, _: Request) -> Response:
        """Stream for longer than every deadline."""

        async def ticks() -> AsyncIterator[str]:
            for number in range(TICKS):
                yield f"data: {number}\n\n"
                await anyio.sleep(QUICK.head_seconds / 4)

        return StreamingResponse(ticks(), media_type="text/event-stream")

    async def flooding(self, _: Request) -> Response:
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
        self.seen.append("waiting")
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.seen.append("left")
        return Response()


Serve = Callable[[ClientLimits], Served]


@contextmanager
def serving(kind: type[ClientTimeouts], limits: ClientLimits, options: dict[str, bool]) -> Generator[Served]:
    protocols: WeakSet[ClientTimeouts] = WeakSet()

    class Watched(kind):
        """Records its reads, and stays in `protocols` for as long as anything refers to it."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            protocols.add(self)

        def data_received(self, data: bytes) -> None:
            served.received.append(len(data))
            super().data_received(data)

    Watched.limits = limits
    app = RecordingApp()
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    # Connections inherit this small buffer, so that unread data soon waits in uvicorn.
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
    served = Served(listener.getsockname()[1], app.seen, [], protocols, uvicorn.Server(config))
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
