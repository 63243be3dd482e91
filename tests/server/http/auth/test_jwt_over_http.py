"""Call a hosted server with access tokens of an authorization server."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from agentphone_mcp.config.http import HttpSettings
from tests.server.http.auth.issuer import Issuer, published

ACCEPT = {"Accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


@pytest.fixture
async def authority(issuer: Issuer) -> AsyncGenerator[Issuer]:
    async with published(issuer):
        yield issuer


@pytest.fixture
def settings(authority) -> HttpSettings:
    return HttpSettings(auth="jwt", jwt_issuer=authority.url, resource_url="https://phone.example/mcp")


@pytest.mark.parametrize(
    ("scope", "absent", "present"),
    [
        pytest.param("read", {"create_agent", "buy_number"}, {"list_agents"}, id="read"),
        pytest.param("read write", {"buy_number", "delete_agent"}, {"create_agent"}, id="write"),
        pytest.param("openid spend", set(), {"buy_number", "delete_agent", "create_agent"}, id="spend"),
    ],
)
async def test_a_token_lists_the_tools_of_its_scope(
    hosting, dial, authority, settings, scope: str, absent: set[str], present: set[str]
) -> None:
    bearer = {"Authorization": f"Bearer {authority.token(scope=scope)}"}
    async with hosting(settings) as url, dial(url, bearer) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        overview = await client.call_tool("account_overview", {})
    assert present <= tools
    assert not absent & tools
    assert not overview.is_error


async def test_a_token_without_our_scopes_gets_403_and_an_invalid_one_401(hosting, authority, settings) -> None:
    async with hosting(settings) as url, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for token, status, hint in (
            (authority.token(scope="email"), 403, 'error="insufficient_scope", scope="read write spend"'),
            (authority.token(aud="https://other.example/mcp"), 401, "resource_metadata="),
        ):
            answer = await http.post(f"{url}/mcp", json=LIST, headers=ACCEPT | {"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
            assert hint in answer.headers["WWW-Authenticate"]
            assert token not in answer.text
