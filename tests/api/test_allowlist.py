"""Tests of `AuthTransport` with a plain httpx client above it: what it sends, and what it refuses."""

import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL, Allowlist
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.auth import AuthTransport, proxy_for
from tests.support import LIVE_KEY

VENDOR = Allowlist.for_base(DEFAULT_BASE_URL, None)
LOCAL = Allowlist.for_base("http://127.0.0.1:8000", None)

FORBIDDEN = {
    "another-host": "https://evil.example/v1/agents",
    "plain-http": "http://api.agentphone.to/v1/agents",
    "vendor-as-a-prefix": "https://api.agentphone.to.evil.example/v1/agents",
    "trailing-dot": "https://api.agentphone.to./v1/agents",
    "userinfo": "https://user:pass@api.agentphone.to/v1/agents",
    "vendor-as-userinfo": "https://api.agentphone.to@evil.example/v1/agents",
    "another-port": "https://api.agentphone.to:8443/v1/agents",
    "outside-v1": "https://api.agentphone.to/v0/agent/sign-up",
    "v1-without-a-slash": "https://api.agentphone.to/v1",
    "v1-as-a-prefix": "https://api.agentphone.to/v1evil/agents",
    "root": "https://api.agentphone.to/",
    "climbing": "https://api.agentphone.to/v1/../v0/x",
    "climbing-encoded": "https://api.agentphone.to/v1/%2e%2e/v0/x",
    "climbing-half-encoded": "https://api.agentphone.to/v1/.%2E/v0/x",
    "encoded-slash": "https://api.agentphone.to/v1/a%2fb",
    "encoded-backslash": "https://api.agentphone.to/v1/a%5Cb",
    "loopback": "http://127.0.0.1:8000/v1/agents",
    "look-alike": "https://аpi.agentphone.to/v1/agents",
    "broken-punycode": "https://xn--a/v1/agents",
    "vendor-in-the-query": "https://evil.example/v1/?https://api.agentphone.to/v1/",
}


def forbidden() -> list[object]:
    """Return the addresses as parameters with ids."""
    return [pytest.param(url, id=name) for name, url in FORBIDDEN.items()]


