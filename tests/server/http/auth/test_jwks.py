"""Fetch an issuer's keys rarely, and trust them for a day after the last fetch."""

import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx
import jwt
import pytest

from agentphone_mcp.server.http.auth.jwks import ALGORITHMS, KeySet

JWKS = "https://issuer.example/jwks"
DAY = 24 * 3600


@pytest.fixture
def keys(issuer: Any, clock: Any) -> KeySet:
    return KeySet(issuer.url, JWKS, transport=issuer.transport, clock=clock)


async def test_a_key_is_found_by_its_id_with_one_request(keys: KeySet, issuer: Any) -> None:
    for _ in range(3):
        assert (await keys.find("first", "RS256")).key_id == "first"
    assert issuer.requests == ["/jwks"]


async def test_many_at_once_share_one_request(issuer: Any, clock: Any) -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        issuer.requests.append(request.url.path)
        await anyio.lowlevel.checkpoint()
        return httpx.Response(200, json={"keys": issuer.keys})

    keys = KeySet(issuer.url, JWKS, transport=httpx.MockTransport(slow), clock=clock)
    keys_found = []

    async def find(kid: str) -> None:
        keys_found.append(await keys.find(kid, "RS256"))

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(find, "first" if number % 2 else "nobody's")
    assert issuer.requests == ["/jwks"]
    assert sum(key is not None for key in keys_found) == 25


async def test_while_keys_are_fetched_again_the_old_ones_are_used(
    issuer: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    requested, answer = anyio.Event(), anyio.Event()

    async def slow_refresh(_: httpx.Request) -> httpx.Response:
        if keys.is_good:
            requested.set()
            await answer.wait()
        return httpx.Response(200, json={"keys": issuer.keys})

    keys = KeySet(issuer.url, JWKS, transport=httpx.MockTransport(slow_refresh), clock=clock)
    await keys.find("first", "RS256")
    clock.now += 301
    async with anyio.create_task_group() as group:
        group.start_soon(keys.find, "first", "RS256")
        await requested.wait()
        assert await keys.find("first", "RS256") is not None
        answer.set()
    # If the second request had waited too, the fetch would have timed out with a warning.
    assert caplog.messages == []


async def test_a_cancelled_request_does_not_stop_the_fetch(issuer: Any, clock: Any) -> None:
    """Otherwise clients that disconnect could make every request fetch anew."""
    requested, answer = anyio.Event(), anyio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        issuer.requests.append(request.url.path)
        requested.set()
        await answer.wait()
        return httpx.Response(200, json={"keys": issuer.keys})

    keys = KeySet(issuer.url, JWKS, transport=httpx.MockTransport(slow), clock=clock)
    async with anyio.create_task_group() as group:
        group.start_soon(keys.find, "first", "RS256")
        await requested.wait()
        group.cancel_scope.cancel()
        answer.set()
    assert await keys.find("first", "RS256") is not None
    assert issuer.requests == ["/jwks"]


async def test_keys_are_fetched_again_after_five_minutes(keys: KeySet, issuer: Any, clock: Any) -> None:
    await keys.find("first", "RS256")
    issuer.keys = [issuer.jwk("RS256", "second")]
    clock.now += 299
    assert await keys.find("first", "RS256") is not None
    clock.now += 1
    assert await keys.find("first", "RS256") is None


async def test_unknown_keys_cause_one_fetch_in_thirty_seconds(keys: KeySet, issuer: Any, clock: Any) -> None:
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


async def test_a_new_key_is_found_before_five_minutes_are_over(keys: KeySet, issuer: Any, clock: Any) -> None:
    await keys.find("first", "RS256")
    issuer.keys.append(issuer.jwk("ES256", "second"))
    clock.now += 30
    assert (await keys.find("second", "ES256")).key_id == "second"
    assert await keys.find("first", "RS256") is not None


async def test_keys_outlive_their_issuer_for_a_day(
    keys: KeySet, issuer: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
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


async def test_an_unreachable_issuer_is_asked_every_thirty_seconds_and_logged_once(
    keys: KeySet, issuer: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
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
async def test_an_answer_without_keys_is_reported(keys: KeySet, issuer: Any, answer: httpx.Response, why: str) -> None:
    issuer.answers["/jwks"] = answer
    assert await keys.find("first", "RS256") is None
    assert why in await keys.unavailable_reason()
    assert issuer.requests == ["/jwks"]


async def test_an_unexpected_error_delays_the_next_fetch_too(issuer: Any, clock: Any) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        issuer.requests.append(request.url.path)
        raise RuntimeError("a mistake")

    keys = KeySet(issuer.url, JWKS, transport=httpx.MockTransport(fail), clock=clock)
    with pytest.raises(RuntimeError):
        await keys.find("first", "RS256")
    assert await keys.find("first", "RS256") is None
    assert issuer.requests == ["/jwks"]


async def test_an_endless_answer_is_read_up_to_the_limit(issuer: Any, clock: Any) -> None:
    read = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b" " * 65_536

    keys = KeySet(
        issuer.url, JWKS, transport=httpx.MockTransport(lambda _: httpx.Response(200, content=endless())), clock=clock
    )
    assert "more than 256 KiB" in await keys.unavailable_reason()
    assert read == 5


async def test_a_fetch_times_out(issuer: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentphone_mcp.server.http.auth.jwks._FETCH_SECONDS", 0)

    async def never(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    keys = KeySet(issuer.url, JWKS, transport=httpx.MockTransport(never), clock=clock)
    assert await keys.unavailable_reason() == "the issuer's keys cannot be had: no answer within 0 seconds"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_key_is_used_for_its_own_algorithm_only(algorithm: str, keys: KeySet, issuer: Any) -> None:
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


async def test_two_keys_with_one_id_are_distinguished_by_their_type(keys: KeySet, issuer: Any) -> None:
    issuer.keys = [issuer.jwk("ES256", "first"), issuer.jwk("RS256", "first")]
    assert (await keys.find("first", "RS256")).key_type == "RSA"


async def test_an_invalid_key_raises_and_leaves_the_others_valid(keys: KeySet, issuer: Any) -> None:
    issuer.keys.append({"kty": "RSA", "kid": "broken", "n": 7, "e": "AQAB"})
    with pytest.raises(jwt.PyJWTError):
        await keys.find("broken", "RS256")
    assert await keys.find("first", "RS256") is not None
