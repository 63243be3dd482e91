"""The time of the sandbox, which a practising user may hurry or move."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

# How often those who were woken may run before the next jump: enough for a turn, a charge and what they announce.
_ROUNDS_TO_SETTLE = 25
_LONGEST_WAIT_FOR_WORK = 1.0


class Clock:
    """Lets a forty-second call pass in two seconds: starts at the real now and runs `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed
        self.started_at = datetime.now(UTC).replace(microsecond=0)
        self._origin = time.monotonic()
        self._skipped = 0.0
        self._sleepers: dict[asyncio.Event, float] = {}
        self._at_work = 0
        self._moving = asyncio.Lock()

    def now(self) -> datetime:
        """The sandbox's time, an aware datetime in UTC.

        In whole milliseconds, as it is told: whoever asks for what came `after` the last time told gets nothing twice.
        """
        passed = timedelta(seconds=self._passed())
        return self.started_at + timedelta(milliseconds=passed // timedelta(milliseconds=1))

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds of sandbox time pass."""
        due = self._passed() + seconds
        jumped = asyncio.Event()
        self._sleepers[jumped] = due
        try:
            while (left := due - self._passed()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left / self.speed):
                        await jumped.wait()
                jumped.clear()
        finally:
            del self._sleepers[jumped]
        # Also a sleep of nothing lets others run.
        await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Move the time on, on the sandbox's own loop, and wake all who sleep until then.

        Time goes from one sleeper's end to the next, so that what they do happens in its order and at its time: a
        call under way says its lines, a failed delivery is tried again five minutes after it failed.
        """
        async with self._moving:
            target = self._passed() + seconds
            await self._settle()
            while self._sleepers and (due := min(self._sleepers.values())) < target:
                self._jump(due)
                await self._settle()
            self._jump(target)
            await self._settle()

    @contextmanager
    def working(self) -> Generator[None, None, None]:
        """What takes real time, such as a request to a webhook: `advance` waits for it."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    def _passed(self) -> float:
        return (time.monotonic() - self._origin) * self.speed + self._skipped

    def _jump(self, to: float) -> None:
        self._skipped += max(0.0, to - self._passed())
        for jumped, due in self._sleepers.items():
            if due <= self._passed():
                jumped.set()

    async def _settle(self) -> None:
        """Let those who woke do what they woke for; who waits for somebody outside is waited for, but not for long."""
        deadline = time.monotonic() + _LONGEST_WAIT_FOR_WORK
        for _ in range(_ROUNDS_TO_SETTLE):
            await asyncio.sleep(0)
        while self._at_work and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
            if not self._at_work:
                for _ in range(_ROUNDS_TO_SETTLE):
                    await asyncio.sleep(0)
