"""What a request meets before the protocol: names, credentials, shares and probes, over real sockets."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.policy.access import OPERATOR
from agentphone_mcp.server.http.auth.loopback import LoopbackAuth
from agentphone_mcp.server.http.middleware.admission import AdmissionMiddleware

ALICE, BOB = "apmcp_alice_0123456789abcdef", "apmcp_bob_0123456789abcdef"
ACCEPT = {"Accept": "application/json, text/event-stream"}
CLIENT = {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
HANDSHAKE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", **CLIENT},
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


def sha256(token: str) -> str:
    """How a token stands in the file."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearing(token: str) -> dict[str, str]:
    """The headers of a request with a token."""
    return ACCEPT | {"Authorization": f"Bearer {token}"}


@pytest.fixture
def tokens(tmp_path: Path) -> HttpSettings:
    """Alice may spend and Bob may read."""
    file = tmp_path / "tokens.toml"
    rows = [("alice", ALICE, "spend"), ("bob", BOB, "read")]
    file.write_text(
        "".join(f'[tokens.{name}]\nsha256 = "{sha256(token)}"\nscope = "{scope}"\n' for name, token, scope in rows)
    )
    file.chmod(0o600)
    return HttpSettings(auth="token", tokens_file=str(file), max_sessions=3, max_calls=4, idle_timeout=1800)


@asynccontextmanager
async def web() -> AsyncGenerator[httpx.AsyncClient]:
    """A plain web client."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        yield client


async def opened(http: httpx.AsyncClient, url: str, token: str) -> httpx.Response:
    """Open a session of the older protocol."""
    return await http.post(f"{url}/mcp", json=HANDSHAKE, headers=bearing(token))


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
async def test_strangers_all_get_the_same_answer(hosting, tokens, sandbox, headers: list[tuple[str, str]]) -> None:
    """Whatever was wrong, on every path of the protocol; the operator's key is used for nobody."""
    async with hosting(tokens) as url, web() as http:
        plain = await http.post(f"{url}/mcp", json=LIST, headers=ACCEPT)
        answer = await http.post(f"{url}/mcp", json=LIST, headers=[*ACCEPT.items(), *headers])
    assert answer.status_code == plain.status_code == 401
    assert answer.text == plain.text
    assert answer.headers["WWW-Authenticate"] == plain.headers["WWW-Authenticate"]
    assert answer.json()["error"]["message"].endswith(".")
    assert answer.json()["id"] is None
    assert sandbox.requests == []


async def test_who_may_read_finds_only_what_reads(hosting, tokens, dial, sandbox) -> None:
    """What is above a token's scope is absent from its list, its prompts and its instructions, and refused."""
    async with hosting(tokens) as url:
        async with dial(url, bearing(ALICE)) as alice:
            all_tools = {tool.name for tool in (await alice.list_tools()).tools}
            all_prompts = {prompt.name for prompt in (await alice.list_prompts()).prompts}
        async with dial(url, bearing(BOB)) as bob:
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
async def test_who_may_write_sets_a_webhook_and_replaces_none(hosting, tokens, dial, sandbox, mode: str) -> None:
    """To replace one cannot be undone, and takes a confirm that only those who may spend can give."""
    changed(tokens, 'scope = "read"', 'scope = "write"')
    mine, other = "https://example.com/mine", "https://example.com/other"
    async with hosting(tokens) as url, dial(url, bearing(BOB), mode=mode) as bob, dial(url, bearing(ALICE)) as alice:
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


