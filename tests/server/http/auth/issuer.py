"""An authorization server that issues whatever token a test asks for, and a clock."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.server.http.auth.bearer import RESOURCE
from tests.server.http.serving import app_server, running

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@cache
def private_key(algorithm: str, kid: str) -> Any:
    """Return a key pair, made once for all tests: RSA keys take long."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa.generate_private_key(65537, 2048)


def jwk(algorithm: str, kid: str) -> dict[str, Any]:
    """Return the public key, as an issuer publishes it."""
    public = private_key(algorithm, kid).public_key()
    return json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public)) | {"kid": kid, "use": "sig"}


class Issuer:
    """Signs any claims, publishes its metadata and keys, and records the requests for them."""

    jwk = staticmethod(jwk)
    private_key = staticmethod(private_key)

    def __init__(self, url: str = "https://issuer.example") -> None:
        self.url = url
        self.keys = [jwk("RS256", "first")]
        self.requests: list[str] = []
        self.headers: list[httpx.Headers] = []
        self.answers: dict[str, httpx.Response] = {}
        self.is_down = False
        self.transport = httpx.MockTransport(self._handle)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a valid token, with changes; None leaves a claim out."""
        now = int(time.time())
        valid = {
            "iss": self.url,
            "aud": RESOURCE,
            "sub": "user-7",
            "client_id": "desk",
            "iat": now,
            "exp": now + 600,
            "scope": "read write",
        }
        return {name: value for name, value in (valid | changes).items() if value is not None}

    def token(
        self, algorithm: str = "RS256", kid: str = "first", headers: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        """Return a token that is valid but for the changes."""
        key = self.private_key(algorithm, kid)
        body = json.dumps(self.claims(**changes)).encode()
        return jwt.PyJWS().encode(body, key, algorithm, headers={"kid": kid} | (headers or {}))

    def document(self, path: str) -> Any:
        """Return what is published at a path; None for nothing."""
        if path == "/jwks":
            return {"keys": self.keys}
        if path == "/.well-known/oauth-authorization-server":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        return None

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        self.headers.append(request.headers)
        if self.is_down:
            raise httpx.ConnectError("connection refused", request=request)
        if answer := self.answers.get(request.url.path):
            return answer
        document = self.document(request.url.path)
        return httpx.Response(404) if document is None else httpx.Response(200, json=document)


@asynccontextmanager
async def published(issuer: Issuer) -> AsyncGenerator[None]:
    """Serve what the issuer publishes on loopback, at a URL that becomes its own."""

    async def answer(request: Request) -> JSONResponse:
        issuer.requests.append(request.url.path)
        document = issuer.document(request.url.path)
        return JSONResponse(document, 200 if document else 404)

    async with running(app_server(Starlette(routes=[Route("/{path:path}", answer)]))) as url:
        issuer.url = url
        yield
