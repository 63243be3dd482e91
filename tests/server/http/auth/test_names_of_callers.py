"""Whoever comes with a token has a name of their own, which nobody else can be given."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers

from agentphone_mcp.policy.access import OPERATOR, Caller
from agentphone_mcp.server.http.auth.jwks import KeySet
from agentphone_mcp.server.http.auth.jwt import JwtAuth, JwtVerifier

RESOURCE = "https://phone.example/mcp"


class Vouching(JwtVerifier):
    """Takes everybody's word for who they are."""

    async def verify_token(self, token: str) -> AccessToken:
        """Read the names of a client and a subject."""
        client, subject = json.loads(bytes.fromhex(token))
        return AccessToken(token="", client_id=client, subject=subject, scopes=["read"])


async def admitted(client: str, subject: str) -> Caller:
    """Somebody whom the issuer calls so."""
    auth = JwtAuth(Vouching(KeySet("https://issuer.example"), RESOURCE), RESOURCE)
    caller = await auth.authenticate(
        Headers({"Authorization": f"Bearer {json.dumps([client, subject]).encode().hex()}"})
    )
    assert caller is not None
    return caller


PEOPLE = st.tuples(*[st.text(alphabet=st.one_of(st.sampled_from(":%#/3A"), st.characters()), min_size=1)] * 2)


@given(one=PEOPLE, other=PEOPLE)
async def test_two_callers_never_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Otherwise one could spend what was allowed to another, whatever they manage to be called."""
    names = [(await admitted(client, subject)).name for client, subject in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert len(name) <= 128
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name
        assert name != OPERATOR.name


@pytest.mark.parametrize(
    ("one", "other"),
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
async def test_those_who_try_to_be_somebody_else_are_not(one: tuple[str, str], other: tuple[str, str]) -> None:
    """In the ways that escaping and shortening go wrong."""
    assert (await admitted(*one)).name != (await admitted(*other)).name


async def test_a_shortened_name_cannot_be_taken_by_whoever_is_called_so() -> None:
    """The hash in it is no secret."""
    short = (await admitted("a", "x" * 500)).name
    assert (await admitted("a", short.partition(":")[2])).name != short