async def test_what_a_caller_did_is_written_down_with_their_name(hosting, tokens, dial, ledger) -> None:
    """The operator pays, and can see who spent."""
    async with hosting(tokens) as url, dial(url, bearing(ALICE)) as alice:
        bought = await alice.call_tool("buy_number", {"agent_id": "agt_frontdesk", "confirm": True})
    assert not bought.is_error, bought.content[0].text
    (row,) = ledger()
    assert row.approved_by.endswith(" of alice")


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param([("Host", "evil.example")], 421, id="host"),
        pytest.param([("Host", "localhost.evil.example")], 421, id="longer-host"),
        pytest.param([("Host", "localhost:80.evil.example")], 421, id="host-behind-a-port"),
        pytest.param([("Origin", "https://evil.example")], 403, id="origin"),
        pytest.param([("Origin", "null")], 403, id="null-origin"),
        pytest.param([("Origin", "http://localhost"), ("Origin", "https://evil.example")], 403, id="two-origins"),
    ],
)
async def test_a_strange_name_is_refused_before_anything_else(
    hosting, transport: str, headers: list[tuple[str, str]], status: int
) -> None:
    """On every path, whether or not it exists, and before credentials are looked at."""
    async with hosting(HttpSettings(transport=transport)) as url, web() as http:
        for path in ("/mcp", "/sse", "/messages/", "/", "/mcp/..", "/.well-known/oauth-protected-resource"):
            answer = await http.get(f"{url}{path}", headers=headers)
            assert answer.status_code == status, path
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
async def test_nobody_is_sent_elsewhere_with_their_token(hosting, tokens, transport: str) -> None:
    """Behind TLS the server would send them to plain http, where clients bring an `X-API-Key` along."""
    settings = HttpSettings(auth="token", tokens_file=tokens.tokens_file, transport=transport)
    async with hosting(settings) as url, web() as http:
        answer = await http.post(f"{url}/mcp/", json=HANDSHAKE, headers=bearing(ALICE))
        assert answer.status_code == 200
        for path in ("/sse/", "/messages", "/healthz/", "/mcp//", "//mcp/"):
            lost = await http.get(f"{url}{path}", headers=bearing(ALICE))
            assert (lost.status_code, lost.headers.get("Location")) == (404, None), path


