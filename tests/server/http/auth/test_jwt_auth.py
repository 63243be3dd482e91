"""Whose access tokens are good here, for how much, and what everybody else is told."""

import base64
import json
import logging
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.base import InsufficientScope
from agentphone_mcp.server.http.auth.jwks import ALGORITHMS, KeySet
from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier

RESOURCE = "https://phone.example/mcp"
METADATA = "https://phone.example/.well-known/oauth-protected-resource/mcp"


@pytest.fixture
def verifier(issuer: Any, clock: Any) -> JwtVerifier:
    """Checks tokens of the issuer that are for us."""
    return JwtVerifier(KeySet(issuer.url, f"{issuer.url}/jwks", inner=issuer.transport, clock=clock), RESOURCE)


@pytest.fixture
def auth(verifier: JwtVerifier) -> JwtAuth:
    """Admits whoever brings one."""
    return JwtAuth(verifier, RESOURCE)


def bearing(*tokens: str) -> Headers:
    """The headers of a request with these tokens."""
    return Headers(raw=[(b"authorization", f"Bearer {token}".encode()) for token in tokens])


def in_base64(value: Any) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def soon(seconds: int) -> int:
    """A time from now, as tokens tell it."""
    return int(time.time()) + seconds


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_good_token_says_who_is_calling(algorithm: str, auth: JwtAuth, issuer: Any) -> None:
    """With whatever the issuer signs."""
    issuer.keys = [issuer.jwk(algorithm, "first")]
    expires_at = soon(60)
    caller = await auth.authenticate(bearing(issuer.token(algorithm, exp=expires_at)))
    assert caller == Caller("desk:user-7", "write", expires_at=expires_at)


async def test_the_verifier_tells_what_the_token_said_without_the_token(verifier: JwtVerifier, issuer: Any) -> None:
    """Whoever gets hold of what the SDK keeps of a request must not be able to send another."""
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
async def test_a_signed_token_that_is_not_for_here_is_refused(
    changes: dict[str, Any], auth: JwtAuth, issuer: Any
) -> None:
    """The issuer signs for many, and what it signed once is not for ever."""
    assert await auth.authenticate(bearing(issuer.token(**changes))) is None


async def test_clocks_may_differ_a_little(auth: JwtAuth, issuer: Any) -> None:
    """Half a minute is admitted; a minute is not."""
    assert await auth.authenticate(bearing(issuer.token(exp=soon(-15), iat=soon(15), nbf=soon(15))))
    for wrong in ({"exp": soon(-60)}, {"iat": soon(60)}, {"nbf": soon(60)}):
        assert await auth.authenticate(bearing(issuer.token(**wrong))) is None


def signed(issuer: Any, header: dict[str, Any], algorithm: str, key: Any) -> str:
    """A token whose header says what it likes, signed in another way."""
    body = f"{in_base64(header)}.{in_base64(issuer.claims())}"
    signature = jwt.get_algorithm_by_name(algorithm).sign(body.encode(), key)
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def unsigned(issuer: Any, algorithm: str = "none") -> str:
    """A token that says it needs no signature."""
    return f"{in_base64({'alg': algorithm, 'kid': 'first'})}.{in_base64(issuer.claims())}."


def confused(issuer: Any, algorithm: str = "HS256") -> str:
    """A token signed with the public key as if that were a secret."""
    public = issuer.private_key("RS256", "first").public_key()
    secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return signed(issuer, {"alg": algorithm, "kid": "first"}, "HS256", secret)


def with_the_right_key(issuer: Any, algorithm: str, header: dict[str, Any]) -> str:
    """A token that the issuer's key did sign."""
    return signed(issuer, header, algorithm, issuer.private_key("RS256", "first"))


def changed(issuer: Any) -> str:
    """A token whose scope was changed after it was signed."""
    header, _, signature = issuer.token().split(".")
    return f"{header}.{in_base64(issuer.claims(scope='spend'))}.{signature}"


