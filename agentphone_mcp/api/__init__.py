"""The AgentPhone REST API as typed Python: it knows HTTP and knows nothing of MCP."""
