"""What the model sees: one module for each toolset, named as its resource in `agentphone_mcp.api`."""
