"""Start a server over stdio as a host does, and count its tools: `python .ci/list_tools.py COMMAND…`."""

import os
import sys

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

PATIENCE = 120
"""Seconds for a command that fetches packages first."""


async def main(command: str, *arguments: str) -> None:
    """Exit with an error if the server does not answer or has no tools."""
    with anyio.fail_after(PATIENCE):
        server = StdioServerParameters(command=command, args=list(arguments), env=dict(os.environ))
        async with Client(server) as client:
            told, tools = client.server_info, (await client.list_tools()).tools
    if not tools:
        sys.exit("it has no tools")
    print(f"{told.name} {told.version} answers with {len(tools)} tools")


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
