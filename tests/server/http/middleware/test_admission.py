"""Authenticate callers before the protocol, hold them to their scopes, and log them."""

import asyncio
import json
import logging

import pytest

from agentphone_mcp.config.http import HttpSettings
from tests.server.http.auth.tokens.tokens_file import sha256
from tests.server.http.middleware.requests import (
    ACCEPT,
    ALICE,
    BOB,
    LIST,
    bearer_headers,
    edit_tokens,
    open_session,
    web,
)

WRONG = [
    pytest.param([], id="none"),
    pytest.param([("Authorization", "Bearer apmcp_nobody_0123456789abc")], id="unknown"),
    pytest.param([("Authorization", "Bearer")], id="empty"),
    pytest.param([("Authorization", f"Basic {ALICE}")], id="another-scheme"),
    pytest.param([("Authorization", f"Bearer {ALICE}"), ("Authorization", f"Bearer {BOB}")], id="two"),
    pytest.param([("X-API-Key", ALICE)], id="another-header"),
    pytest.param([("Authorization", "Bearer " + "x" * 8000)], id="huge"),
]


@pytest.mark.parametrize("headers", WRONG)
async def test_all_invalid_credentials_get_the_same_answer(
    hosting, tokens, sandbox, headers: list[tuple[str, str]]
) -> None:
    async with hosting(tokens) as url, web() as http:
        plain = await http.post(f"{url}/mcp", json=LIST, headers=ACCEPT)
        answer = await http.post(f"{url}/mcp", json=LIST, headers=[*ACCEPT.items(), *headers])
    assert answer.status_code == plain.status_code == 401
    assert answer.text == plain.text
    assert answer.headers["WWW-Authenticate"] == plain.headers["WWW-Authenticate"]
    assert answer.json()["error"]["message"].endswith(".")
    assert answer.json()["id"] is None
    assert sandbox.requests == []


async def test_a_read_only_token_lists_only_tools_that_read(hosting, tokens, dial, sandbox) -> None:
    async with hosting(tokens) as url:
        async with dial(url, bearer_headers(ALICE)) as alice:
            all_tools = {tool.name for tool in (await alice.list_tools()).tools}
            all_prompts = {prompt.name for prompt in (await alice.list_prompts()).prompts}
        async with dial(url, bearer_headers(BOB)) as bob:
            listed = await bob.list_tools()
            tools = {tool.name for tool in listed.tools}
            prompts = {prompt.name for prompt in (await bob.list_prompts()).prompts}
            refused = await bob.call_tool("buy_number", {"confirm": True})
            read = await bob.call_tool("account_overview", {})
            instructions = bob.instructions or ""
    assert {"buy_number", "create_agent", "release_number"} <= all_tools - tools
    assert all(tool.annotations.read_only_hint for tool in listed.tools)
    assert prompts < all_prompts
    assert "buy_number" not in instructions
    assert refused.is_error
    assert "is not open to this connection" in refused.content[0].text
    assert not read.is_error
    assert [request.method for request in sandbox.requests if request.method != "GET"] == []


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
async def test_a_write_token_sets_a_webhook_but_replaces_none(hosting, tokens, dial, sandbox, mode: str) -> None:
    edit_tokens(tokens, 'scope = "read"', 'scope = "write"')
    mine, other = "https://example.com/mine", "https://example.com/other"
    async with (
        hosting(tokens) as url,
        dial(url, bearer_headers(BOB), mode=mode) as bob,
        dial(url, bearer_headers(ALICE)) as alice,
    ):
        assert not (await bob.call_tool("set_webhook", {"url": mine})).is_error
        for confirm in ({}, {"confirm": mine}):
            refused = await bob.call_tool("set_webhook", {"url": other} | confirm)
            assert refused.is_error
            assert "takes the scope spend, and this connection has write" in refused.content[0].text
        kept = await bob.call_tool("get_webhook", {})
        assert kept.structured_content["url"] == mine
        replaced = await alice.call_tool("set_webhook", {"url": other, "confirm": mine})
    assert replaced.structured_content["status"] == "done"
    assert [request.method for request in sandbox.requests if request.path == "/v1/webhooks"].count("POST") == 2


