"""Limit the sessions, requests and bytes of each caller, over real sockets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.policy.access import OPERATOR
from agentphone_mcp.server.http.auth.base import LoopbackAuth
from agentphone_mcp.server.http.middleware.admission import AdmissionMiddleware
from agentphone_mcp.server.http.middleware.concurrency import ConcurrencyLimiter
from tests.server.http.middleware.requests import ALICE, BOB, LIST, bearer_headers, open_session, web
from tests.support import HELLO


async def append(progress: list[Any]) -> None:
    progress.append(None)


@asynccontextmanager
async def on_the_phone(hosting: Any, tokens: Any, dial: Any, mode: str) -> AsyncGenerator[tuple[Any, Any, str]]:
    """Connect Alice and Bob to one server, and give them with the id of a long call that Alice has placed."""
    arguments = {"agent_id": "agt_frontdesk", "to_number": "+14155550109", "confirm": True}
    async with (
        hosting(tokens) as url,
        dial(url, bearer_headers(ALICE), mode=mode) as alice,
        dial(url, bearer_headers(BOB), mode=mode) as bob,
    ):
        yield alice, bob, (await alice.call_tool("place_call", arguments)).structured_content["result"]["id"]


async def test_sessions_are_limited_for_each_caller(hosting, tokens) -> None:
    async with hosting(tokens) as url, web() as http:
        sessions = [await open_session(http, url, ALICE) for _ in range(3)]
        assert (await open_session(http, url, ALICE)).status_code == 503
        assert (await open_session(http, url, BOB)).status_code == 200
        first = {"Mcp-Session-Id": sessions[0].headers["Mcp-Session-Id"]}
        await http.request("DELETE", f"{url}/mcp", headers=bearer_headers(ALICE) | first)
        assert (await open_session(http, url, ALICE)).status_code == 200


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
async def test_requests_under_way_are_limited_for_each_caller(hosting, tokens, dial, eventually, mode: str) -> None:
    async with on_the_phone(hosting, tokens, dial, mode) as (alice, bob, call_id):
        progress: list[Any] = []
        following = [
            asyncio.create_task(
                alice.call_tool("wait_for_call", {"call_id": call_id}, progress_callback=lambda *_: append(progress))
            )
            for _ in range(4)
        ]
        await eventually(lambda: len(progress) >= 4)
        refused = await alice.call_tool("list_agents", {})
        assert not (await bob.call_tool("list_agents", {})).is_error
        await asyncio.gather(*following)
        assert not (await alice.call_tool("list_agents", {})).is_error
    assert refused.is_error
    assert "4 requests of yours are under way" in refused.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
async def test_bytes_of_requests_under_way_are_limited_for_each_caller(
    hosting, tokens, dial, eventually, monkeypatch, mode: str
) -> None:
    monkeypatch.setattr("agentphone_mcp.server.http.middleware.concurrency._MOST_BYTES", 100_000)
    large: Any = {"example.com/long": "x" * 90_000}
    async with on_the_phone(hosting, tokens, dial, mode) as (alice, bob, call_id):
        progress: list[Any] = []
        following = asyncio.create_task(
            alice.call_tool(
                "wait_for_call", {"call_id": call_id}, progress_callback=lambda *_: append(progress), meta=large
            )
        )
        await eventually(lambda: bool(progress))
        refused = await alice.call_tool("list_agents", {}, meta=large)
        assert not (await alice.call_tool("list_agents", {})).is_error
        assert not (await bob.call_tool("list_agents", {}, meta=large)).is_error
        await alice.call_tool("end_call", {"call_id": call_id})
        await following
        assert not (await alice.call_tool("list_agents", {}, meta=large)).is_error
    assert refused.is_error
    assert "too large together" in refused.content[0].text


async def test_a_long_client_info_is_refused(hosting, tokens) -> None:
    """The SDK would keep it for half an hour, a hundred times for each caller."""
    named = {"name": "x" * 70_000, "version": "1"}
    long = HELLO | {"params": HELLO["params"] | {"clientInfo": named}}
    async with hosting(tokens) as url, web() as http:
        refused = await http.post(f"{url}/mcp", json=long, headers=bearer_headers(ALICE))
        session = {"Mcp-Session-Id": refused.headers["Mcp-Session-Id"]}
        listed = await http.post(f"{url}/mcp", json=LIST, headers=bearer_headers(ALICE) | session)
    assert "has to be shorter than 65536 bytes" in refused.text
    assert '"error"' in listed.text


@pytest.mark.parametrize("levels", [300, 900, 960, 980], ids=lambda levels: f"{levels}-levels")
async def test_deeply_nested_json_is_refused_without_a_traceback(hosting, tokens, caplog, levels: int) -> None:
    """JSON that can just be parsed may be too deep for the code that walks through it afterwards."""
    deep = "[" * levels + "]" * levels
    envelope = '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}'
    body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{{envelope},"x/y":{deep}}}}}}}'
    modern = {"Content-Type": "application/json", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
    async with hosting(tokens) as url, web() as http:
        answer = await http.post(f"{url}/mcp", content=body, headers=bearer_headers(BOB) | modern)
    assert answer.status_code in (200, 400)
    assert "Traceback" not in caplog.text


async def test_an_idle_session_ends(hosting, tokens, eventually) -> None:
    settings = HttpSettings(auth="token", tokens_file=tokens.tokens_file, max_sessions=1, idle_timeout=0.2)
    async with hosting(settings) as url, web() as http:
        session = {"Mcp-Session-Id": (await open_session(http, url, ALICE)).headers["Mcp-Session-Id"]}

        async def is_free() -> bool:
            return (await open_session(http, url, ALICE)).status_code == 200

        await eventually(is_free)
        assert (await http.post(f"{url}/mcp", json=LIST, headers=bearer_headers(ALICE) | session)).status_code == 404


async def test_a_long_body_is_answered_with_413(hosting, tokens) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(300):
            yield b" " * 1024

    async with hosting(tokens) as url, web() as http:
        for body in (b" " * 300_000, endless()):
            kind = {"Content-Type": "application/json"}
            answer = await http.post(f"{url}/mcp", content=body, headers=bearer_headers(ALICE) | kind)
            assert answer.status_code == 413


async def test_refusals_for_load_and_shutdown_have_retry_after() -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await done.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    admission = AdmissionMiddleware(
        LoopbackAuth(),
        {OPERATOR.scope: app},
        limiter=ConcurrencyLimiter({"http_requests": 1, "streams": 1}),
        idle_timeout=60,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(admission), base_url="http://admission") as http:
        first = asyncio.create_task(http.post("/mcp"))
        await begun.wait()
        refused = [await http.post("/mcp")]
        admission.is_closed = True
        refused.append(await http.post("/mcp"))
        done.set()
        assert (await first).status_code == 200
    assert [answer.status_code for answer in refused] == [429, 503]
    assert all(answer.headers["Retry-After"] for answer in refused)
