"""Check the course of a call, on a clock that does not wait."""

import asyncio
import itertools
import logging
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from agentphone_mcp.sandbox.calls.replies import Replies, Reply, Script
from agentphone_mcp.sandbox.calls.simulator import CallSimulator
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.callees import callee_at
from agentphone_mcp.sandbox.data.models import Account, Call

FRIEND = "+14155559999"


class SkippingClock(Clock):
    """Skip every sleep, so that durations are exact."""

    def __init__(self) -> None:
        super().__init__()
        self._now = self.started_at

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class Desk:
    """Hold a simulator with an account, without HTTP."""

    def __init__(self) -> None:
        self.account = Account()
        self.clock = SkippingClock()
        self.simulator = CallSimulator(self.account, self.clock)

    async def hold(self, to_number: str, replies: Replies | None = None) -> Call:
        call = Call(
            id="call_1",
            agent_id="agt_1",
            number_id="num_1",
            phone_number="+14155550100",
            from_number="+14155550100",
            to_number=to_number,
            direction="outbound",
            mode="hosted",
            started_at=self.clock.now(),
            greeting="Hello, this is an AI.",
            prompt="Confirm the appointment.",
        )
        with self.simulator.listening(call) as news:
            self.simulator.dial(call, callee_at(to_number), replies or Script())
            async with asyncio.timeout(60):
                while call.is_live:
                    await news.wait()
                    news.clear()
        return call


@pytest.mark.parametrize(
    ("number", "rings"),
    [
        pytest.param(FRIEND, 3, id="friend"),
        pytest.param("+14155550103", 12, id="machine"),
        pytest.param("+14155550108", 20, id="late"),
    ],
)
async def test_a_call_rings_before_it_is_answered(number: str, rings: int) -> None:
    call = await Desk().hold(number)
    assert call.answered_at == call.started_at + timedelta(seconds=rings)


async def test_nobody_rings_for_more_than_half_a_minute() -> None:
    call = await Desk().hold("+14155550102")
    assert call.ended_at == call.started_at + timedelta(seconds=30)


async def test_a_friendly_call_takes_about_half_a_minute() -> None:
    call = await Desk().hold(FRIEND)
    times = [call.answered_at or call.started_at, *(turn.at for turn in call.turns)]
    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
    assert 30 <= (call.seconds or 0) <= 40
    assert all(3 <= pause <= 5 for pause in pauses)


async def test_two_calls_alike_are_told_alike() -> None:
    first, second = await Desk().hold(FRIEND), await Desk().hold(FRIEND)
    assert [(turn.role, turn.content) for turn in first.turns] == [(turn.role, turn.content) for turn in second.turns]
    assert first.seconds == second.seconds


async def test_a_call_is_charged_at_its_end() -> None:
    desk = Desk()
    call = await desk.hold(FRIEND)
    (charge,) = desk.account.balance.charges
    assert charge.amount == (Decimal("0.22") * (call.seconds or 0) / 60).quantize(Decimal("0.0001"))
    assert (charge.at, charge.reason) == (call.ended_at, "call call_1")


async def test_a_call_lasts_no_longer_than_its_money() -> None:
    desk = Desk()
    desk.account.balance.amount = Decimal("0.11")
    call = await desk.hold("+14155550109")
    assert (call.status, call.seconds, desk.account.balance.amount) == ("completed", 30, 0)


async def test_whoever_speaks_for_the_agent_may_break_only_this_call(caplog: pytest.LogCaptureFixture) -> None:

    class Broken:
        async def reply(self, call: Call, heard: str) -> Reply:
            raise RuntimeError("out of words")

    with caplog.at_level(logging.ERROR):
        call = await Desk().hold(FRIEND, Broken())
    assert call.status == "failed"
    assert "out of words" in caplog.text


async def test_closing_leaves_no_call_running() -> None:
    desk = Desk()
    before = asyncio.all_tasks()
    call = Call("call_1", "agt_1", None, None, "web", "web", "web", "hosted", desk.clock.now())
    desk.simulator.await_browser(call)
    with desk.simulator.listening(call) as news:
        await desk.simulator.aclose()
        assert news.is_set()
    assert asyncio.all_tasks() == before
