"""Provide an issuer, a verifier of its tokens, and the auth backend that uses it."""

from collections.abc import Callable
from typing import Any

import pytest

from agentphone_mcp.server.http.auth.jwks import KeySet
from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier
from tests.server.http.auth.bearer import RESOURCE
from tests.server.http.auth.issuer import Clock, Issuer


@pytest.fixture
def verifier(issuer: Any, clock: Any) -> JwtVerifier:
    return JwtVerifier(KeySet(issuer.url, f"{issuer.url}/jwks", transport=issuer.transport, clock=clock), RESOURCE)


@pytest.fixture
def auth(verifier: JwtVerifier) -> JwtAuth:
    return JwtAuth(verifier, RESOURCE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def another_issuer() -> Callable[[str], Issuer]:
    return Issuer
