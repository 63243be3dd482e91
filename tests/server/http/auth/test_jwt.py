"""Authenticate callers by the claims of access tokens, and challenge everybody else."""

import logging
import time
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers

from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.base import InsufficientScope
from agentphone_mcp.server.http.auth.jwks import ALGORITHMS, KeySet
from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier
from tests.server.http.auth.bearer import RESOURCE, bearer_headers
from tests.server.http.auth.issuer import published

METADATA = "https://phone.example/.well-known/oauth-protected-resource/mcp"


def soon(seconds: int) -> int:
    return int(time.time()) + seconds


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_valid_token_names_the_caller(algorithm: str, auth: JwtAuth, issuer: Any) -> None:
    issuer.keys = [issuer.jwk(algorithm, "first")]
    expires_at = soon(60)
    caller = await auth.authenticate(bearer_headers(issuer.token(algorithm, exp=expires_at)))
    assert caller == Caller("desk:user-7", "write", expires_at=expires_at)


async def test_the_verified_token_cannot_be_used_again(verifier: JwtVerifier, issuer: Any) -> None:
    """The SDK keeps the AccessToken of a request, which must not be usable for another one."""
    token = issuer.token(aud=["https://other.example", RESOURCE])
    access = await verifier.verify_token(token)
    assert (access.client_id, access.subject, access.resource) == ("desk", "user-7", RESOURCE)
    assert access.claims == {"iss": issuer.url}
    assert not any(part in repr(access) for part in token.split("."))
    assert access.token != (await verifier.verify_token(issuer.token(sub="user-8"))).token


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": "https://evil.example"}, id="another-issuer"),
        pytest.param({"iss": "https://issuer.example/"}, id="issuer-with-a-slash"),
        pytest.param({"iss": ["https://issuer.example"]}, id="issuer-in-a-list"),
        pytest.param({"iss": None}, id="no-issuer"),
        pytest.param({"aud": "https://other.example/mcp"}, id="another-audience"),
        pytest.param({"aud": "https://phone.example"}, id="audience-without-path"),
        pytest.param({"aud": f"{RESOURCE}/"}, id="audience-with-a-slash"),
        pytest.param({"aud": []}, id="empty-audience"),
        pytest.param({"aud": {RESOURCE: True}}, id="audience-in-an-object"),
        pytest.param({"aud": None}, id="no-audience"),
        pytest.param({"exp": 1_000_000_000}, id="expired-long-ago"),
        pytest.param({"exp": -1}, id="expired-before-time"),
        pytest.param({"exp": None}, id="no-expiry"),
        pytest.param({"exp": "9999999999"}, id="expiry-as-text"),
        pytest.param({"exp": True}, id="expiry-as-a-truth"),
        pytest.param({"exp": float("inf")}, id="never-expires"),
        pytest.param({"exp": float("nan")}, id="expiry-is-no-number"),
        pytest.param({"exp": 10**400}, id="expiry-beyond-numbers"),
        pytest.param({"nbf": 9_999_999_999}, id="not-yet"),
        pytest.param({"iat": 9_999_999_999}, id="issued-in-the-future"),
        pytest.param({"sub": None}, id="no-subject"),
        pytest.param({"sub": ""}, id="empty-subject"),
        pytest.param({"sub": 7}, id="subject-as-a-number"),
        pytest.param({"client_id": 7}, id="client-as-a-number"),
        pytest.param({"scope": {"spend": True}}, id="scope-as-an-object"),
        pytest.param({"scope": ["spend", 7]}, id="scope-with-a-number"),
    ],
)
async def test_a_signed_token_with_invalid_claims_is_refused(
    changes: dict[str, Any], auth: JwtAuth, issuer: Any
) -> None:
    assert await auth.authenticate(bearer_headers(issuer.token(**changes))) is None


