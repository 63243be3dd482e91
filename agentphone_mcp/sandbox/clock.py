"""Keep the sandbox's time, which can run faster than real time or be moved forward."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

# How often woken tasks may run before the next jump: enough for a turn, its charge and its events.
_LOOP_ROUNDS = 25
_LONGEST_WAIT_FOR_WORK = 1.0


class Clock:
    """Start at the real time and run `speed` times as fast: at 20, a call of 40 s takes 2 s."""

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
        """Return the sandbox's time, an aware datetime in UTC.

        It is in whole milliseconds, as in answers, so that a filter `after` a time from an answer repeats nothing.
        """
        passed = timedelta(seconds=self._passed())
        return self.started_at + timedelta(milliseconds=passed // timedelta(milliseconds=1))

    async def sleep(self, seconds: float) -> None:
        """Wait for that many seconds of sandbox time."""
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
        # A sleep of zero seconds lets other tasks run too.
        await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Move the time forward, on the sandbox's own loop, and wake the tasks whose sleep ends.

        Time jumps from one end of a sleep to the next, so that everything happens in order and at its time: a call
        in progress says its lines, a failed delivery is retried five minutes after it failed.
        """
        async with self._moving:
            target = self._passed() + seconds
            await self._run_woken_tasks()
            while self._sleepers and (due := min(self._sleepers.values())) < target:
                self._jump(due)
                await self._run_woken_tasks()
            self._jump(target)
            await self._run_woken_tasks()

    @contextmanager
    def working(self) -> Generator[None, None, None]:
        """Mark work that takes real time, such as a request to a webhook, so that `advance` waits for it."""
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

    async def _run_woken_tasks(self) -> None:
        """Let woken tasks run, and wait for work outside the process, but not for long."""
        deadline = time.monotonic() + _LONGEST_WAIT_FOR_WORK
        for _ in range(_LOOP_ROUNDS):
            await asyncio.sleep(0)
        while self._at_work and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
            if not self._at_work:
                for _ in range(_LOOP_ROUNDS):
                    await asyncio.sleep(0)
