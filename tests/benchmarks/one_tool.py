"""Be the floor of starts and calls: a bare SDK server with one tool that does nothing."""

import sys

from mcp.server.mcpserver import MCPServer


def nothing() -> str:
    """Do nothing."""
    return "nothing"


def one_tool_server() -> MCPServer:
    """Make the server."""
    server = MCPServer("one-tool", log_level="WARNING")
    server.tool()(nothing)
    return server


def serve(server: MCPServer, transport: str) -> None:
    """Serve over stdio or HTTP; over HTTP print the address on stderr."""
    if transport == "stdio":
        server.run("stdio")
        return
    # Over stdio it would pay for what it does not need.
    import asyncio
    import socket

    import uvicorn

    listener = socket.socket(proto=socket.IPPROTO_TCP)  # named, so that asyncio switches Nagle's delay off
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    app, path = (server.sse_app(), "sse") if transport == "sse" else (server.streamable_http_app(), "mcp")
    sys.stderr.write(f"Serving on http://127.0.0.1:{listener.getsockname()[1]}/{path}\n")
    sys.stderr.flush()
    # A stream that is open would hold the end up.
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    serve(one_tool_server(), sys.argv[1] if sys.argv[1:] else "stdio")
