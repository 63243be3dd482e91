"""How a server is reached: stdio for hosts that start it, HTTP on loopback for those that connect."""

import signal
from typing import Literal

import anyio
import uvicorn

from agentphone_mcp.server import AgentPhoneServer

TransportName = Literal["stdio", "streamable-http", "sse"]
LOOPBACK = "127.0.0.1"


def serve(server: AgentPhoneServer, transport: TransportName, port: int) -> None:
    """Serve until the host goes away or the process is told to stop.

    Over HTTP the address is loopback, where the SDK checks Host and Origin headers by itself (DNS rebinding).
    """
    if transport == "stdio":
        # Python would wait for the thread that reads stdin, which a terminal never closes: Ctrl+C would do nothing.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        server.run("stdio")
        return
    app = server.sse_app(host=LOOPBACK) if transport == "sse" else server.streamable_http_app(host=LOOPBACK)
    # Without its own logging, uvicorn's lines pass our formatter, which cuts the key out.
    config = uvicorn.Config(app, host=LOOPBACK, port=port, log_config=None, access_log=False)
    anyio.run(uvicorn.Server(config).serve)
