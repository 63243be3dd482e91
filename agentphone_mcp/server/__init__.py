"""The MCP server: one for many accounts, over stdio or HTTP."""
