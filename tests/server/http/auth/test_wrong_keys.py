"""Check the keys of newcomers while others send wrong ones, and pass on nothing that is no key of AgentPhone's."""

import asyncio
from itertools import count

import anyio
import httpx
import pytest
from starlette.datastructures import Headers

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.server.http.auth import key_checks
from agentphone_mcp.server.http.auth.base import AuthUnavailable
from agentphone_mcp.server.http.auth.key_checks import KeyChecks
from agentphone_mcp.server.http.auth.own_key import OwnKeyAuth
from tests.server.http.middleware.requests import ACCEPT
from tests.support import HELLO, PATIENCE

LOCKED_OUT = pytest.mark.attack("17", "wrong keys lock out who has a right one")
PASSED_ON = pytest.mark.attack("17", "what is no key is passed on as one")
HONEST = ApiKey("sk_test_brought_along_by_ann")
_numbers = count()


def invented() -> ApiKey:
    return ApiKey(f"sk_test_invented_{next(_numbers):06}")


async def check(key: ApiKey) -> bool:
    """Answer as AgentPhone does, after a moment."""
    await anyio.sleep(0.02)
    return key.reveal() == HONEST.reveal()


@LOCKED_OUT
@pytest.mark.parametrize("sender", ["192.0.2.1", "192.0.2.2"], ids=["same-address", "another-address"])
async def test_a_newcomer_is_let_in_beside_a_crowd_with_invented_keys(sender: str) -> None:
    """150 connections were enough to have every new key refused."""
    checks = KeyChecks(check)

    async def guess() -> None:
        while True:
            await checks.is_valid(invented(), "192.0.2.1")

    async with anyio.create_task_group() as tasks:
        for _ in range(150):
            tasks.start_soon(guess)
        await anyio.sleep(0.1)
        with anyio.fail_after(PATIENCE):
            assert await checks.is_valid(HONEST, sender)
        tasks.cancel_scope.cancel()


@LOCKED_OUT
async def test_one_address_leaves_checks_to_others() -> None:
    checked: list[str] = []
    is_open = anyio.Event()

    async def waits(key: ApiKey) -> bool:
        checked.append(key.reveal())
        await is_open.wait()
        return True

    checks = KeyChecks(waits)
    async with anyio.create_task_group() as tasks:
        for _ in range(300):
            tasks.start_soon(checks.is_valid, invented(), "192.0.2.1")
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(checked) == key_checks._CHECKS_OF_ONE
        tasks.start_soon(checks.is_valid, HONEST, "192.0.2.2")
        for _ in range(5):
            await asyncio.sleep(0)
        assert checked[-1] == HONEST.reveal()
        is_open.set()
    assert not checks._waiting.total()


@LOCKED_OUT
async def test_too_many_waiting_keys_of_one_address_are_refused_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_checks, "_MOST_WAITING_OF_ONE", 4)
    is_open = anyio.Event()

    async def waits(key: ApiKey) -> bool:
        await is_open.wait()
        return True

    checks = KeyChecks(waits)
    flood = [asyncio.create_task(checks.is_valid(invented(), "192.0.2.1")) for _ in range(40)]
    for _ in range(5):
        await asyncio.sleep(0)
    honest = asyncio.create_task(checks.is_valid(HONEST, "192.0.2.2"))
    await asyncio.sleep(0)
    is_open.set()
    results = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(result, AuthUnavailable) for result in results) == 40 - key_checks._CHECKS_OF_ONE - 4
    assert await honest


@LOCKED_OUT
async def test_wrong_keys_are_answered_ever_later_and_right_ones_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def answers(key: ApiKey) -> bool:
        return key.reveal() == HONEST.reveal()

    checks = KeyChecks(answers)
    monkeypatch.setattr(key_checks.anyio, "sleep", sleep)
    for _ in range(100):
        await checks.is_valid(invented(), "192.0.2.1")
    assert len(pauses) == 100 - key_checks._FREE_MISTAKES
    assert pauses == sorted(pauses)
    assert pauses[-1] == key_checks._LONGEST_PAUSE
    del pauses[:]
    assert await checks.is_valid(HONEST, "192.0.2.1")
    assert not await checks.is_valid(invented(), "192.0.2.2")
    assert pauses == []


@LOCKED_OUT
async def test_a_wrong_key_is_forgiven_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(key_checks.anyio, "current_time", lambda: now)
    mistakes = key_checks._Mistakes()
    for _ in range(key_checks._FREE_MISTAKES):
        assert mistakes.count() == 0
    assert mistakes.count() > 0
    now += key_checks._FORGIVEN_AFTER * 2
    assert mistakes.count() == 0


@LOCKED_OUT
async def test_a_newcomer_is_let_in_over_http_beside_a_crowd(hosting, sandbox: Sandbox) -> None:
    async with (
        hosting(HttpSettings(auth="relay"), api_key=None, uses_caller_keys=True) as url,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE, limits=httpx.Limits(max_connections=None)) as http,
    ):

        async def send(key: str) -> int:
            return (await http.post(f"{url}/mcp", json=HELLO, headers=ACCEPT | {"X-API-Key": key})).status_code

        crowd = [asyncio.create_task(send(invented().reveal())) for _ in range(150)]
        await asyncio.sleep(0.05)
        assert await send(sandbox.key) == 200
        assert set(await asyncio.gather(*crowd)) == {401}


@PASSED_ON
@pytest.mark.parametrize(
    "given",
    [
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
        "sk-proj-0123456789abcdef",
        "apmcp_0123456789abcdef0123456789abcdef",
        "sk_live_short",
        "sk_LIVE_0123456789abcdef",
        "sk_live_0123456789/../../etc",
        "sk_live_" + "x" * 300,
        "sk__0123456789abcdef",
    ],
)
async def test_what_does_not_look_like_a_key_is_not_passed_on(given: str) -> None:
    async def ask(key: ApiKey) -> bool:
        raise AssertionError("it was passed on")

    auth = OwnKeyAuth("https://api.agentphone.to", 1)
    auth._checks = KeyChecks(ask)
    assert await auth.authenticate(Headers({"X-API-Key": given})) is None
    assert await auth.authenticate(Headers({"Authorization": f"Bearer {given}"})) is None
