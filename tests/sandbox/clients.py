"""Clients of a sandbox that have its key, unless they are given other headers."""

from typing import Any

import httpx

from agentphone_mcp.sandbox import Sandbox


def bearer(sandbox: Sandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.key}"}


def in_process(sandbox: Sandbox, **settings: Any) -> httpx.AsyncClient:
    defaults = {"base_url": "http://127.0.0.1", "headers": bearer(sandbox)}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=sandbox.app), **defaults | settings)


def over_http(sandbox: Sandbox) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=sandbox.url, headers=bearer(sandbox), trust_env=False, timeout=60)
