"""Choose the HTTP protocol of a server: uvicorn's fastest that is installed, with time limits for clients."""

from agentphone_mcp.system.http.timeouts import ClientTimeouts


def protocol() -> type[ClientTimeouts]:
    """Return the fastest installed protocol, for `uvicorn.Config(http=...)`."""
    try:
        from agentphone_mcp.system.http.timeouts_httptools import ClientTimeoutsHttpTools
    except ImportError:
        from agentphone_mcp.system.http.timeouts_h11 import ClientTimeoutsH11

        return ClientTimeoutsH11
    return ClientTimeoutsHttpTools