def driven(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> tuple[httpx.AsyncClient, list[Any]]:
    """Make a plain httpx client that follows redirects over an `AuthTransport`, and the list of requests it sent."""
    out: list[httpx.Request] = []

    def network(request: httpx.Request) -> httpx.Response:
        out.append(request)
        return answer(request)

    transport = AuthTransport(httpx.MockTransport(network), ApiKey(LIVE_KEY), VENDOR)
    return httpx.AsyncClient(transport=transport, follow_redirects=True, trust_env=False, **options), out


@pytest.mark.parametrize("url", forbidden())
async def test_a_forbidden_address_is_never_sent_to(url: str) -> None:
    client, out = driven(lambda _: httpx.Response(200))
    async with client:
        with pytest.raises((httpx.UnsupportedProtocol, ValueError)) as refused:
            await client.get(url)
    assert not out
    assert_clean(refused.value)


@pytest.mark.parametrize("url", forbidden())
async def test_a_redirect_to_a_forbidden_address_is_not_followed(url: str) -> None:
    client, out = driven(lambda _: httpx.Response(307, headers=[(b"Location", url.encode())]))
    async with client:
        answer = await client.post("https://api.agentphone.to/v1/agents", json={})
    assert [request.url.host for request in out] == ["api.agentphone.to"]
    assert (answer.status_code, answer.headers.get("Location")) == (307, None)


def assert_clean(error: BaseException) -> None:
    """Fail if the key is in an httpx error, its request or its traceback."""
    request = getattr(error, "request", None)
    headers = dict(request.headers) if request else {}
    shown = f"{error} {error!r} {error.args} {headers} {''.join(traceback.format_exception(error))}"
    assert LIVE_KEY not in shown


async def test_the_key_is_on_the_request_below_and_on_none_above() -> None:
    client, out = driven(lambda _: httpx.Response(200, json={}))
    async with client:
        answer = await client.get("https://api.agentphone.to/v1/agents")
    assert out[0].headers["Authorization"] == f"Bearer {LIVE_KEY}"
    assert "Authorization" not in answer.request.headers
    assert LIVE_KEY not in repr(vars(answer)) + repr(answer.request.headers)


async def test_the_key_is_on_no_error_of_the_network() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    client, _ = driven(broken)
    async with client:
        with pytest.raises(httpx.ReadError) as raised:
            await client.get("https://api.agentphone.to/v1/agents")
    assert_clean(raised.value)


async def test_another_authorization_is_replaced_by_the_key() -> None:
    client, out = driven(lambda _: httpx.Response(200), auth=("user", "pass"), headers={"authorization": "Basic x"})
    async with client:
        await client.get("https://api.agentphone.to/v1/agents")
    assert out[0].headers.get_list("Authorization") == [f"Bearer {LIVE_KEY}"]


async def test_without_a_key_no_credentials_go_along() -> None:
    out: list[httpx.Request] = []

    def network(request: httpx.Request) -> httpx.Response:
        out.append(request)
        return httpx.Response(200)

    transport = AuthTransport(httpx.MockTransport(network), None, Allowlist.for_sign_up(DEFAULT_BASE_URL))
    async with httpx.AsyncClient(transport=transport, trust_env=False, auth=("user", "pass")) as client:
        await client.get("https://api.agentphone.to/v0/agent/sign-up")
    assert [request.headers.get("Authorization") for request in out] == [None]


async def test_a_host_header_cannot_point_the_key_elsewhere() -> None:
    """A front end that many sites share routes by the Host header."""
    client, out = driven(lambda _: httpx.Response(200), headers={"Host": "evil.example"})
    async with client:
        await client.get("https://api.agentphone.to/v1/agents")
    assert out[0].headers["Host"] == "api.agentphone.to"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:8001/v1/agents", id="another-port"),
        pytest.param("http://localhost:8000/v1/agents", id="another-name"),
        pytest.param("https://127.0.0.1:8000/v1/agents", id="another-scheme"),
        pytest.param("https://api.agentphone.to/v1/agents", id="vendor"),
        pytest.param("http://127.0.0.1:8000/v0/agents", id="another-path"),
    ],
)
def test_a_sandboxs_key_stays_at_its_own_origin(url: str) -> None:
    """Another port on the same machine is another program."""
    assert not LOCAL.admits(httpx.URL(url))


@pytest.mark.parametrize(
    ("allowlist", "url"),
    [
        pytest.param(VENDOR, "https://api.agentphone.to/v1/agents?x=../..", id="dots-in-the-query"),
        pytest.param(VENDOR, "https://api.agentphone.ai/v1/agents", id="second-host"),
        pytest.param(VENDOR, "https://API.AGENTPHONE.TO:443/v1/agents", id="uppercase-and-port"),
        pytest.param(LOCAL, "http://127.0.0.1:8000/v1/agents", id="sandbox"),
    ],
)
def test_the_apis_own_addresses_are_admitted(allowlist: Allowlist, url: str) -> None:
    assert allowlist.admits(httpx.URL(url))


@pytest.mark.parametrize(
    ("proxies", "proxy"),
    [
        pytest.param({"https": "http://proxy.example:3128"}, "http://proxy.example:3128", id="http"),
        pytest.param({"https": "https://proxy.example"}, "https://proxy.example", id="https"),
        pytest.param({"https": "socks5://proxy.example"}, None, id="socks"),
        pytest.param({"https": "file:///etc/passwd"}, None, id="file"),
        pytest.param({"http": "http://proxy.example:3128"}, None, id="for-http-only"),
        pytest.param({}, None, id="none"),
    ],
)
def test_only_an_http_proxy_for_https_is_used(proxies: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(VENDOR, proxies) == proxy


def test_loopback_never_goes_through_a_proxy() -> None:
    assert proxy_for(LOCAL, {"https": "http://proxy.example:3128", "http": "http://proxy.example:3128"}) is None


def test_the_environment_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert proxy_for(VENDOR) == "http://proxy.example:3128"
    assert proxy_for(LOCAL) is None
    monkeypatch.setenv("NO_PROXY", "agentphone.to")
    assert proxy_for(VENDOR) is None