async def test_a_page_may_use_it_when_its_origin_was_named(hosting, tokens) -> None:
    """No other gets a word across, and nobody a preflight without a name."""
    named, other = {"Origin": "https://chat.example"}, {"Origin": "https://other.example"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    settings = HttpSettings(auth="token", tokens_file=tokens.tokens_file, allowed_origins=("https://chat.example",))
    async with hosting(settings) as url, web() as http:
        asked = await http.options(f"{url}/mcp", headers=named | preflight)
        answered = await http.post(f"{url}/mcp", json=HANDSHAKE, headers=bearing(ALICE) | named)
        refused = await http.options(f"{url}/mcp", headers=other | preflight)
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "https://chat.example"
    assert "access-control-allow-credentials" not in asked.headers
    assert answered.headers["access-control-allow-origin"] == "https://chat.example"
    assert "mcp-session-id" in answered.headers["access-control-expose-headers"].lower()
    assert refused.status_code == 403
    async with hosting(tokens) as url, web() as http:
        local = await http.post(
            f"{url}/mcp", json=HANDSHAKE, headers=bearing(ALICE) | {"Origin": "http://localhost:5173"}
        )
    assert local.status_code == 200
    assert "access-control-allow-origin" not in local.headers


async def test_a_session_belongs_to_whoever_opened_it(hosting, tokens) -> None:
    """To anybody else it does not exist, whatever they may do otherwise."""
    async with hosting(tokens) as url, web() as http:
        session = {"Mcp-Session-Id": (await opened(http, url, ALICE)).headers["Mcp-Session-Id"]}
        for token, status in ((BOB, 404), (ALICE, 200)):
            answer = await http.post(f"{url}/mcp", json=LIST, headers=bearing(token) | session)
            assert answer.status_code == status
        assert (await http.request("DELETE", f"{url}/mcp", headers=bearing(BOB) | session)).status_code == 404
        assert (await http.request("DELETE", f"{url}/mcp", headers=bearing(ALICE) | session)).status_code == 200


async def test_a_caller_has_their_share_of_sessions_and_no_more(hosting, tokens) -> None:
    """Of others' sessions none is taken; one that ends makes room."""
    async with hosting(tokens) as url, web() as http:
        sessions = [await opened(http, url, ALICE) for _ in range(3)]
        assert (await opened(http, url, ALICE)).status_code == 503
        assert (await opened(http, url, BOB)).status_code == 200
        first = {"Mcp-Session-Id": sessions[0].headers["Mcp-Session-Id"]}
        await http.request("DELETE", f"{url}/mcp", headers=bearing(ALICE) | first)
        assert (await opened(http, url, ALICE)).status_code == 200


@asynccontextmanager
async def on_the_phone(hosting: Any, tokens: Any, dial: Any, mode: str) -> AsyncGenerator[tuple[Any, Any, str]]:
    """Connect Alice and Bob to one server, and give them with the id of a long call that Alice has placed."""
    placing = {"agent_id": "agt_frontdesk", "to_number": "+14155550109", "confirm": True}
    async with (
        hosting(tokens) as url,
        dial(url, bearing(ALICE), mode=mode) as alice,
        dial(url, bearing(BOB), mode=mode) as bob,
    ):
        yield alice, bob, (await alice.call_tool("place_call", placing)).structured_content["result"]["id"]


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
async def test_a_caller_has_their_share_of_calls_at_once(hosting, tokens, dial, eventually, mode: str) -> None:
    """The next one is told to wait in words that a model reads, and other callers notice nothing."""
    async with on_the_phone(hosting, tokens, dial, mode) as (alice, bob, placed):
        told: list[Any] = []
        following = [
            asyncio.create_task(
                alice.call_tool("wait_for_call", {"call_id": placed}, progress_callback=lambda *_: _note(told))
            )
            for _ in range(4)
        ]
        await eventually(lambda: len(told) >= 4)
        refused = await alice.call_tool("list_agents", {})
        assert not (await bob.call_tool("list_agents", {})).is_error
        await asyncio.gather(*following)
        assert not (await alice.call_tool("list_agents", {})).is_error
    assert refused.is_error
    assert "4 requests of yours are under way" in refused.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"], ids=["modern", "legacy"])
async def test_a_caller_has_their_share_of_memory(hosting, tokens, dial, eventually, monkeypatch, mode: str) -> None:
    """What a request brings is held while it is under way, which may be minutes; others' share stays theirs."""
    monkeypatch.setattr("agentphone_mcp.server.http.middleware.concurrency._MOST_BYTES", 100_000)
    large: Any = {"example.com/much": "x" * 90_000}
    async with on_the_phone(hosting, tokens, dial, mode) as (alice, bob, placed):
        told: list[Any] = []
        following = asyncio.create_task(
            alice.call_tool("wait_for_call", {"call_id": placed}, progress_callback=lambda *_: _note(told), meta=large)
        )
        await eventually(lambda: bool(told))
        refused = await alice.call_tool("list_agents", {}, meta=large)
        assert not (await alice.call_tool("list_agents", {})).is_error
        assert not (await bob.call_tool("list_agents", {}, meta=large)).is_error
        await alice.call_tool("end_call", {"call_id": placed})
        await following
        assert not (await alice.call_tool("list_agents", {}, meta=large)).is_error
    assert refused.is_error
    assert "too large together" in refused.content[0].text


async def test_a_client_that_says_too_much_of_itself_gets_no_session_of_it(hosting, tokens) -> None:
    """It would be kept for half an hour, a hundred times for each caller."""
    named = {"name": "x" * 70_000, "version": "1"}
    much = HANDSHAKE | {"params": HANDSHAKE["params"] | {"clientInfo": named}}
    async with hosting(tokens) as url, web() as http:
        refused = await http.post(f"{url}/mcp", json=much, headers=bearing(ALICE))
        session = {"Mcp-Session-Id": refused.headers["Mcp-Session-Id"]}
        listed = await http.post(f"{url}/mcp", json=LIST, headers=bearing(ALICE) | session)
    assert "has to be shorter than 65536 bytes" in refused.text
    assert '"error"' in listed.text


@pytest.mark.parametrize("levels", [300, 900, 960, 980], ids=lambda levels: f"{levels}-levels")
async def test_what_is_nested_deeply_is_refused_without_a_fault(hosting, tokens, caplog, levels: int) -> None:
    """JSON that can just be read may be too deep for whatever looks at it afterwards."""
    deep = "[" * levels + "]" * levels
    envelope = '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}'
    body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{{envelope},"x/y":{deep}}}}}}}'
    modern = {"Content-Type": "application/json", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
    async with hosting(tokens) as url, web() as http:
        answer = await http.post(f"{url}/mcp", content=body, headers=bearing(BOB) | modern)
    assert answer.status_code in (200, 400)
    assert "Traceback" not in caplog.text


async def _note(told: list[Any]) -> None:
    told.append(None)


async def test_an_idle_session_ends(hosting, tokens, eventually) -> None:
    """It answers 404 then, at which clients open a new one; its caller's share is free again."""
    settings = HttpSettings(auth="token", tokens_file=tokens.tokens_file, max_sessions=1, idle_timeout=0.2)
    async with hosting(settings) as url, web() as http:
        session = {"Mcp-Session-Id": (await opened(http, url, ALICE)).headers["Mcp-Session-Id"]}

        async def is_free() -> bool:
            return (await opened(http, url, ALICE)).status_code == 200

        await eventually(is_free)
        assert (await http.post(f"{url}/mcp", json=LIST, headers=bearing(ALICE) | session)).status_code == 404


def changed(tokens: HttpSettings, old: str, new: str) -> None:
    """Change the file of tokens."""
    file = Path(tokens.tokens_file)
    file.write_text(file.read_text().replace(old, new))


async def test_a_token_that_is_taken_back_ends_what_lasts(hosting, tokens, monkeypatch) -> None:
    """A stream that was opened with it is closed, and its session is nobody's."""
    monkeypatch.setattr("agentphone_mcp.server.http.middleware.admission._LOOK_AFTER_SECONDS", 0.05)
    async with hosting(tokens) as url, web() as http, asyncio.timeout(60):
        session = {"Mcp-Session-Id": (await opened(http, url, ALICE)).headers["Mcp-Session-Id"]}
        async with http.stream("GET", f"{url}/mcp", headers=bearing(ALICE) | session) as stream:
            assert stream.status_code == 200
            changed(tokens, sha256(ALICE), "0" * 64)
            assert [line async for line in stream.aiter_lines() if line.startswith("data")] == []
        answer = await http.post(f"{url}/mcp", json=LIST, headers=bearing(ALICE) | session)
    assert answer.status_code == 401


async def test_probes_need_no_name_and_tell_nothing(hosting, tokens, eventually) -> None:
    """A balancer asks by an address, and so may anybody else."""
    async with hosting(tokens) as url, web() as http:
        for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
            answer = await http.get(f"{url}{path}", headers={"Host": "10.0.0.7:8000"})
            assert (answer.status_code, answer.json()) == (200, {"status": status})
        changed(tokens, "[tokens", "no longer TOML")

        async def is_not_ready() -> bool:
            return (await http.get(f"{url}/readyz")).status_code == 503

        await eventually(is_not_ready)
        assert (await http.get(f"{url}/readyz")).json() == {"status": "not ready", "why": "nobody can be let in"}
        assert (await http.get(f"{url}/healthz")).status_code == 200


async def test_a_body_has_an_end(hosting, tokens) -> None:
    """What is announced or sent beyond a quarter of a megabyte is not taken in."""

    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(300):
            yield b" " * 1024

    async with hosting(tokens) as url, web() as http:
        for body in (b" " * 300_000, endless()):
            kind = {"Content-Type": "application/json"}
            answer = await http.post(f"{url}/mcp", content=body, headers=bearing(ALICE) | kind)
            assert answer.status_code == 413


async def test_the_access_log_tells_who_and_not_what(hosting, tokens, caplog) -> None:
    """No token, no session, no query and no strange path stands in it."""
    caplog.set_level(logging.INFO, "agentphone_mcp.access")
    async with hosting(tokens) as url, web() as http:
        session = (await opened(http, url, ALICE)).headers["Mcp-Session-Id"]
        await http.get(f"{url}/mcp?key={BOB}", headers=ACCEPT)
        await http.get(f"{url}/{ALICE}%0Aforged")
    lines = [record.getMessage() for record in caplog.records if record.name == "agentphone_mcp.access"]
    assert [line.split(" in ")[0] for line in lines] == ["POST /mcp 200", "GET /mcp 401", "GET (another path) 404"]
    assert [line.rsplit(" ", 1)[1] for line in lines] == ["alice", "-", "-"]
    everything = "\n".join(record.getMessage() for record in caplog.records)
    assert not any(secret in everything for secret in (ALICE, BOB)), everything
    assert session not in "\n".join(lines)


async def test_jwt_metadata_is_for_everybody_and_names_the_issuer(hosting) -> None:
    """A client without a token learns where to get one (RFC 9728)."""
    settings = HttpSettings(
        auth="jwt",
        jwt_issuer="https://issuer.example",
        resource_url="http://127.0.0.1:8000/mcp",
        jwks_url="https://issuer.example/keys",
    )
    async with hosting(settings) as url, web() as http:
        refused = await http.post(f"{url}/mcp", json=LIST, headers=ACCEPT)
        page = {"Origin": "http://localhost:5173"}
        known = await http.get(f"{url}/.well-known/oauth-protected-resource/mcp", headers=page)
    assert refused.status_code == 401
    assert (
        'resource_metadata="http://127.0.0.1:8000/.well-known/oauth-protected-resource/mcp"'
        in refused.headers["WWW-Authenticate"]
    )
    assert "access-control-allow-origin" not in known.headers
    told = json.loads(known.text)
    assert told["resource"] == "http://127.0.0.1:8000/mcp"
    assert told["authorization_servers"] == ["https://issuer.example"]
    assert told["scopes_supported"] == ["read", "write", "spend"]


async def test_who_is_not_served_now_is_told_when_to_come_again() -> None:
    """Too much of theirs is under way, or the server is being stopped; what is under way is answered."""
    begun, done = asyncio.Event(), asyncio.Event()

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await done.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    admission = AdmissionMiddleware(
        LoopbackAuth(), {OPERATOR.scope: inside}, most_requests=1, most_streams=1, idle_timeout=60
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
