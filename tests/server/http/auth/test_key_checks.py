"""Check callers' keys with AgentPhone once, and cache the results for a while."""

import asyncio

import httpx
import pytest

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.config.http import HttpSettings
from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.http.faults import parse
from agentphone_mcp.server.http.auth import key_checks
from agentphone_mcp.server.http.auth.base import AuthUnavailable
from agentphone_mcp.server.http.auth.key_checks import KeyChecks

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


def key(number: int) -> ApiKey:
    """Return one of many keys; those with even numbers are valid."""
    return ApiKey(f"sk_test_brought_along_{number:04}")


class AgentPhone:
    """Accepts some keys, and counts how often it is asked.

    Attributes:
        asked: the keys it was asked about, in order.
        is_open: set while it answers.
        is_down: whether it fails.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.is_down = False

    async def check(self, asked: ApiKey) -> bool:
        self.asked.append(asked.account())
        await self.is_open.wait()
        if self.is_down:
            raise AuthUnavailable("down")
        return int(asked.last_four) % 2 == 0


@pytest.mark.parametrize("number", [2, 3], ids=["valid", "invalid"])
async def test_a_key_is_checked_once(number: int) -> None:
    agentphone = AgentPhone()
    checks = KeyChecks(agentphone.check)
    agentphone.is_open.clear()
    results = asyncio.gather(checks.is_valid(key(number)), checks.is_valid(key(number)))
    await asyncio.sleep(0)
    agentphone.is_open.set()
    assert set(await results) | {await checks.is_valid(key(number))} == {number == 2}
    assert len(agentphone.asked) == 1


@pytest.mark.parametrize(
    ("number", "seconds"), [(2, "_VALID_SECONDS"), (3, "_INVALID_SECONDS")], ids=["valid", "invalid"]
)
async def test_a_key_is_checked_again_later(monkeypatch: pytest.MonkeyPatch, number: int, seconds: str) -> None:
    monkeypatch.setattr(key_checks, seconds, 0.0)
    agentphone = AgentPhone()
    checks = KeyChecks(agentphone.check)
    for _ in range(2):
        await checks.is_valid(key(number))
    assert len(agentphone.asked) == 2


async def test_a_failed_check_is_not_cached() -> None:
    agentphone = AgentPhone()
    agentphone.is_down = True
    checks = KeyChecks(agentphone.check)
    with pytest.raises(AuthUnavailable):
        await checks.is_valid(key(2))
    agentphone.is_down = False
    assert await checks.is_valid(key(2))


async def test_a_flood_of_invented_keys_does_not_reach_agentphone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_checks, "_CHECKS_AT_ONCE", 2)
    monkeypatch.setattr(key_checks, "_CHECKS_OF_ONE", 2)
    monkeypatch.setattr(key_checks, "_MOST_WAITING", 3)
    monkeypatch.setattr(key_checks, "_LONGEST_PAUSE", 0.0)
    agentphone = AgentPhone()
    checks = KeyChecks(agentphone.check)
    assert await checks.is_valid(key(2))
    agentphone.is_open.clear()
    flood = [asyncio.create_task(checks.is_valid(key(number))) for number in range(101, 301, 2)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(agentphone.asked) == 1 + 2
    assert await checks.is_valid(key(2))
    agentphone.is_open.set()
    results = await asyncio.gather(*flood, return_exceptions=True)
    assert results.count(False) == 5
    assert sum(isinstance(result, AuthUnavailable) for result in results) == 95


async def test_invented_keys_evict_each_other_and_not_those_of_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_checks, "_MOST_KNOWN", 10)
    monkeypatch.setattr(key_checks, "_LONGEST_PAUSE", 0.0)
    agentphone = AgentPhone()
    checks = KeyChecks(agentphone.check)
    for number in (2, *range(101, 301, 2)):
        await checks.is_valid(key(number))
    before = len(agentphone.asked)
    assert await checks.is_valid(key(2))
    assert len(agentphone.asked) == before
    await checks.is_valid(key(101))
    assert len(agentphone.asked) == before + 1


async def ask(url: str, key: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.post(f"{url}/mcp", json=LIST, headers=HEADERS | {"X-API-Key": key})


async def test_an_invented_key_gets_the_same_answer_as_none(hosting, sandbox: Sandbox) -> None:
    async with hosting(HttpSettings(auth="relay"), api_key=None, uses_caller_keys=True) as url:
        invented, none = await ask(url, "sk_test_invented_by_a_stranger"), await ask(url, "")
    assert (invented.status_code, none.status_code) == (401, 401)
    assert invented.text == none.text
    assert "Send your own AgentPhone key" in invented.text


@pytest.mark.parametrize(
    "fault",
    ["status=429 retry-after=9", "status=503 retry-after=9", "drop-before"],
    ids=["busy", "down", "not-reached"],
)
async def test_a_new_key_gets_503_while_agentphone_cannot_be_asked(hosting, sandbox: Sandbox, fault: str) -> None:
    sandbox.faults.rules.append(parse(f"GET /v1/usage {fault} always"))
    async with hosting(HttpSettings(auth="relay"), api_key=None, uses_caller_keys=True) as url:
        answer = await ask(url, sandbox.key)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "Try again in a moment" in answer.json()["error"]["message"]


async def test_any_other_error_leaves_the_key_valid(hosting, dial, sandbox: Sandbox) -> None:
    sandbox.faults.rules.append(parse("GET /v1/usage status=403 always"))
    async with (
        hosting(HttpSettings(auth="relay"), api_key=None, uses_caller_keys=True) as url,
        dial(url, {"X-API-Key": sandbox.key}) as client,
    ):
        assert (await client.list_tools()).tools
