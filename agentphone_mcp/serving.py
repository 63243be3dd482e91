"""How a server is reached: stdio for hosts that start it, HTTP on loopback for those that connect."""

import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Literal

import anyio
import uvicorn

from agentphone_mcp.server import AgentPhoneServer

TransportName = Literal["stdio", "streamable-http", "sse"]
LOOPBACK = "127.0.0.1"
_GRACE_SECONDS = 5
"""How long an open connection may go on after the server was told to stop."""


class CannotServe(OSError):
    """Nobody can listen there; the message is one sentence."""


def serve(server: AgentPhoneServer, transport: TransportName, port: int, say: Callable[[str], None]) -> None:
    """Serve until the host goes away or the process is told to stop.

    Over HTTP the address is loopback, where the SDK checks Host and Origin headers by itself (DNS rebinding).

    Args:
        server: what is served.
        transport: how.
        port: where, over HTTP; 0 for any that is free.
        say: tells whoever started the process where it is.

    Raises:
        CannotServe: if the port is taken.
    """
    if transport == "stdio":
        # Python would wait for the thread that reads stdin, which a terminal never closes: Ctrl+C would do nothing.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        server.run("stdio")
        return
    app, path = (server.sse_app(), "/sse") if transport == "sse" else (server.streamable_http_app(), "/mcp")
    with _listening(port) as listener:
        say(f"Serving on http://{LOOPBACK}:{listener.getsockname()[1]}{path}")
        # Without its own logging, uvicorn's lines pass our formatter, which cuts the key out.
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=_GRACE_SECONDS)
        anyio.run(partial(uvicorn.Server(config).serve, sockets=[listener]))


def _listening(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only where the protocol is named; clients wait 40 ms for an answer otherwise.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    if os.name == "posix":
        # Without it a port stays taken for a minute after a server has left it; on Windows it means another thing.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        # Whoever reads where it is served may connect at once, also before the web server is up.
        listener.listen()
    except OSError as taken:
        listener.close()
        raise CannotServe(f"cannot listen on {LOOPBACK}:{port}: {taken.strerror}") from taken
    return listener
