"""However many watch a call, it is followed once upstream, for as long as one of them watches."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from mcp.shared.exceptions import MCPDeprecationWarning

from tests.features.live.scripted_call import Progress, follow
from tests.features.live.subscriber import CALL_1, FakeCall, Updates, subscribed

pytestmark = pytest.mark.filterwarnings(f"ignore::{MCPDeprecationWarning.__module__}.MCPDeprecationWarning")
MANY = 100


class SharedCall(FakeCall):
    """Imitate an API with a call that several follow at once: each stream is told of everything."""

    def __init__(self, turns: int = 0, *, has_stream: bool = True) -> None:
        super().__init__(turns)
        self.paths: list[str] = []
        self.open = 0
        self._has_stream = has_stream
        self._news = anyio.Event()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        if request.url.path.endswith("/stream") and not self._has_stream:
            return httpx.Response(404, json={"detail": "no"})
        return super().__call__(request)

    def speak(self) -> None:
        self.turns.append(self._turn(len(self.turns)))
        self._tell()

    def end(self) -> None:
        self.status = "completed"
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _stream(self, past: list[dict[str, str]]) -> Any:
        self.open += 1
        told = 0
        try:
            yield self._frame("connected", {"status": "in-progress"})
            while True:
                news = self._news
                while told < len(self.turns):
                    told += 1
                    yield self._frame("turn", self.turns[told - 1])
                if self.status == "completed":
                    yield self._frame("ended", {"status": "completed"})
                    return
                await news.wait()
        finally:
            self.open -= 1


Assist = Callable[..., Any]
Eventually = Callable[..., Awaitable[None]]


async def wait(ai: Any, results: list[dict[str, Any]], progress: Progress | None = None, **arguments: Any) -> None:
    results.append(await follow(ai, progress, call_id="call_1", **arguments))


@pytest.mark.attack("16", "what many watch is asked for by each of them")
async def test_a_hundred_who_wait_for_a_call_are_one_stream_and_one_read(assistant: Assist, answering: Any) -> None:
    call, results = SharedCall(2), list[dict[str, Any]]()
    listeners = [Progress() for _ in range(MANY)]
    async with assistant(answering(call)) as ai, anyio.create_task_group() as tasks:
        for progress in listeners:
            tasks.start_soon(wait, ai, results, progress)
        for progress in listeners:
            await progress.reach(2)
        call.speak()
        for progress in listeners:
            await progress.reach(3)
        call.end()
    assert len(results) == MANY
    assert all((result["ended"], len(result["turns"])) == (True, 3) for result in results)
    assert all(progress.counts == [1, 2, 3] for progress in listeners)
    assert len(call.paths) == 3, call.paths


@pytest.mark.attack("16", "what many watch is asked for by each of them")
async def test_all_whose_time_is_over_share_the_last_read(assistant: Assist, answering: Any) -> None:
    call, results = SharedCall(2), list[dict[str, Any]]()
    async with assistant(answering(call)) as ai, anyio.create_task_group() as tasks:
        for _ in range(MANY):
            tasks.start_soon(wait, ai, results)
        for _ in range(MANY):
            tasks.start_soon(lambda: wait(ai, results, max_seconds=1))
        with anyio.fail_after(60):
            while len(results) < MANY:  # noqa: ASYNC110 - results of a client set no event
                await anyio.sleep(0.05)
        assert all((result["ended"], len(result["turns"])) == (False, 2) for result in results)
        assert call.open == 1, "others are still there"
        call.end()
    assert len(results) == 2 * MANY
    # A stream, the reads of those whose time was over within some seconds, and the last read.
    assert call.paths.count("/v1/calls/call_1/transcript/stream") == 1
    assert len(call.paths) <= 1 + 2 * 5


@pytest.mark.attack("16", "what many watch is asked for by each of them")
async def test_without_a_stream_all_share_the_polling(assistant: Assist, answering: Any) -> None:
    call, results = SharedCall(2, has_stream=False), list[dict[str, Any]]()
    listeners = [Progress() for _ in range(MANY)]
    async with assistant(answering(call)) as ai, anyio.create_task_group() as tasks:
        for progress in listeners:
            tasks.start_soon(wait, ai, results, progress)
        for progress in listeners:
            await progress.reach(2)
        asked = len(call.paths)
        call.end()
    assert all(result["ended"] for result in results)
    assert asked <= 1 + 2 * 10
    assert len(call.paths) <= asked + 2 * 3


@pytest.mark.attack("16", "what many watch is asked for by each of them")
async def test_subscribers_and_those_who_wait_share_a_stream(connect_to: Any, answering: Any, mode: str) -> None:
    call, updates, results = SharedCall(1), Updates(), list[dict[str, Any]]()
    listeners = [Progress() for _ in range(5)]
    async with connect_to(answering(call), mode, hears=updates) as client:
        ai = SimpleNamespace(client=client)
        async with subscribed(client, CALL_1), anyio.create_task_group() as tasks:
            for progress in listeners:
                tasks.start_soon(wait, ai, results, progress)
            for progress in listeners:
                await progress.reach(1)
            call.speak()
            assert await updates.next() == [CALL_1]
            assert call.open == 1
            call.end()
    assert [len(result["turns"]) for result in results] == [2] * 5
    assert call.paths.count("/v1/calls/call_1/transcript/stream") == 1


async def test_a_newcomer_gets_the_turns_so_far_and_the_last_to_leave_closes_the_stream(
    assistant: Assist, answering: Any, eventually: Eventually
) -> None:
    call, first, late = SharedCall(2), Progress(), Progress()
    async with assistant(answering(call)) as ai:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, ai, [], first)
            await first.reach(2)
            async with anyio.create_task_group() as more:
                more.start_soon(wait, ai, [], late)
                await late.reach(2)
                call.speak()
                await late.reach(3)
                tasks_left = call.open
                more.cancel_scope.cancel()
            call.speak()
            await first.reach(4)
            assert (tasks_left, call.open) == (1, 1)
            tasks.cancel_scope.cancel()
        await eventually(lambda: call.open == 0)
        call.end()
        assert (await follow(ai, call_id="call_1"))["ended"] is True
    assert (first.counts, late.counts) == ([1, 2, 3, 4], [1, 2, 3])


async def test_an_error_reaches_all_who_wait(assistant: Assist, answering: Any) -> None:
    recorder = answering({"detail": "Invalid key."}, 401)
    messages: list[str] = []

    async def ask(ai: Any) -> None:
        messages.append(await ai.refused("wait_for_call", call_id="call_1"))

    async with assistant(recorder) as ai, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask, ai)
    assert len(messages) == 20
    assert all("AGENTPHONE_API_KEY" in message for message in messages)
    assert len(recorder.requests) < 20


@pytest.mark.attack("16", "one caller follows calls without end")
async def test_so_many_calls_are_followed_and_no_more(
    assistant: Assist, answering: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr("agentphone_mcp.features.live.transcripts._MOST_OF_ONE_CALLER", 2)
    call = SharedCall(1)
    async with assistant(answering(call)) as ai, anyio.create_task_group() as tasks:
        for number in (1, 2):
            tasks.start_soon(ai.client.call_tool, "wait_for_call", {"call_id": f"call_{number}"})
        await eventually(lambda: call.open == 2)
        assert "2 calls are followed for you" in await ai.refused("wait_for_call", call_id="call_3")
        assert (await follow(ai, call_id="call_2", max_seconds=1))["ended"] is False
        tasks.cancel_scope.cancel()
    async with assistant(answering(SharedCall(1))) as ai:
        assert (await follow(ai, call_id="call_3", max_seconds=1))["ended"] is False


async def test_whoever_is_paced_is_told_when_to_come_back(assistant: Assist, answering: Any) -> None:
    recorder = answering(SharedCall(1))
    async with assistant(recorder, requests_per_minute=10) as ai:
        for _ in range(5):
            await ai.client.call_tool("list_calls", {})
        with anyio.fail_after(60):
            message = await ai.refused("wait_for_call", call_id="call_1", max_seconds=1)
    assert "was not sent: this account has sent as many requests as it may" in message
    assert "try again in" in message