async def test_clocks_may_differ_by_half_a_minute(auth: JwtAuth, issuer: Any) -> None:
    assert await auth.authenticate(bearer_headers(issuer.token(exp=soon(-15), iat=soon(15), nbf=soon(15))))
    for change in ({"exp": soon(-60)}, {"iat": soon(60)}, {"nbf": soon(60)}):
        assert await auth.authenticate(bearer_headers(issuer.token(**change))) is None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(lambda _: Headers(), id="none"),
        pytest.param(lambda token: bearer_headers(token, token), id="two"),
        pytest.param(lambda token: Headers({"Authorization": f"Basic {token}"}), id="another-scheme"),
        pytest.param(lambda token: Headers({"Authorization": token}), id="no-scheme"),
        pytest.param(lambda token: Headers({"Authorization": "Bearer "}), id="no-token"),
        pytest.param(lambda token: Headers({"X-API-Key": token}), id="another-header"),
        pytest.param(lambda token: Headers({"Authorization": f"Bearer {token}, Bearer {token}"}), id="two-in-one"),
    ],
)
async def test_a_token_is_accepted_once_and_in_its_header_only(headers: Any, auth: JwtAuth, issuer: Any) -> None:
    assert await auth.authenticate(headers(issuer.token())) is None


@pytest.mark.parametrize(
    ("changes", "scope"),
    [
        pytest.param({"scope": "read"}, "read", id="read"),
        pytest.param({"scope": "openid read profile write"}, "write", id="among-others"),
        pytest.param({"scope": "spend"}, "spend", id="spend-alone"),
        pytest.param({"scope": "spend read"}, "spend", id="whatever-the-order"),
        pytest.param({"scope": ["read", "spend"]}, "spend", id="list"),
        pytest.param({"scope": None, "scp": "read write"}, "write", id="scp"),
        pytest.param({"scope": None, "scp": ["spend"]}, "spend", id="scp-list"),
        pytest.param({"scope": "read", "scp": "spend"}, "read", id="scope-before-scp"),
    ],
)
async def test_scopes_are_read_in_every_usual_spelling(
    changes: dict[str, Any], scope: str, auth: JwtAuth, issuer: Any
) -> None:
    assert (await auth.authenticate(bearer_headers(issuer.token(**changes)))).scope == scope


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("openid", id="another"),
        pytest.param("Spend READ", id="capitals"),
        pytest.param("read,write", id="commas"),
        pytest.param("spending", id="prefix"),
        pytest.param(["read write"], id="two-in-one"),
    ],
)
async def test_a_token_without_our_scopes_is_refused(scope: Any, auth: JwtAuth, issuer: Any) -> None:
    """The response says so, since another token of the caller may have them."""
    with pytest.raises(InsufficientScope, match="none of the scopes read, write, spend"):
        await auth.authenticate(bearer_headers(issuer.token(scope=scope)))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        pytest.param({}, "desk:user-7", id="client"),
        pytest.param({"client_id": None, "azp": "app"}, "app:user-7", id="azp"),
        pytest.param({"azp": "app"}, "desk:user-7", id="both"),
        pytest.param({"client_id": None}, "user-7:user-7", id="neither"),
        pytest.param({"sub": "auth0|42@clients"}, "desk:auth0|42@clients", id="usual-signs"),
        pytest.param({"sub": 'a:b c\n"é'}, "desk:a%3Ab%20c%0A%22%C3%A9", id="hostile"),
        pytest.param({"client_id": "operator", "sub": "operator"}, "operator:operator", id="operator"),
    ],
)
async def test_a_caller_is_named_by_client_and_subject(
    changes: dict[str, Any], name: str, auth: JwtAuth, issuer: Any
) -> None:
    assert (await auth.authenticate(bearer_headers(issuer.token(**changes)))).name == name


async def test_a_stream_ends_when_its_token_expires(verifier: JwtVerifier, issuer: Any, clock: Any) -> None:
    now = float(soon(0))
    auth = JwtAuth(verifier, RESOURCE, clock=lambda: now)
    caller = await auth.authenticate(bearer_headers(issuer.token(exp=int(now) + 60)))
    now += 89
    assert auth.is_still_valid(caller)
    now += 1
    assert not auth.is_still_valid(caller)


