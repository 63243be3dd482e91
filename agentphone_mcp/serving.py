"""How a host reaches the server that it starts: over stdio."""

import anyio

from agentphone_mcp.forerunner.session import Forerunner
from agentphone_mcp.server import AgentPhoneServer


def serve_stdio(server: AgentPhoneServer, ahead: Forerunner | None) -> None:
    """Serve until the host goes away or the process is told to stop.

    Args:
        server: whoever answers.
        ahead: has read, and answered, what the host said so far; None where nobody has.
    """
    anyio.run(server.run_over, ahead)