FORGED = {
    "unsigned": unsigned,
    "unsigned-in-capitals": lambda issuer: unsigned(issuer, "NONE"),
    "signature-left-out": lambda issuer: unsigned(issuer, "RS256"),
    "public-key-as-secret": confused,
    "public-key-as-secret-unsaid": lambda issuer: confused(issuer, "RS256"),
    "empty-secret": lambda issuer: signed(issuer, {"alg": "HS256", "kid": "first"}, "HS256", b""),
    "changed": changed,
    "another-key": lambda issuer: issuer.token(kid="evil", headers={"kid": "first"}),
    "another-keys-name": lambda issuer: issuer.token(kid="evil"),
    "another-kind-of-key": lambda issuer: issuer.token("ES256"),
    "another-padding": lambda issuer: with_the_right_key(issuer, "PS256", {"alg": "RS256", "kid": "first"}),
    "no-name-of-a-key": lambda issuer: with_the_right_key(issuer, "RS256", {"alg": "RS256"}),
    "name-is-a-number": lambda issuer: with_the_right_key(issuer, "RS256", {"alg": "RS256", "kid": 7}),
    "no-algorithm": lambda issuer: with_the_right_key(issuer, "RS256", {"kid": "first"}),
    "algorithm-in-a-list": lambda issuer: with_the_right_key(issuer, "RS256", {"alg": ["RS256"], "kid": "first"}),
    "critical": lambda issuer: issuer.token(headers={"crit": ["exp"]}),
    "critical-nothing": lambda issuer: issuer.token(headers={"crit": []}),
    "critical-what-the-library-knows": lambda issuer: with_the_right_key(
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
async def test_what_the_issuer_did_not_sign_is_refused(
    forge: Any, verifier: JwtVerifier, issuer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each a mistake that some library or server has made; and none of it is written down."""
    token = forge(issuer)
    with caplog.at_level(logging.DEBUG):
        assert await verifier.verify_token(token) is None
    assert all(len(part) < 8 or part not in caplog.text for part in token.split("."))


async def test_keys_that_a_token_brings_along_are_never_fetched(auth: JwtAuth, issuer: Any) -> None:
    """Whoever wrote the token would sign with them, and choose where we send requests."""
    headers = {
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "jwk": issuer.jwk("RS256", "evil"),
    }
    assert await auth.authenticate(bearing(issuer.token(kid="evil", headers=headers))) is None
    assert await auth.authenticate(bearing(issuer.token(kid="evil", headers=headers | {"kid": "first"}))) is None
    assert await auth.authenticate(bearing(issuer.token(headers=headers)))
    assert issuer.requests == ["/jwks"]


async def test_what_cannot_be_a_token_costs_the_issuer_nothing(auth: JwtAuth, issuer: Any) -> None:
    """Strangers send junk all day."""
    for token in ("junk", "a" * 20_000, unsigned(issuer), confused(issuer)):
        assert await auth.authenticate(bearing(token)) is None
    assert issuer.requests == []


async def test_a_token_that_names_no_key_is_not_tried_with_all(auth: JwtAuth, issuer: Any) -> None:
    """Also where the issuer gave its key no name: which one was meant would be a guess."""
    del issuer.keys[0]["kid"]
    assert await auth.authenticate(bearing(with_the_right_key(issuer, "RS256", {"alg": "RS256"}))) is None


async def test_a_short_rsa_key_is_refused(auth: JwtAuth, issuer: Any) -> None:
    """It can be broken, and the library alone would only warn."""
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    issuer.keys = [jwt.get_algorithm_by_name("RS256").to_jwk(short.public_key(), as_dict=True) | {"kid": "first"}]
    assert await auth.authenticate(bearing(signed(issuer, {"alg": "RS256", "kid": "first"}, "RS256", short))) is None


async def test_a_token_outlives_the_change_of_keys_that_made_it(auth: JwtAuth, issuer: Any, clock: Any) -> None:
    """As long as its key is still published."""
    old = issuer.token()
    assert await auth.authenticate(bearing(old))
    issuer.keys.append(issuer.jwk("EdDSA", "second"))
    clock.now += 30
    assert await auth.authenticate(bearing(issuer.token("EdDSA", "second")))
    assert await auth.authenticate(bearing(old))
    issuer.keys.pop(0)
    clock.now += 300
    assert await auth.authenticate(bearing(old)) is None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(lambda _: Headers(), id="none"),
        pytest.param(lambda token: bearing(token, token), id="two"),
        pytest.param(lambda token: Headers({"Authorization": f"Basic {token}"}), id="another-scheme"),
        pytest.param(lambda token: Headers({"Authorization": token}), id="no-scheme"),
        pytest.param(lambda token: Headers({"Authorization": "Bearer "}), id="no-token"),
        pytest.param(lambda token: Headers({"X-API-Key": token}), id="another-header"),
        pytest.param(lambda token: Headers({"Authorization": f"Bearer {token}, Bearer {token}"}), id="two-in-one"),
    ],
)
async def test_a_token_comes_once_and_in_its_header(headers: Any, auth: JwtAuth, issuer: Any) -> None:
    """Where there are two, somebody in between may have read the other."""
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
    """Authorization servers do not agree on one; the highest of ours counts."""
    assert (await auth.authenticate(bearing(issuer.token(**changes)))).scope == scope


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
async def test_a_token_without_our_scopes_is_good_for_nothing(scope: Any, auth: JwtAuth, issuer: Any) -> None:
    """Its bearer is told so, since another of their tokens may do."""
    with pytest.raises(InsufficientScope, match="none of the scopes read, write, spend"):
        await auth.authenticate(bearing(issuer.token(scope=scope)))


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
    """So that the operator recognizes them in the ledger."""
    assert (await auth.authenticate(bearing(issuer.token(**changes)))).name == name


async def test_a_stream_ends_with_its_token(verifier: JwtVerifier, issuer: Any, clock: Any) -> None:
    """It may go on no longer than the same token would be admitted anew."""
    now = float(soon(0))
    auth = JwtAuth(verifier, RESOURCE, clock=lambda: now)
    caller = await auth.authenticate(bearing(issuer.token(exp=int(now) + 60)))
    now += 89
    assert auth.is_still_valid(caller)
    now += 1
    assert not auth.is_still_valid(caller)


async def test_a_stream_ends_with_the_keys(auth: JwtAuth, issuer: Any, clock: Any) -> None:
    """Who cannot be checked any more is not admitted any more."""
    caller = await auth.authenticate(bearing(issuer.token(exp=soon(1_000_000))))
    clock.now += 24 * 3600 - 1
    assert auth.is_still_valid(caller)
    clock.now += 1
    assert not auth.is_still_valid(caller)


async def test_trouble_is_that_of_the_keys(auth: JwtAuth, issuer: Any, clock: Any) -> None:
    """Whoever watches the server hears of it before the callers do."""
    issuer.is_down = True
    assert await auth.unavailable_reason() == "the issuer's keys cannot be had: connection refused"
    assert await auth.authenticate(bearing(issuer.token())) is None
    issuer.is_down = False
    clock.now += 30
    assert await auth.unavailable_reason() is None
    assert await auth.authenticate(bearing(issuer.token()))


def test_who_is_not_admitted_is_told_where_to_get_a_token(auth: JwtAuth) -> None:
    """Clients follow the metadata's address by themselves (RFC 9728), also to ask for more."""
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
async def test_the_metadata_says_whose_tokens_are_good_here(resource: str, path: str, verifier: JwtVerifier) -> None:
    """Letter by letter as tokens and clients spell it; pages may read it whose origin the operator named."""
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
def test_a_server_that_tokens_cannot_safely_reach_is_refused(url: str, verifier: JwtVerifier) -> None:
    """Over plain http anybody in between could take them."""
    with pytest.raises(ConfigError, match=r"^AGENTPHONE_HTTP_RESOURCE_URL "):
        JwtAuth(verifier, url)


@contextmanager
def published(issuer: Any) -> Generator[None]:
    """Serve what the issuer publishes, on a loopback port that becomes its address."""

    def answer(request: Request) -> JSONResponse:
        issuer.requests.append(request.url.path)
        document = issuer.document(request.url.path)
        return JSONResponse(document, 200 if document else 404)

    listener = socket.create_server(("127.0.0.1", 0))
    issuer.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/{path:path}", answer)]), log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


async def test_a_real_issuer_is_found_and_believed(issuer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its address alone, over a real connection, and past the proxy that leads elsewhere."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with published(issuer):
        auth = JwtAuth(JwtVerifier(KeySet(issuer.url), RESOURCE), RESOURCE)
        assert await auth.unavailable_reason() is None
        assert (await auth.authenticate(bearing(issuer.token()))).name == "desk:user-7"
    assert issuer.requests == ["/.well-known/oauth-authorization-server", "/jwks"]
    # It is gone now; its keys are good all the same.
    assert await auth.authenticate(bearing(issuer.token()))


async def test_no_token_is_ever_shown(auth: JwtAuth, issuer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is logged, raised or printed on the way."""
    good, bad = issuer.token(), issuer.token(aud="https://other.example")
    useless = issuer.token(scope="openid")
    with caplog.at_level(logging.DEBUG):
        shown = [repr(await auth.authenticate(bearing(token))) for token in (good, bad)]
        with pytest.raises(InsufficientScope) as out:
            await auth.authenticate(bearing(useless))
    shown += [repr(out.value), repr(auth), repr(vars(auth)), caplog.text]
    for token in (good, bad, useless):
        assert not any(part in text for text in shown for part in token.split("."))
    assert "refused: InvalidAudienceError" in caplog.text
