"""Implement the server features that a client sees: tools, resources, prompts and completion."""
