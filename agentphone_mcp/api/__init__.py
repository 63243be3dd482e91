"""Call the AgentPhone REST API as typed Python; nothing of MCP is known here."""
