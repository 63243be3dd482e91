"""Refuse access tokens that the issuer did not sign with one of its published keys."""

import base64
import logging
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier
from tests.server.http.auth.bearer import bearer_headers, in_base64


def signed(issuer: Any, header: dict[str, Any], algorithm: str, key: Any) -> str:
    body = f"{in_base64(header)}.{in_base64(issuer.claims())}"
    signature = jwt.get_algorithm_by_name(algorithm).sign(body.encode(), key)
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def unsigned(issuer: Any, algorithm: str = "none") -> str:
    return f"{in_base64({'alg': algorithm, 'kid': 'first'})}.{in_base64(issuer.claims())}."


def signed_with_public_key(issuer: Any, algorithm: str = "HS256") -> str:
    public = issuer.private_key("RS256", "first").public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return signed(issuer, {"alg": algorithm, "kid": "first"}, "HS256", secret)


def signed_by_issuer(issuer: Any, algorithm: str, header: dict[str, Any]) -> str:
    return signed(issuer, header, algorithm, issuer.private_key("RS256", "first"))


def tampered(issuer: Any) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{in_base64(issuer.claims(scope='spend'))}.{signature}"


FORGED = {
    "unsigned": unsigned,
    "unsigned-in-capitals": lambda issuer: unsigned(issuer, "NONE"),
    "signature-left-out": lambda issuer: unsigned(issuer, "RS256"),
    "public-key-as-secret": signed_with_public_key,
    "public-key-as-secret-unsaid": lambda issuer: signed_with_public_key(issuer, "RS256"),
    "empty-secret": lambda issuer: signed(issuer, {"alg": "HS256", "kid": "first"}, "HS256", b""),
    "tampered": tampered,
    "another-key": lambda issuer: issuer.token(kid="evil", headers={"kid": "first"}),
    "another-keys-name": lambda issuer: issuer.token(kid="evil"),
    "another-kind-of-key": lambda issuer: issuer.token("ES256"),
    "another-padding": lambda issuer: signed_by_issuer(issuer, "PS256", {"alg": "RS256", "kid": "first"}),
    "no-name-of-a-key": lambda issuer: signed_by_issuer(issuer, "RS256", {"alg": "RS256"}),
    "name-is-a-number": lambda issuer: signed_by_issuer(issuer, "RS256", {"alg": "RS256", "kid": 7}),
    "no-algorithm": lambda issuer: signed_by_issuer(issuer, "RS256", {"kid": "first"}),
    "algorithm-in-a-list": lambda issuer: signed_by_issuer(issuer, "RS256", {"alg": ["RS256"], "kid": "first"}),
    "critical": lambda issuer: issuer.token(headers={"crit": ["exp"]}),
    "critical-nothing": lambda issuer: issuer.token(headers={"crit": []}),
    "critical-what-the-library-knows": lambda issuer: signed_by_issuer(
        issuer, "RS256", {"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": True}
    ),
    "detached": lambda issuer: issuer.token(headers={"b64": False}),
    "no-parts": lambda _: "token",
    "empty-parts": lambda _: "..",
    "many-dots": lambda _: "." * 16_000,
    "no-json": lambda _: "AAAA.BBBB.CCCC",
    "deep": lambda _: f"{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.e30.AAAA",
    "no-object": lambda _: f"{in_base64(7)}.{in_base64(7)}.AAAA",
    "not-ascii": lambda issuer: f"{issuer.token()}é",
    "half-a-character": lambda issuer: f"{issuer.token()}\ud800",
    "too-long": lambda issuer: issuer.token(padding="x" * 16_384),
    "a-megabyte": lambda _: "a" * 1_000_000,
    "empty": lambda _: "",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_token_is_refused(
    forge: Any, verifier: JwtVerifier, issuer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    token = forge(issuer)
    with caplog.at_level(logging.DEBUG):
        assert await verifier.verify_token(token) is None
    assert all(len(part) < 8 or part not in caplog.text for part in token.split("."))


async def test_keys_named_in_a_token_are_never_fetched(auth: JwtAuth, issuer: Any) -> None:
    headers = {
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "jwk": issuer.jwk("RS256", "evil"),
    }
    assert await auth.authenticate(bearer_headers(issuer.token(kid="evil", headers=headers))) is None
    assert await auth.authenticate(bearer_headers(issuer.token(kid="evil", headers=headers | {"kid": "first"}))) is None
    assert await auth.authenticate(bearer_headers(issuer.token(headers=headers)))
    assert issuer.requests == ["/jwks"]


async def test_malformed_tokens_cause_no_fetch(auth: JwtAuth, issuer: Any) -> None:
    for token in ("junk", "a" * 20_000, unsigned(issuer), signed_with_public_key(issuer)):
        assert await auth.authenticate(bearer_headers(token)) is None
    assert issuer.requests == []


async def test_a_token_without_a_key_id_is_refused(auth: JwtAuth, issuer: Any) -> None:
    del issuer.keys[0]["kid"]
    assert await auth.authenticate(bearer_headers(signed_by_issuer(issuer, "RS256", {"alg": "RS256"}))) is None


async def test_a_short_rsa_key_is_refused(auth: JwtAuth, issuer: Any) -> None:
    """PyJWT alone would only warn."""
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    issuer.keys = [jwt.get_algorithm_by_name("RS256").to_jwk(short.public_key(), as_dict=True) | {"kid": "first"}]
    assert (
        await auth.authenticate(bearer_headers(signed(issuer, {"alg": "RS256", "kid": "first"}, "RS256", short)))
        is None
    )


async def test_a_token_is_valid_while_its_key_is_published(auth: JwtAuth, issuer: Any, clock: Any) -> None:
    old = issuer.token()
    assert await auth.authenticate(bearer_headers(old))
    issuer.keys.append(issuer.jwk("EdDSA", "second"))
    clock.now += 30
    assert await auth.authenticate(bearer_headers(issuer.token("EdDSA", "second")))
    assert await auth.authenticate(bearer_headers(old))
    issuer.keys.pop(0)
    clock.now += 300
    assert await auth.authenticate(bearer_headers(old)) is None