async def test_the_ledger_names_the_caller_of_an_action(hosting, tokens, dial, ledger) -> None:
    async with hosting(tokens) as url, dial(url, bearer_headers(ALICE)) as alice:
        bought = await alice.call_tool("buy_number", {"agent_id": "agt_frontdesk", "confirm": True})
    assert not bought.is_error, bought.content[0].text
    (row,) = ledger()
    assert row.approved_by.endswith(" of alice")


async def test_a_session_belongs_to_whoever_opened_it(hosting, tokens) -> None:
    async with hosting(tokens) as url, web() as http:
        session = {"Mcp-Session-Id": (await open_session(http, url, ALICE)).headers["Mcp-Session-Id"]}
        for token, status in ((BOB, 404), (ALICE, 200)):
            answer = await http.post(f"{url}/mcp", json=LIST, headers=bearer_headers(token) | session)
            assert answer.status_code == status
        assert (await http.request("DELETE", f"{url}/mcp", headers=bearer_headers(BOB) | session)).status_code == 404
        assert (await http.request("DELETE", f"{url}/mcp", headers=bearer_headers(ALICE) | session)).status_code == 200


async def test_a_revoked_token_ends_its_stream_and_session(hosting, tokens, monkeypatch) -> None:
    monkeypatch.setattr("agentphone_mcp.server.http.middleware.admission._CHECK_SECONDS", 0.05)
    async with hosting(tokens) as url, web() as http, asyncio.timeout(60):
        session = {"Mcp-Session-Id": (await open_session(http, url, ALICE)).headers["Mcp-Session-Id"]}
        async with http.stream("GET", f"{url}/mcp", headers=bearer_headers(ALICE) | session) as stream:
            assert stream.status_code == 200
            edit_tokens(tokens, sha256(ALICE), "0" * 64)
            assert [line async for line in stream.aiter_lines() if line.startswith("data")] == []
        answer = await http.post(f"{url}/mcp", json=LIST, headers=bearer_headers(ALICE) | session)
    assert answer.status_code == 401


async def test_the_access_log_names_callers_and_holds_no_secrets(hosting, tokens, caplog) -> None:
    caplog.set_level(logging.INFO, "agentphone_mcp.access")
    async with hosting(tokens) as url, web() as http:
        session = (await open_session(http, url, ALICE)).headers["Mcp-Session-Id"]
        await http.get(f"{url}/mcp?key={BOB}", headers=ACCEPT)
        await http.get(f"{url}/{ALICE}%0Aforged")
    lines = [record.getMessage() for record in caplog.records if record.name == "agentphone_mcp.access"]
    assert [line.split(" in ")[0] for line in lines] == ["POST /mcp 200", "GET /mcp 401", "GET (another path) 404"]
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["alice", "-", "-"]
    everything = "\n".join(record.getMessage() for record in caplog.records)
    assert not any(secret in everything for secret in (ALICE, BOB)), everything
    assert session not in "\n".join(lines)


async def test_jwt_metadata_is_public_and_names_the_issuer(hosting) -> None:
    """A client without a token learns from it where to get one (RFC 9728)."""
    settings = HttpSettings(
        auth="jwt",
        jwt_issuer="https://issuer.example",
        resource_url="http://127.0.0.1:8000/mcp",
        jwks_url="https://issuer.example/keys",
    )
    async with hosting(settings) as url, web() as http:
        refused = await http.post(f"{url}/mcp", json=LIST, headers=ACCEPT)
        page = {"Origin": "http://localhost:5173"}
        metadata = await http.get(f"{url}/.well-known/oauth-protected-resource/mcp", headers=page)
    assert refused.status_code == 401
    assert (
        'resource_metadata="http://127.0.0.1:8000/.well-known/oauth-protected-resource/mcp"'
        in refused.headers["WWW-Authenticate"]
    )
    assert "access-control-allow-origin" not in metadata.headers
    document = json.loads(metadata.text)
    assert document["resource"] == "http://127.0.0.1:8000/mcp"
    assert document["authorization_servers"] == ["https://issuer.example"]
    assert document["scopes_supported"] == ["read", "write", "spend"]
