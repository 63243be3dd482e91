"""A telephone for AI assistants: an MCP server over the AgentPhone telephony API."""

__version__ = "0.1.0"
