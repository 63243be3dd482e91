"""Keys that callers bring: AgentPhone is asked about new ones, and what it says is remembered for a while."""

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
    """One of many keys; those with even numbers are known."""
    return ApiKey(f"sk_test_brought_along_{number:04}")


class AgentPhone:
    """SurfaceOf some keys, and how often it was asked.

    Attributes:
        asked: which keys, in their order.
        is_open: set while it answers.
        is_down: whether it cannot be asked.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.is_down = False

    async def knows(self, asked: ApiKey) -> bool:
        """Say whether a key is known."""
        self.asked.append(asked.account())
        await self.is_open.wait()
        if self.is_down:
            raise AuthUnavailable("down")
        return int(asked.last_four) % 2 == 0


@pytest.mark.parametrize("number", [2, 3], ids=["known", "unknown"])
async def test_a_key_is_asked_about_once(number: int) -> None:
    """By two requests at once, and by the next ones."""
    there = AgentPhone()
    checks = KeyChecks(there.knows)
    there.is_open.clear()
    both = asyncio.gather(checks.is_known(key(number)), checks.is_known(key(number)))
    await asyncio.sleep(0)
    there.is_open.set()
    assert set(await both) | {await checks.is_known(key(number))} == {number == 2}
    assert len(there.asked) == 1


@pytest.mark.parametrize(("number", "seconds"), [(2, "_GOOD_SECONDS"), (3, "_WRONG_SECONDS")], ids=["known", "unknown"])
async def test_a_key_is_asked_about_again_later(monkeypatch: pytest.MonkeyPatch, number: int, seconds: str) -> None:
    """Keys are made and revoked."""
    monkeypatch.setattr(key_checks, seconds, 0.0)
    there = AgentPhone()
    checks = KeyChecks(there.knows)
    for _ in range(2):
        await checks.is_known(key(number))
    assert len(there.asked) == 2


async def test_what_could_not_be_asked_is_asked_again() -> None:
    """A moment of unavailable_reason is no verdict."""
    there = AgentPhone()
    there.is_down = True
    checks = KeyChecks(there.knows)
    with pytest.raises(AuthUnavailable):
        await checks.is_known(key(2))
    there.is_down = False
    assert await checks.is_known(key(2))


async def test_a_flood_of_invented_keys_does_not_reach_agentphone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are asked about at once, some wait, and the others are told to come again; who is known goes on."""
    monkeypatch.setattr(key_checks, "_ASKED_AT_ONCE", 2)
    monkeypatch.setattr(key_checks, "_WAITING", 3)
    there = AgentPhone()
    checks = KeyChecks(there.knows)
    assert await checks.is_known(key(2))
    there.is_open.clear()
    flood = [asyncio.create_task(checks.is_known(key(number))) for number in range(101, 301, 2)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(there.asked) == 1 + 2
    assert await checks.is_known(key(2))
    there.is_open.set()
    told = await asyncio.gather(*flood, return_exceptions=True)
    assert told.count(False) == 5
    assert sum(isinstance(one, AuthUnavailable) for one in told) == 95


async def test_invented_keys_push_out_each_other_and_not_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered has an end, and strangers must not cost the callers their place."""
    monkeypatch.setattr(key_checks, "_REMEMBERED", 10)
    there = AgentPhone()
    checks = KeyChecks(there.knows)
    for number in (2, *range(101, 301, 2)):
        await checks.is_known(key(number))
    before = len(there.asked)
    assert await checks.is_known(key(2))
    assert len(there.asked) == before
    await checks.is_known(key(101))
    assert len(there.asked) == before + 1


async def ask(url: str, brought: str) -> httpx.Response:
    """List the tools with a key."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.post(f"{url}/mcp", json=LIST, headers=HEADERS | {"X-API-Key": brought})


async def test_an_invented_key_is_refused_like_none(hosting, sandbox: Sandbox) -> None:
    """With the same answer, and before anything is kept for whoever brought it."""
    async with hosting(HttpSettings(auth="relay"), api_key=None, uses_caller_keys=True) as url:
        invented, none = await ask(url, "sk_test_invented_by_a_stranger"), await ask(url, "")
    assert (invented.status_code, none.status_code) == (401, 401)
    assert invented.text == none.text
    assert "Send your own AgentPhone key" in invented.text


@pytest.mark.parametrize(
    "unavailable_reason",
    ["status=429 retry-after=9", "status=503 retry-after=9", "drop-before"],
    ids=["busy", "down", "not-reached"],
)
async def test_a_new_key_has_to_wait_while_agentphone_cannot_be_asked(
    hosting, sandbox: Sandbox, unavailable_reason: str
) -> None:
    """It is not called wrong."""
    sandbox.faults.rules.append(parse(f"GET /v1/usage {unavailable_reason} always"))
    async with hosting(HttpSettings(auth="relay"), api_key=None, uses_caller_keys=True) as url:
        answer = await ask(url, sandbox.key)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "Try again in a moment" in answer.json()["error"]["message"]


async def test_what_else_is_wrong_is_said_by_the_tools(hosting, dial, sandbox: Sandbox) -> None:
    """A key that AgentPhone knows is let in, however little it will do for it."""
    sandbox.faults.rules.append(parse("GET /v1/usage status=403 always"))
    async with (
        hosting(HttpSettings(auth="relay"), api_key=None, uses_caller_keys=True) as url,
        dial(url, {"X-API-Key": sandbox.key}) as client,
    ):
        assert (await client.list_tools()).tools
