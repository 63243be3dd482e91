"""Requests are paced for the key and for each caller, fairly, and by the API's own limits."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from agentphone_mcp.api import pacing
from agentphone_mcp.api.agents import AgentFields
from agentphone_mcp.api.allowlist import DEFAULT_BASE_URL
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import Paced, RequestLine
from agentphone_mcp.api.pacing import Pace, on_behalf_of
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.features.presentation.error_messages import explain
from tests.api.conftest import Network
from tests.support import LIVE_KEY

READ = RequestLine("GET", "/v1/calls")


class Time:
    """A clock and a sleep of its own: a minute passes at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, anyio.Event]] = []

    def read(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = anyio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def pass_(self, seconds: float) -> None:
        """Wake who sleeps, one after the other, until so many seconds have passed."""
        end = self.now + seconds
        await anyio.wait_all_tasks_blocked()
        while due := sorted((at, index) for index, (at, _) in enumerate(self._sleepers) if at <= end):
            at, index = due[0]
            self.now = max(self.now, at)
            self._sleepers.pop(index)[1].set()
            await anyio.wait_all_tasks_blocked()
        self.now = end


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(pacing, "now", time.read)
    monkeypatch.setattr(pacing, "sleep", time.sleep)
    return time


async def send(pace: Pace, caller: str, count: int = 1, line: RequestLine = READ) -> list[float]:
    """Send requests at once; return after how many seconds those that were held back may come again."""
    refused: list[float] = []

    async def one() -> None:
        try:
            with on_behalf_of(caller):
                await pace.admit(line)
        except Paced as exc:
            refused.append(exc.retry_after)

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
    return refused


@pytest.mark.attack("16", "one caller uses up the operator's key")
async def test_no_more_than_its_rate_is_sent_in_any_minute(time: Time) -> None:
    pace = Pace(600, is_shared=False)
    sent: list[float] = []

    async def keep_asking() -> None:
        while True:
            await pace.admit(READ)
            sent.append(time.now)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_asking)
        await time.pass_(200)
        tasks.cancel_scope.cancel()
    most = max(sum(start <= at < start + 60 for at in sent) for start in sent)
    assert 550 <= most <= 601
    assert len(sent) >= 300 + 200 * 5 - 2


@pytest.mark.attack("16", "one caller uses up the operator's key")
async def test_one_caller_has_half_of_it_and_is_told_when_to_come_back(time: Time) -> None:
    pace = Pace(600, is_shared=True)
    async with anyio.create_task_group() as tasks:
        refused: list[float] = []

        async def flood() -> None:
            refused.extend(await send(pace, "flood", 1_000))

        tasks.start_soon(flood)
        await time.pass_(0)
        # Those that do not wait were sent or refused at once.
        await time.pass_(10)
    assert 820 <= len(refused) <= 850
    assert all(5 <= seconds <= 400 for seconds in refused)
    assert await send(pace, "honest", 100) == []


@pytest.mark.attack("16", "one caller keeps the others from their turn")
async def test_whoever_asks_for_little_is_served_between_those_who_ask_for_much(time: Time) -> None:
    pace = Pace(600, is_shared=True)
    waited: list[float] = []
    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(send, pace, f"flood {number}", 200)
        await time.pass_(1)

        async def honest() -> None:
            for _ in range(10):
                asked = time.now
                assert await send(pace, "honest") == []
                waited.append(time.now - asked)

        tasks.start_soon(honest)
        for _ in range(20):
            for number in range(5):
                tasks.start_soon(send, pace, f"flood {number}", 10)
            await time.pass_(1)
        tasks.cancel_scope.cancel()
    assert len(waited) == 10
    assert max(waited) <= 5


@pytest.mark.parametrize(("line", "most"), pacing._LIMITS_OF_WRITES.items(), ids=str)
async def test_the_apis_own_limits_are_kept(time: Time, line: str, most: int) -> None:
    pace = Pace(6_000, is_shared=False)
    method, path = line.split()
    refused = await send(pace, "", most + 3, RequestLine(method, path, {"agent_id": "x", "number_id": "x"}))
    assert refused == [60, 60, 60]
    assert await send(pace, "", 1) == []
    await time.pass_(60)
    assert await send(pace, "", most, RequestLine(method, path)) == []


async def test_hanging_up_is_never_held_back(time: Time) -> None:
    pace = Pace(2, is_shared=True)
    assert len(await send(pace, "", 5)) == 4
    assert await send(pace, "", 5, RequestLine("POST", "/v1/calls/{call_id}/end", {"call_id": "x"})) == []


async def test_a_request_that_is_given_up_leaves_its_place(time: Time) -> None:
    pace = Pace(60, is_shared=False)
    await send(pace, "", 30)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(send, pace, "leaving", 1)
        await time.pass_(0)
        tasks.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send, pace, "staying", 1)
        await time.pass_(2.1)
    assert pace._waiting == []


async def test_callers_who_left_are_forgotten(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_MOST_CALLERS", 10)
    pace = Pace(60_000, is_shared=True)
    for number in range(100):
        assert await send(pace, f"caller {number}") == []
        await time.pass_(60)
    assert len(pace._callers) <= 11


Ask = Callable[[ApiClient], Awaitable[Any]]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (
            lambda api: api.agents.list(),
            "GET /v1/agents was not sent: this account has sent as many requests as it may",
        ),
        (lambda api: api.agents.create(AgentFields(name="One")), "POST /v1/agents was not sent: this account"),
    ],
    ids=["read", "write"],
)
async def test_a_held_back_request_is_not_sent_and_says_when_to_come_back(
    answering: Network, time: Time, ask: Ask, words: str
) -> None:
    network = answering({"data": []})
    transport = Transport(DEFAULT_BASE_URL, ApiKey(LIVE_KEY), inner=network.transport, pace=Pace(2, is_shared=False))
    async with ApiClient(transport) as api:
        await api.agents.list()
        with pytest.raises(Paced) as held:
            await ask(api)
        with pytest.raises(Paced):
            async with api.calls.follow("call_1"):
                pass
    assert len(network.requests) == 1
    assert explain(held.value).startswith(words)
    assert explain(held.value).endswith("Nothing was done; try again in 60 seconds.")
