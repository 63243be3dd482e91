"""What many tests use: where the repository is, how the command is started, a key that opens nothing."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The repository."""

COMMAND = [sys.executable, "-m", "agentphone_mcp"]
"""The command, as a process of this Python."""

PATIENCE = 60
"""Seconds for what takes a moment, on whichever machine."""

LIVE_KEY = "sk_live_not_a_real_key_0042"
"""Has the form of a key, and opens no account."""

HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "tëst", "version": "1"}},
}
"""The request that begins a session of the old era, and the notification that ends the handshake."""
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def clean_environment(**variables: str) -> dict[str, str]:
    """Copy the environment without our variables and OpenTelemetry's, for this checkout, and add `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTPHONE_", "OTEL_"))}
    return kept | {"PYTHONPATH": str(ROOT)} | variables
