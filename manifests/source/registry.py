"""Generate server.json, the server's entry in the MCP registry."""

from typing import Any

from manifests.source.project import DESCRIPTION, NAME, TITLE, VERSION
from manifests.source.variables import TRANSPORT, is_over_http, variables

SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
REGISTRY_NAME = "io.github.agentphone-mcp/agentphone-mcp"
"""Stands in the README too, by which the registry verifies who owns the package."""


def server() -> dict[str, Any]:
    """Generate the whole entry: the package over stdio, and over HTTP for a self-hosted server."""
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