async def test_a_stream_ends_when_the_keys_expire(auth: JwtAuth, issuer: Any, clock: Any) -> None:
    caller = await auth.authenticate(bearer_headers(issuer.token(exp=soon(1_000_000))))
    clock.now += 24 * 3600 - 1
    assert auth.is_still_valid(caller)
    clock.now += 1
    assert not auth.is_still_valid(caller)


async def test_auth_is_unavailable_without_keys(auth: JwtAuth, issuer: Any, clock: Any) -> None:
    issuer.is_down = True
    assert await auth.unavailable_reason() == "the issuer's keys cannot be had: connection refused"
    assert await auth.authenticate(bearer_headers(issuer.token())) is None
    issuer.is_down = False
    clock.now += 30
    assert await auth.unavailable_reason() is None
    assert await auth.authenticate(bearer_headers(issuer.token()))


def test_the_challenge_names_the_metadata(auth: JwtAuth) -> None:
    assert auth.challenge == f'Bearer realm="agentphone-mcp", resource_metadata="{METADATA}"'
    assert auth.challenge_for_scope == (
        'Bearer realm="agentphone-mcp", error="insufficient_scope", scope="read write spend", '
        f'resource_metadata="{METADATA}"'
    )
    assert "https://issuer.example" in auth.challenge_message


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        pytest.param(RESOURCE, "/.well-known/oauth-protected-resource/mcp", id="path"),
        pytest.param("https://phone.example", "/.well-known/oauth-protected-resource", id="no-path"),
    ],
)
async def test_the_metadata_names_the_issuer(resource: str, path: str, verifier: JwtVerifier) -> None:
    """It has no CORS header of its own, since the operator names the allowed origins."""
    app = Starlette(routes=JwtAuth(verifier, resource).routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://phone.example") as client:
        answer = await client.get(path, headers={"Origin": "https://web.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.json() == {
        "resource": resource,
        "authorization_servers": ["https://issuer.example"],
        "scopes_supported": ["read", "write", "spend"],
        "bearer_methods_supported": ["header"],
        "resource_name": "AgentPhone",
    }


@pytest.mark.parametrize("url", ["http://phone.example/mcp", "https://phone.example/mcp?a=b", "phone.example"])
def test_an_unsafe_resource_url_is_refused(url: str, verifier: JwtVerifier) -> None:
    with pytest.raises(ConfigError, match=r"^AGENTPHONE_HTTP_RESOURCE_URL "):
        JwtAuth(verifier, url)


async def test_an_issuer_is_discovered_over_the_network(issuer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of the environment is not used for loopback."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with published(issuer):
        auth = JwtAuth(JwtVerifier(KeySet(issuer.url), RESOURCE), RESOURCE)
        assert await auth.unavailable_reason() is None
        assert (await auth.authenticate(bearer_headers(issuer.token()))).name == "desk:user-7"
    assert issuer.requests == ["/.well-known/oauth-authorization-server", "/jwks"]
    # The issuer is gone now, and its keys are still trusted.
    assert await auth.authenticate(bearer_headers(issuer.token()))


async def test_no_token_is_ever_logged_or_shown(auth: JwtAuth, issuer: Any, caplog: pytest.LogCaptureFixture) -> None:
    valid, invalid = issuer.token(), issuer.token(aud="https://other.example")
    useless = issuer.token(scope="openid")
    with caplog.at_level(logging.DEBUG):
        shown = [repr(await auth.authenticate(bearer_headers(token))) for token in (valid, invalid)]
        with pytest.raises(InsufficientScope) as refusal:
            await auth.authenticate(bearer_headers(useless))
    shown += [repr(refusal.value), repr(auth), repr(vars(auth)), caplog.text]
    for token in (valid, invalid, useless):
        assert not any(part in text for text in shown for part in token.split("."))
    assert "refused: InvalidAudienceError" in caplog.text
