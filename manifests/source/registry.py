"""server.json: what the MCP registry says of the server, for clients that install it from there."""

from typing import Any

from manifests.source.project import DESCRIPTION, NAME, TITLE, VERSION
from manifests.source.variables import TRANSPORT, is_over_http, variables

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
REGISTRY_NAME = "io.github.agentphone-mcp/agentphone-mcp"
"""The README has it too, by which the registry knows that the package agrees."""


def server() -> dict[str, Any]:
    """The whole entry: the package over stdio, and the same as a server of one's own over HTTP."""
    over_stdio = [variable for variable in variables() if not is_over_http(variable["name"])]
    return {
        "$schema": SCHEMA,
        "name": REGISTRY_NAME,
        "title": TITLE,
        "description": DESCRIPTION,
        "version": VERSION,
        "packages": [
            _package({"type": "stdio"}, over_stdio),
            _package(
                {"type": "streamable-http", "url": "http://127.0.0.1:{AGENTPHONE_PORT}/mcp"},
                [{"name": TRANSPORT, "description": "How it is reached.", "value": "streamable-http"}, *variables()],
            ),
        ],
    }


def _package(transport: dict[str, str], told: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "registryType": "pypi",
        "identifier": NAME,
        "version": VERSION,
        "runtimeHint": "uvx",
        "transport": transport,
        "environmentVariables": told,
    }
