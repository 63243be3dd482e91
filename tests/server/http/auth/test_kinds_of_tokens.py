"""Take access tokens alone, and not what else an issuer signs."""

from typing import Any

import pytest

from agentphone_mcp.server.http.auth.jwt import JwtAuth
from tests.server.http.auth.bearer import bearer_headers

pytestmark = pytest.mark.attack("18", "another kind of token is taken as one that lets in")


@pytest.mark.parametrize(
    "kind", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT", "JWT", "jwt", "application/jwt", None]
)
async def test_an_access_token_is_taken(kind: str | None, auth: JwtAuth, issuer: Any) -> None:
    assert await auth.authenticate(bearer_headers(issuer.token(headers={"typ": kind})))


@pytest.mark.parametrize(
    "kind",
    [
        "id+jwt",
        "logout+jwt",
        "secevent+jwt",
        "dpop+jwt",
        "rt+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "application/logout+jwt",
        "at+jwt ",
        "text/at+jwt",
    ],
)
async def test_another_kind_is_refused_by_its_name(kind: str, auth: JwtAuth, issuer: Any) -> None:
    assert await auth.authenticate(bearer_headers(issuer.token(headers={"typ": kind}))) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n-0S6_WzA2Mj"},
        {"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
        {"c_hash": "LDktKdoQak3Pk0cnXxCltA"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"token_use": "id"},
        {"token_use": 7},
    ],
    ids=lambda claims: "-".join(f"{name}" for name in claims),
)
@pytest.mark.parametrize("kind", ["JWT", None])
async def test_another_kind_without_a_name_is_refused_by_its_claims(
    claims: dict[str, Any], kind: str | None, auth: JwtAuth, issuer: Any
) -> None:
    """Its audience can be ours too, where a client has the server's address as its name."""
    assert await auth.authenticate(bearer_headers(issuer.token(headers={"typ": kind}, **claims))) is None


@pytest.mark.parametrize("claims", [{"typ": "Bearer"}, {"token_use": "access"}])
async def test_issuers_that_name_the_kind_in_a_claim_are_understood(
    claims: dict[str, Any], auth: JwtAuth, issuer: Any
) -> None:
    assert await auth.authenticate(bearer_headers(issuer.token(headers={"typ": "JWT"}, **claims)))


@pytest.mark.parametrize("kind", [7, ["at+jwt"], {"at+jwt": True}, True])
async def test_a_kind_that_is_no_text_is_refused(kind: object, auth: JwtAuth, issuer: Any) -> None:
    assert await auth.authenticate(bearer_headers(issuer.token(headers={"typ": kind}))) is None
