"""Find an issuer's keys through its metadata, at safe URLs only."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.server.http.auth.jwks import KeySet

JWKS = "https://issuer.example/jwks"
RFC_8414 = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"


@pytest.fixture
def discovered(issuer: Any, clock: Any) -> KeySet:
    return KeySet(issuer.url, transport=issuer.transport, clock=clock)


@pytest.mark.parametrize(
    ("url", "metadata"),
    [
        pytest.param("https://issuer.example", RFC_8414, id="root"),
        pytest.param("https://issuer.example/", RFC_8414, id="slash"),
        pytest.param("https://issuer.example", OIDC, id="oidc"),
        pytest.param("https://issuer.example/tenant", f"{RFC_8414}/tenant", id="path"),
        pytest.param("https://issuer.example/tenant/", f"{RFC_8414}/tenant", id="path-and-slash"),
        pytest.param("https://issuer.example/tenant", f"/tenant{OIDC}", id="oidc-path"),
    ],
)
async def test_keys_are_discovered_through_the_metadata(
    url: str, metadata: str, another_issuer: Callable[[str], Any], clock: Any
) -> None:
    issuer = another_issuer(url)
    issuer.answers = {
        RFC_8414: httpx.Response(404),
        metadata: httpx.Response(200, json={"issuer": url, "jwks_uri": JWKS}),
    }
    keys = KeySet(url, transport=issuer.transport, clock=clock)
    assert await keys.find("first", "RS256") is not None
    assert issuer.requests[-2:] == [metadata, "/jwks"]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"issuer": "https://issuer.example/", "jwks_uri": JWKS}, id="a-slash-more"),
        pytest.param({"issuer": "https://evil.example", "jwks_uri": JWKS}, id="another-issuer"),
        pytest.param({"issuer": "https://issuer.example", "jwks_uri": "http://issuer.example/jwks"}, id="plain-http"),
        pytest.param({"issuer": "https://issuer.example", "jwks_uri": "file:///etc/passwd"}, id="file"),
        pytest.param({"issuer": "https://issuer.example", "jwks_uri": "jwks"}, id="no-url"),
        pytest.param({"issuer": "https://issuer.example"}, id="no-place"),
    ],
)
async def test_untrusted_metadata_is_ignored(metadata: dict[str, str], discovered: KeySet, issuer: Any) -> None:
    issuer.answers = dict.fromkeys((RFC_8414, OIDC), httpx.Response(200, json=metadata))
    assert await discovered.find("first", "RS256") is None
    assert issuer.requests == [RFC_8414, OIDC]
    assert "metadata cannot be had" in await discovered.unavailable_reason()


async def test_an_invalid_jwks_url_is_reported(discovered: KeySet, issuer: Any) -> None:
    metadata = {"issuer": issuer.url, "jwks_uri": f"{JWKS}/{'a' * 70_000}"}
    issuer.answers = {RFC_8414: httpx.Response(200, json=metadata)}
    assert await discovered.unavailable_reason() == "the issuer's keys cannot be had: URL too long"


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://issuer.example/jwks", id="plain-http"),
        pytest.param("http://127.0.0.1.evil.example/jwks", id="loopback-as-a-prefix"),
        pytest.param("http://169.254.169.254/jwks", id="metadata-service"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("https://user:secret@issuer.example/jwks", id="password"),
        pytest.param("https://issuer.example/jwks#top", id="fragment"),
        pytest.param("issuer.example/jwks", id="no-scheme"),
        pytest.param("", id="empty"),
    ],
)
def test_an_unsafe_url_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^AGENTPHONE_HTTP_JWKS_URL ") as jwks:
        KeySet("https://issuer.example", url)
    with pytest.raises(ConfigError, match=r"^AGENTPHONE_HTTP_JWT_ISSUER "):
        KeySet(url)
    assert "secret" not in str(jwks.value)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://ISSUER.example", id="uppercase"),
        pytest.param("https://issuer.example:443", id="default-port"),
        pytest.param("https://issuer.example?tenant=1", id="query"),
        pytest.param("https://issuer.example/a/../b", id="dots"),
        pytest.param(" https://issuer.example", id="space"),
    ],
)
def test_an_issuer_must_have_its_normal_spelling(url: str) -> None:
    """Clients and tokens compare it as a string, and the metadata publishes its normal spelling."""
    with pytest.raises(ConfigError, match="plainly"):
        KeySet(url)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_loopback_needs_no_tls(host: str) -> None:
    assert KeySet(f"http://{host}:8000", f"http://{host}:8000/jwks").issuer == f"http://{host}:8000"


async def test_requests_carry_no_credentials(discovered: KeySet, issuer: Any) -> None:
    """Compressed answers are refused, since a small one may decompress to a huge one."""
    await discovered.find("first", "RS256")
    assert len(issuer.headers) == 2
    for headers in issuer.headers:
        assert headers["accept-encoding"] == "identity"
        assert set(headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}
