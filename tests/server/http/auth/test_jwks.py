"""Keys are asked for seldom, at one place only, and trusted no longer than the issuer is heard of."""

import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import httpx
import jwt
import pytest

from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.server.http.auth.jwks import ALGORITHMS, KeySet

JWKS = "https://issuer.example/jwks"
RFC_8414 = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"
DAY = 24 * 3600


@pytest.fixture
def keys(issuer: Any, clock: Any) -> KeySet:
    """The keys of the issuer, at a place that was configured."""
    return KeySet(issuer.url, JWKS, inner=issuer.transport, clock=clock)


@pytest.fixture
def discovered(issuer: Any, clock: Any) -> KeySet:
    """The keys of the issuer, wherever its metadata says."""
    return KeySet(issuer.url, inner=issuer.transport, clock=clock)


async def test_a_key_is_found_by_its_name_with_one_request(keys: KeySet, issuer: Any) -> None:
    """Every further token costs the issuer nothing."""
    for _ in range(3):
        assert (await keys.find("first", "RS256")).key_id == "first"
    assert issuer.requests == ["/jwks"]


async def test_many_at_once_share_one_request(issuer: Any, clock: Any) -> None:
    """A server that starts under load does not multiply it."""

    async def slow(request: httpx.Request) -> httpx.Response:
        issuer.requests.append(request.url.path)
        await anyio.lowlevel.checkpoint()
        return httpx.Response(200, json={"keys": issuer.keys})

    keys = KeySet(issuer.url, JWKS, inner=httpx.MockTransport(slow), clock=clock)
    found = []

    async def find(kid: str) -> None:
        found.append(await keys.find(kid, "RS256"))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(find, "first" if number % 2 else "nobody's")
    assert issuer.requests == ["/jwks"]
    assert sum(key is not None for key in found) == 25


