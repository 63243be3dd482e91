"""Give every caller with a token a unique name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers

from agentphone_mcp.policy.access import OPERATOR, Caller
from agentphone_mcp.server.http.auth.jwks import KeySet
from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier
from tests.server.http.auth.bearer import RESOURCE


class AcceptingVerifier(JwtVerifier):
    """Accepts any token, which holds a client and a subject in hex."""

    async def verify_token(self, token: str) -> AccessToken:
        client, subject = json.loads(bytes.fromhex(token))
        return AccessToken(token="", client_id=client, subject=subject, scopes=["read"])


async def caller_of(client: str, subject: str) -> Caller:
    auth = JwtAuth(AcceptingVerifier(KeySet("https://issuer.example"), RESOURCE), RESOURCE)
    caller = await auth.authenticate(
        Headers({"Authorization": f"Bearer {json.dumps([client, subject]).encode().hex()}"})
    )
    assert caller is not None
    return caller


CALLERS = st.tuples(*[st.text(alphabet=st.one_of(st.sampled_from(":%#/3A"), st.characters()), min_size=1)] * 2)


@given(first=CALLERS, second=CALLERS)
async def test_two_callers_never_share_a_name(first: tuple[str, str], second: tuple[str, str]) -> None:
    """Otherwise one caller could use what another was allowed to spend."""
    names = [(await caller_of(client, subject)).name for client, subject in (first, second)]
    assert (names[0] == names[1]) == (first == second)
    for name in names:
        assert len(name) <= 128
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name
        assert name != OPERATOR.name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(("a:b", "c"), ("a", "b:c"), id="colon"),
        pytest.param(("a", "%3A"), ("a", ":"), id="escaped"),
        pytest.param(("a", "x" * 500), ("a", "x" * 501), id="long"),
        pytest.param(("é" * 500, "a"), ("é" * 500, "b"), id="long-client"),
        pytest.param(("a", "\ud800"), ("a", "\ud801"), id="half-a-character"),
        pytest.param(("a", "é"), ("a", "e\u0301"), id="look-alike"),
        pytest.param(("a", "b"), ("a", "b "), id="space"),
        pytest.param(("a", "b"), ("a", "B"), id="case"),
    ],
)
async def test_escaped_and_shortened_names_stay_different(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert (await caller_of(*first)).name != (await caller_of(*second)).name


async def test_a_shortened_name_cannot_be_taken() -> None:
    short = (await caller_of("a", "x" * 500)).name
    assert (await caller_of("a", short.partition(":")[2])).name != short
