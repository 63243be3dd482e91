"""How a host reaches the server that it starts: over stdio."""

import signal

from agentphone_mcp.server import AgentPhoneServer


def serve_stdio(server: AgentPhoneServer) -> None:
    """Serve until the host goes away or the process is told to stop."""
    # Python would wait for the thread that reads stdin, which a terminal never closes: Ctrl+C would do nothing.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server.run("stdio")
