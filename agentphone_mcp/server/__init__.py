"""Serve MCP for many accounts, over stdio or HTTP."""
