"""Measure what the extra `fast` gains and the timeouts cost: `python tests/benchmarks/web_server.py`.

Each of uvicorn's protocols serves the smallest app, bare and with timeouts, each in a process of its own. Over 32
connections that are kept they are asked in turn, some rounds of a second each, in one run; the medians count. What a
request takes of the server's processor says more than requests a second where the asking takes a processor too.
"""

import asyncio
import multiprocessing
import socket
import statistics
from functools import partial
from multiprocessing.connection import Connection
from threading import Thread
from time import perf_counter, process_time

import anyio
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agentphone_mcp.server.http.serve import event_loop_options
from agentphone_mcp.system.http.timeouts_h11 import ClientTimeoutsH11
from agentphone_mcp.system.http.timeouts_httptools import ClientTimeoutsHttpTools

CONNECTIONS = 32
ROUNDS = 7
SECONDS = 1.0
REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Length: 2\r\n\r\n{}"
BODY = b'{"jsonrpc":"2.0","id":1,"result":{}}'
# What serves, the loop under it, and whether slow clients time out.
SERVERS: dict[str, tuple[type[asyncio.Protocol], bool]] = {
    "h11 on asyncio": (H11Protocol, False),
    "h11 on asyncio, timeouts": (ClientTimeoutsH11, False),
    "httptools on asyncio": (HttpToolsProtocol, False),
    "httptools on asyncio, timeouts": (ClientTimeoutsHttpTools, False),
    "httptools on uvloop": (HttpToolsProtocol, True),
    "httptools on uvloop, timeouts": (ClientTimeoutsHttpTools, True),
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and send a fixed answer."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def serve(name: str, told: Connection) -> None:
    """Serve in this process until it is killed."""
    kind, use_uvloop = SERVERS[name]
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    told.send(listener.getsockname()[1])
    Thread(target=tell_time, args=(told,), daemon=True).start()
    config = uvicorn.Config(app, http=kind, lifespan="off", log_config=None, access_log=False)
    run = partial(uvicorn.Server(config).serve, sockets=[listener])
    anyio.run(run, backend_options={"use_uvloop": use_uvloop})


def tell_time(told: Connection) -> None:
    """Print this process's CPU time when asked."""
    while told.recv():
        told.send(process_time())


def time_of(server: Connection) -> float:
    """Return a server's CPU time."""
    server.send(True)
    return server.recv()


class Asker(asyncio.Protocol):
    """Send the next request as soon as the last was answered."""

    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Send another request when the answer is complete."""
        if data.endswith(BODY):
            self.answered += 1
            self._transport.write(REQUEST)


async def measure(port: int, server: Connection) -> tuple[float, float]:
    """Measure requests a second over all connections, and the server's microseconds for each."""
    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(Asker, "127.0.0.1", port) for _ in range(CONNECTIONS)]
    await asyncio.sleep(SECONDS / 5)
    before, started, time = sum(asker.answered for _, asker in pairs), perf_counter(), time_of(server)
    await asyncio.sleep(SECONDS)
    answered = sum(asker.answered for _, asker in pairs) - before
    rate, each = answered / (perf_counter() - started), (time_of(server) - time) / answered
    for transport, _ in pairs:
        transport.abort()
    return rate, each * 1_000_000


def main() -> None:
    """Measure all servers in turn."""
    context = multiprocessing.get_context("spawn")
    servers: dict[str, tuple[int, Connection]] = {}
    processes = []
    for name in SERVERS:
        here, there = context.Pipe()
        processes.append(context.Process(target=serve, args=(name, there)))
        processes[-1].start()
        servers[name] = here.recv(), here
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in SERVERS}
    for _ in range(ROUNDS):
        for name, server in servers.items():
            rounds[name].append(anyio.run(measure, *server, backend_options=event_loop_options()))
    for process in processes:
        process.terminate()
        process.join()
    medians = {name: tuple(map(statistics.median, zip(*found, strict=True))) for name, found in rounds.items()}
    (_, slowest), *_ = medians.values()
    for name, (rate, each) in medians.items():
        _, bare = medians[name.removesuffix(", timeouts")]
        print(
            f"{name:31} {rate:7.0f} requests/s {each:6.1f} µs each, {slowest / each:4.2f} times as fast as h11", end=""
        )
        print("" if each == bare else f", {each / bare:.2f} of the bare one's time")


if __name__ == "__main__":
    main()
