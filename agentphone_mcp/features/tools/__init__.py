"""Define the tools that models call: one module for each toolset, named like its resource in `agentphone_mcp.api`."""
