"""Hurried time."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from agentphone_mcp.sandbox.clock import Clock


async def test_time_passes_at_the_given_speed() -> None:
    """A sandbox minute at speed 1000 is 60 real milliseconds."""
    clock = Clock(speed=1000)
    before, real = clock.now(), time.monotonic()
    await clock.sleep(60)
    assert timedelta(seconds=60) <= clock.now() - before
    assert time.monotonic() - real < 5


def test_the_clock_starts_at_the_real_now_in_utc() -> None:
    """Times of the sandbox are plausible to a person who looks at them."""
    now = Clock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("speed", [pytest.param(0, id="zero"), pytest.param(-1, id="negative")])
def test_time_cannot_stand_still_or_run_backwards(speed: float) -> None:
    """Such a speed is refused at once."""
    with pytest.raises(ValueError, match="speed must be above 0"):
        Clock(speed)
