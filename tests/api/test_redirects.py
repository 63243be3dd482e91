"""Tests of redirects: which are followed, how often, and that the key is sent nowhere else."""

from collections.abc import Callable

import httpx
import pytest

from agentphone_mcp.api.errors import ApiError, DestinationRefused, StatusError
from tests.api.conftest import Api, Network


def redirecting(location: str | None, status: int = 302) -> Callable[[httpx.Request], httpx.Response]:
    """Redirect the first request and answer the others."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if len(sent) > 1:
            return httpx.Response(200, json={"data": [{"id": "agent_1"}]})
        return httpx.Response(status, headers=[] if location is None else [(b"Location", location.encode())])

    return answer


@pytest.mark.parametrize(
    ("location", "followed"),
    [
        pytest.param("https://api.agentphone.ai/v1/agents", "https://api.agentphone.ai/v1/agents", id="second-host"),
        pytest.param("/v1/agents/all", "https://api.agentphone.to/v1/agents/all", id="relative"),
        pytest.param("//api.agentphone.ai/v1/agents", "https://api.agentphone.ai/v1/agents", id="scheme-relative"),
        pytest.param("HTTPS://API.AGENTPHONE.TO:443/v1/x", "https://api.agentphone.to/v1/x", id="uppercase"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308], ids=lambda status: f"status-{status}")
async def test_a_read_follows_a_redirect_within_the_allowlist(
    answering: Network, api_over: Api, location: str, followed: str, status: int
) -> None:
    network = answering(redirecting(location, status))
    async with api_over(network) as api:
        assert (await api.agents.list()).data[0].id == "agent_1"
    assert network.lines[1:] == [f"GET {followed}"]
    assert network.requests[1].headers["Authorization"].startswith("Bearer ")


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("https://evil.example/v1/agents", id="another-host"),
        pytest.param("//evil.example/v1/agents", id="scheme-relative"),
        pytest.param("http://api.agentphone.to/v1/agents", id="plain-http"),
        pytest.param("https://api.agentphone.to:8443/v1/agents", id="another-port"),
        pytest.param("https://api.agentphone.to./v1/agents", id="trailing-dot"),
        pytest.param("https://user:pass@api.agentphone.to/v1/agents", id="userinfo"),
        pytest.param("https://api.agentphone.to@evil.example/v1/agents", id="vendor-as-userinfo"),
        pytest.param("/v0/agent/sign-up", id="outside-v1"),
        pytest.param("/v1/../v0/x", id="climbing"),
        pytest.param("/v1/%2e%2e/v0/x", id="climbing-encoded"),
        pytest.param("..", id="up"),
        pytest.param("data:text/html,hello", id="data"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("https://xn--a/v1/agents", id="broken-punycode"),
        pytest.param("https://аpi.agentphone.to/v1/agents", id="look-alike"),
        pytest.param("https://[::1/v1/agents", id="broken-address"),
        pytest.param("https://api.agentphone.to:port/v1/agents", id="broken-port"),
        pytest.param("/v1/" + "a" * 70_000, id="very-long"),
        pytest.param(None, id="absent"),
    ],
)
async def test_a_redirect_out_of_the_allowlist_is_refused(
    answering: Network, api_over: Api, location: str | None
) -> None:
    network = answering(redirecting(location))
    async with api_over(network) as api:
        with pytest.raises(ApiError) as refused:
            await api.agents.list()
    assert {request.url.copy_with(query=None) for request in network.requests} == {
        httpx.URL("https://api.agentphone.to/v1/agents")
    }
    assert len(network.requests) == 1
    assert not isinstance(refused.value, StatusError) or refused.value.status == 302


async def test_a_refused_redirect_says_that_it_was_one(answering: Network, api_over: Api) -> None:
    async with api_over(answering(redirecting("https://evil.example/v1/agents"))) as api:
        with pytest.raises(DestinationRefused) as refused:
            await api.agents.list()
    assert "redirect" in refused.value.detail
    assert refused.value.status == 302


async def test_a_circle_of_redirects_ends(answering: Network, api_over: Api) -> None:
    network = answering(lambda _: httpx.Response(302, headers={"Location": "/v1/agents"}))
    async with api_over(network) as api:
        with pytest.raises(StatusError) as gone:
            await api.agents.list()
    assert len(network.requests) == 4
    assert gone.value.status == 302


async def test_not_modified_is_an_error_and_no_redirect(answering: Network, api_over: Api) -> None:
    async with api_over(answering(lambda _: httpx.Response(304))) as api:
        with pytest.raises(ApiError):
            await api.agents.list()


async def test_a_stream_follows_no_redirect(answering: Network, api_over: Api) -> None:
    network = answering(redirecting("https://evil.example/v1/x"))
    async with api_over(network) as api:
        with pytest.raises(ApiError):
            async with api.calls.follow("call_1"):
                pass
    assert len(network.requests) == 1
