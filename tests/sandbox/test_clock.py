"""Check the sandbox's clock."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from agentphone_mcp.sandbox.clock import Clock


async def test_time_passes_at_the_given_speed() -> None:
    clock = Clock(speed=1000)
    before, real = clock.now(), time.monotonic()
    await clock.sleep(60)
    assert timedelta(seconds=60) <= clock.now() - before
    assert time.monotonic() - real < 20


def test_the_clock_starts_at_the_real_now_in_utc() -> None:
    now = Clock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("speed", [pytest.param(0, id="zero"), pytest.param(-1, id="negative")])
def test_time_cannot_stand_still_or_run_backwards(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        Clock(speed)


async def test_a_moved_clock_wakes_sleepers_in_their_order_and_at_their_time() -> None:
    clock = Clock()
    start, woken = clock.now(), []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, round((clock.now() - start).total_seconds())))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("nap", 60, 120))
        group.create_task(sleeper("hour", 3_600))
        late = group.create_task(sleeper("day", 86_400))
        await clock.advance(7_200)
        assert woken == [("nap", 60), ("nap", 180), ("hour", 3_600)]
        assert 7_200 <= (clock.now() - start).total_seconds() < 7_210
        assert not late.done()
        await clock.advance(86_400)
    assert woken[-1] == ("day", 86_400)


async def test_moving_the_clock_waits_for_work_outside() -> None:
    clock = Clock()
    seen: list[int] = []

    async def work() -> None:
        start = clock.now()
        await clock.sleep(60)
        with clock.working():
            await asyncio.sleep(0.02)
        await clock.sleep(60)
        seen.append(round((clock.now() - start).total_seconds()))

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        await clock.advance(3_600)
    assert seen == [120]


async def test_two_who_move_the_clock_move_it_one_after_the_other() -> None:
    clock = Clock()
    start = clock.now()
    await asyncio.gather(clock.advance(3_600), clock.advance(3_600))
    assert (clock.now() - start).total_seconds() >= 7_200