async def test_while_keys_are_fetched_again_the_old_ones_are_used(
    issuer: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An issuer that hangs holds up one request, not everybody's."""
    asked, answer = anyio.Event(), anyio.Event()

    async def hanging(_: httpx.Request) -> httpx.Response:
        if keys.is_good:
            asked.set()
            await answer.wait()
        return httpx.Response(200, json={"keys": issuer.keys})

    keys = KeySet(issuer.url, JWKS, inner=httpx.MockTransport(hanging), clock=clock)
    await keys.find("first", "RS256")
    clock.now += 301
    async with anyio.create_task_group() as group:
        group.start_soon(keys.find, "first", "RS256")
        await asked.wait()
        assert await keys.find("first", "RS256") is not None
        answer.set()
    # Had the second one waited, the first would have given up.
    assert caplog.messages == []


async def test_whoever_hangs_up_does_not_stop_the_fetch(issuer: Any, clock: Any) -> None:
    """Otherwise strangers could make us ask again and again, and never get an answer."""
    asked, answer = anyio.Event(), anyio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        issuer.requests.append(request.url.path)
        asked.set()
        await answer.wait()
        return httpx.Response(200, json={"keys": issuer.keys})

    keys = KeySet(issuer.url, JWKS, inner=httpx.MockTransport(slow), clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(keys.find, "first", "RS256")
        await asked.wait()
        group.cancel_scope.cancel()
        answer.set()
    assert await keys.find("first", "RS256") is not None
    assert issuer.requests == ["/jwks"]


async def test_keys_are_fetched_again_after_five_minutes(keys: KeySet, issuer: Any, clock: Any) -> None:
    """A key that the issuer withdrew is not good for much longer."""
    await keys.find("first", "RS256")
    issuer.keys = [issuer.jwk("RS256", "second")]
    clock.now += 299
    assert await keys.find("first", "RS256") is not None
    clock.now += 1
    assert await keys.find("first", "RS256") is None


async def test_an_unknown_key_is_asked_for_once_in_thirty_seconds(keys: KeySet, issuer: Any, clock: Any) -> None:
    """Names of keys come from strangers, who could make us hammer the issuer."""
    await keys.find("first", "RS256")
    clock.now += 30
    for number in range(100):
        assert await keys.find(f"made-up-{number}", "RS256") is None
    assert issuer.requests == ["/jwks"] * 2
    clock.now += 29
    assert await keys.find("made-up", "RS256") is None
    assert issuer.requests == ["/jwks"] * 2
    clock.now += 1
    assert await keys.find("made-up", "RS256") is None
    assert issuer.requests == ["/jwks"] * 3


async def test_a_new_key_is_found_without_waiting_for_the_old_ones_to_age(
    keys: KeySet, issuer: Any, clock: Any
) -> None:
    """Issuers change keys while tokens go on coming."""
    await keys.find("first", "RS256")
    issuer.keys.append(issuer.jwk("ES256", "second"))
    clock.now += 30
    assert (await keys.find("second", "ES256")).key_id == "second"
    assert await keys.find("first", "RS256") is not None


async def test_keys_outlive_their_issuer_for_a_day(
    keys: KeySet, issuer: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its bad hour is not everybody's; what it may have withdrawn in a day is another matter."""
    assert await keys.unavailable_reason() is None
    issuer.is_down = True
    clock.now += DAY - 1
    assert await keys.find("first", "RS256") is not None
    assert await keys.unavailable_reason() is None
    clock.now += 1
    assert not keys.is_good
    assert await keys.find("first", "RS256") is None
    assert await keys.unavailable_reason() == "the issuer's keys cannot be had: connection refused"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    issuer.is_down = False
    clock.now += 30
    with caplog.at_level(logging.INFO, "agentphone_mcp"):
        assert await keys.unavailable_reason() is None
    assert caplog.messages[-1] == "the issuer's keys were fetched again"
    assert await keys.find("first", "RS256") is not None


async def test_an_issuer_that_was_never_heard_of_is_asked_seldom(
    keys: KeySet, issuer: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of once, and whoever looks after the server is told why nobody gets in."""
    issuer.is_down = True
    for _ in range(10):
        assert await keys.find("first", "RS256") is None
        assert "connection refused" in await keys.unavailable_reason()
    assert issuer.requests == ["/jwks"]
    clock.now += 30
    await keys.unavailable_reason()
    assert issuer.requests == ["/jwks"] * 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(httpx.Response(302, headers={"Location": "https://evil.example/jwks"}), "302", id="redirect"),
        pytest.param(httpx.Response(500), "500", id="broken"),
        pytest.param(httpx.Response(200, content=b" " * 300_000), "more than 256 KiB", id="huge"),
        pytest.param(httpx.Response(200, content=b"<html>"), "not what it should be", id="html"),
        pytest.param(httpx.Response(200, content=b"[" * 100_000), "not what it should be", id="deep"),
        pytest.param(httpx.Response(200, json={"keys": "none"}), "not what it should be", id="no-list"),
        pytest.param(httpx.Response(200, json={"keys": []}), "publishes none", id="none"),
    ],
)
async def test_an_answer_without_keys_is_told_of(keys: KeySet, issuer: Any, answer: httpx.Response, why: str) -> None:
    """It is asked no second time, wherever it would like to send us."""
    issuer.answers["/jwks"] = answer
    assert await keys.find("first", "RS256") is None
    assert why in await keys.unavailable_reason()
    assert issuer.requests == ["/jwks"]


async def test_a_mistake_of_ours_costs_the_issuer_no_more_than_another_failure(issuer: Any, clock: Any) -> None:
    """It is not hidden, and it is not repeated with every request."""

    def mistaken(request: httpx.Request) -> httpx.Response:
        issuer.requests.append(request.url.path)
        raise RuntimeError("a mistake")

    keys = KeySet(issuer.url, JWKS, inner=httpx.MockTransport(mistaken), clock=clock)
    with pytest.raises(RuntimeError):
        await keys.find("first", "RS256")
    assert await keys.find("first", "RS256") is None
    assert issuer.requests == ["/jwks"]


async def test_an_endless_answer_is_not_read_to_its_end(issuer: Any, clock: Any) -> None:
    """What it says of its length does not matter."""
    read = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 65_536

    keys = KeySet(
        issuer.url, JWKS, inner=httpx.MockTransport(lambda _: httpx.Response(200, content=endless())), clock=clock
    )
    assert "more than 256 KiB" in await keys.unavailable_reason()
    assert read == 5


async def test_an_answer_that_never_comes_is_given_up(issuer: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it drips, so that requests do not pile up behind it."""
    monkeypatch.setattr("agentphone_mcp.server.http.auth.jwks._FETCH_SECONDS", 0)

    async def never(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    keys = KeySet(issuer.url, JWKS, inner=httpx.MockTransport(never), clock=clock)
    assert await keys.unavailable_reason() == "the issuer's keys cannot be had: no answer within 0 seconds"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_key_fits_its_own_kind_of_signature_only(algorithm: str, keys: KeySet, issuer: Any) -> None:
    """A key of another type, curve, use or algorithm is nobody's, whatever a token's header says."""
    good = issuer.jwk(algorithm, "good")
    other = issuer.jwk("RS256" if ALGORITHMS[algorithm][0] == "EC" else "ES384", "type")
    issuer.keys = [
        good,
        other,
        good | {"kid": "encryption", "use": "enc"},
        good | {"kid": "operation", "key_ops": ["encrypt"]},
        good | {"kid": "operations", "key_ops": 7},
        good | {"kid": "algorithm", "alg": "HS256"},
        good | {"kid": "curve", "crv": "P-192", "kty": "EC"},
        good | {"kid": "secret", "kty": "oct", "k": "c2VjcmV0"},
        good | {"kid": "private", "d": "AAAA"},
        good | {"kid": "declared", "alg": algorithm},
    ]
    assert (await keys.find("good", algorithm)).algorithm_name == algorithm
    assert await keys.find("declared", algorithm) is not None
    for key in issuer.keys[1:-1]:
        assert await keys.find(key["kid"], algorithm) is None


async def test_two_keys_of_one_name_are_told_apart_by_their_type(keys: KeySet, issuer: Any) -> None:
    """The standard allows it."""
    issuer.keys = [issuer.jwk("ES256", "first"), issuer.jwk("RS256", "first")]
    assert (await keys.find("first", "RS256")).key_type == "RSA"


async def test_a_broken_key_is_an_error_of_its_own(keys: KeySet, issuer: Any) -> None:
    """The verifier knows it as such; the other keys stay good."""
    issuer.keys.append({"kty": "RSA", "kid": "broken", "n": 7, "e": "AQAB"})
    with pytest.raises(jwt.PyJWTError):
        await keys.find("broken", "RS256")
    assert await keys.find("first", "RS256") is not None


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
async def test_the_issuer_says_itself_where_its_keys_are(
    url: str, metadata: str, another_issuer: Callable[[str], Any], clock: Any
) -> None:
    """In one of the two places that the standards name, the newer one first."""
    issuer = another_issuer(url)
    issuer.answers = {
        RFC_8414: httpx.Response(404),
        metadata: httpx.Response(200, json={"issuer": url, "jwks_uri": JWKS}),
    }
    keys = KeySet(url, inner=issuer.transport, clock=clock)
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
async def test_metadata_that_cannot_be_trusted_leads_nowhere(
    metadata: dict[str, str], discovered: KeySet, issuer: Any
) -> None:
    """Whoever can put it there could otherwise sign for the issuer."""
    issuer.answers = dict.fromkeys((RFC_8414, OIDC), httpx.Response(200, json=metadata))
    assert await discovered.find("first", "RS256") is None
    assert issuer.requests == [RFC_8414, OIDC]
    assert "metadata cannot be had" in await discovered.unavailable_reason()


async def test_a_place_that_no_request_can_name_is_a_failure_like_others(discovered: KeySet, issuer: Any) -> None:
    """The parsers of URLs do not agree on everything."""
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
def test_a_place_that_is_not_safe_is_refused_at_the_start(url: str) -> None:
    """Keys that somebody in between can change are worth nothing, and no place is shown with its password."""
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
def test_an_issuer_is_spelled_in_one_way(url: str) -> None:
    """Clients and tokens compare it letter by letter, and what we publish is its plain spelling."""
    with pytest.raises(ConfigError, match="plainly"):
        KeySet(url)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_loopback_needs_no_tls(host: str) -> None:
    """Nobody is in between."""
    assert KeySet(f"http://{host}:8000", f"http://{host}:8000/jwks").issuer == f"http://{host}:8000"


async def test_nothing_is_sent_but_the_question(discovered: KeySet, issuer: Any) -> None:
    """An issuer is a stranger to every key and token of ours."""
    await discovered.find("first", "RS256")
    assert len(issuer.headers) == 2
    for headers in issuer.headers:
        # An answer that is small packed may be huge unpacked.
        assert headers["accept-encoding"] == "identity"
        assert set(headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}
