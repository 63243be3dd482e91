"""Choose the HTTP protocol of a server: uvicorn's fastest that is installed, with time limits for clients."""

from dataclasses import replace

from agentphone_mcp.system.http.timeouts import ClientTimeouts


def bounded_protocol(connections: int) -> type[ClientTimeouts]:
    """Return the fastest installed protocol with at most so many connections, for `uvicorn.Config(http=...)`."""
    fastest = protocol()
    return type(fastest.__name__, (fastest,), {"limits": replace(fastest.limits, connections=connections)})


def protocol() -> type[ClientTimeouts]:
    """Return the fastest installed protocol."""
    try:
        from agentphone_mcp.system.http.timeouts_httptools import ClientTimeoutsHttpTools
    except ImportError:
        from agentphone_mcp.system.http.timeouts_h11 import ClientTimeoutsH11

        return ClientTimeoutsH11
    return ClientTimeoutsHttpTools
