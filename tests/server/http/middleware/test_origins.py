"""Check Host and Origin before credentials, and answer probes without either."""

import pytest

from agentphone_mcp.config.http import HttpSettings
from tests.server.http.middleware.requests import ALICE, bearer_headers, edit_tokens, web
from tests.support import HELLO


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
async def test_an_untrusted_host_or_origin_is_refused_on_every_path(
    hosting, transport: str, headers: list[tuple[str, str]], status: int
) -> None:
    async with hosting(HttpSettings(transport=transport)) as url, web() as http:
        for path in ("/mcp", "/sse", "/messages/", "/", "/mcp/..", "/.well-known/oauth-protected-resource"):
            answer = await http.get(f"{url}{path}", headers=headers)
            assert answer.status_code == status, path
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
async def test_no_path_is_redirected(hosting, tokens, transport: str) -> None:
    """Behind TLS, a redirect would lead to plain http, where clients would send an `X-API-Key` along."""
    settings = HttpSettings(auth="token", tokens_file=tokens.tokens_file, transport=transport)
    async with hosting(settings) as url, web() as http:
        answer = await http.post(f"{url}/mcp/", json=HELLO, headers=bearer_headers(ALICE))
        assert answer.status_code == 200
        for path in ("/sse/", "/messages", "/healthz/", "/mcp//", "//mcp/"):
            lost = await http.get(f"{url}{path}", headers=bearer_headers(ALICE))
            assert (lost.status_code, lost.headers.get("Location")) == (404, None), path


async def test_only_pages_of_allowed_origins_get_cors_headers(hosting, tokens) -> None:
    named, other = {"Origin": "https://chat.example"}, {"Origin": "https://other.example"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    settings = HttpSettings(auth="token", tokens_file=tokens.tokens_file, allowed_origins=("https://chat.example",))
    async with hosting(settings) as url, web() as http:
        preflighted = await http.options(f"{url}/mcp", headers=named | preflight)
        answered = await http.post(f"{url}/mcp", json=HELLO, headers=bearer_headers(ALICE) | named)
        refused = await http.options(f"{url}/mcp", headers=other | preflight)
    assert preflighted.status_code == 200
    assert preflighted.headers["access-control-allow-origin"] == "https://chat.example"
    assert "access-control-allow-credentials" not in preflighted.headers
    assert answered.headers["access-control-allow-origin"] == "https://chat.example"
    assert "mcp-session-id" in answered.headers["access-control-expose-headers"].lower()
    assert refused.status_code == 403
    async with hosting(tokens) as url, web() as http:
        local = await http.post(
            f"{url}/mcp", json=HELLO, headers=bearer_headers(ALICE) | {"Origin": "http://localhost:5173"}
        )
    assert local.status_code == 200
    assert "access-control-allow-origin" not in local.headers


async def test_probes_need_no_credentials_and_no_host(hosting, tokens, eventually) -> None:
    async with hosting(tokens) as url, web() as http:
        for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
            answer = await http.get(f"{url}{path}", headers={"Host": "10.0.0.7:8000"})
            assert (answer.status_code, answer.json()) == (200, {"status": status})
        edit_tokens(tokens, "[tokens", "no longer TOML")

        async def is_not_ready() -> bool:
            return (await http.get(f"{url}/readyz")).status_code == 503

        await eventually(is_not_ready)
        assert (await http.get(f"{url}/readyz")).json() == {"status": "not ready", "why": "nobody can be let in"}
        assert (await http.get(f"{url}/healthz")).status_code == 200
