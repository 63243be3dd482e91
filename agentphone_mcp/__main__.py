"""`python -m agentphone_mcp` is the same command as `agentphone-mcp`."""

from agentphone_mcp.cli import main

main()
