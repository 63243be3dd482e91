"""Start our server as the SDK alone does: without the command and without early answers."""

import os

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.config import Config, read_cache
from agentphone_mcp.policy.access import OPERATOR
from agentphone_mcp.server.server import create_server
from agentphone_mcp.server.stdio.precomputed import PrecomputedSurface
from agentphone_mcp.server.stdio.surface import load


def differs(method: str) -> None:
    """Report a difference from the precomputed surface."""
    raise AssertionError(f"{method} is answered otherwise than is known: regenerate the golden files")


if __name__ == "__main__":
    told = os.environ
    key, url = ApiKey(told["AGENTPHONE_API_KEY"]), told["AGENTPHONE_BASE_URL"]
    config = Config(api_key=key, base_url=url, ledger_location=told["AGENTPHONE_STATE"])
    surface = load(config.toolsets, OPERATOR.scope, cache=read_cache())
    # Everything that the command does to be fast, but for the answers that come before the SDK.
    create_server(config, precomputed=surface and PrecomputedSurface(surface, differs)).run("stdio")
