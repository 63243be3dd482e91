"""The time of the sandbox, which a practising user may hurry."""

import time
from datetime import UTC, datetime, timedelta

import anyio


class Clock:
    """Lets a forty-second call pass in two seconds: starts at the real now and runs `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed
        self.started_at = datetime.now(UTC).replace(microsecond=0)
        self._origin = time.monotonic()

    def now(self) -> datetime:
        """The sandbox's time, an aware datetime in UTC.

        In whole milliseconds, as it is told: whoever asks for what came `after` the last time told gets nothing twice.
        """
        passed = timedelta(seconds=(time.monotonic() - self._origin) * self.speed)
        return self.started_at + timedelta(milliseconds=passed // timedelta(milliseconds=1))

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds of sandbox time pass."""
        await anyio.sleep(seconds / self.speed)
