"""How a server is reached: stdio for hosts that start it, HTTP on loopback for those that connect."""

from typing import Literal

from agentphone_mcp.server import AgentPhoneServer

TransportName = Literal["stdio", "streamable-http", "sse"]
LOOPBACK = "127.0.0.1"


def serve(server: AgentPhoneServer, transport: TransportName, port: int) -> None:
    """Serve until the host goes away or the process is told to stop.

    Over HTTP the address is loopback, where the SDK checks Host and Origin headers by itself (DNS rebinding).
    """
    match transport:
        case "stdio":
            server.run("stdio")
        case "streamable-http":
            server.run("streamable-http", host=LOOPBACK, port=port)
        case "sse":
            server.run("sse", host=LOOPBACK, port=port)
