"""Authenticate callers: by loopback, bearer tokens, their own AgentPhone keys, or JWTs."""
