"""Our server as the SDK alone starts it: without the command, and without whatever answers before the SDK can."""

import os

from agentphone_mcp.api.key import ApiKey
from agentphone_mcp.config import Config
from agentphone_mcp.server import create_server

if __name__ == "__main__":
    told = os.environ
    key, url = ApiKey(told["AGENTPHONE_API_KEY"]), told["AGENTPHONE_BASE_URL"]
    create_server(Config(api_key=key, base_url=url, state=told["AGENTPHONE_STATE"])).run("stdio")
