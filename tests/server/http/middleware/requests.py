"""Requests of two callers with bearer tokens, Alice and Bob."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from agentphone_mcp.config.http import HttpSettings
from tests.support import HELLO

ALICE, BOB = "apmcp_alice_0123456789abcdef", "apmcp_bob_0123456789abcdef"
ACCEPT = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def bearer_headers(token: str) -> dict[str, str]:
    return ACCEPT | {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def web() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        yield client


async def open_session(http: httpx.AsyncClient, url: str, token: str) -> httpx.Response:
    return await http.post(f"{url}/mcp", json=HELLO, headers=bearer_headers(token))


def edit_tokens(tokens: HttpSettings, old: str, new: str) -> None:
    file = Path(tokens.tokens_file)
    file.write_text(file.read_text().replace(old, new))
