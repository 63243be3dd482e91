"""The programs that an assistant lives in: where each keeps its MCP servers, and how ours is entered there."""
