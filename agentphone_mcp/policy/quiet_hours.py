"""Hours in which nobody's telephone rings, by the clock of whoever would be called."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Self

_FORM = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*[-–]\s*([0-9]{1,2}):([0-9]{2})")
_MINUTE = timedelta(minutes=1)
# A day of 25 hours and one more: whoever opens at all has opened by then.
_SEARCHED_MINUTES = 26 * 60


@dataclass(frozen=True)
class QuietHours:
    """A part of every day that may span midnight: `begin` belongs to it and `end` does not.

    Raises:
        ValueError: if both are the same time, which could mean always or never.
    """

    begin: time
    end: time

    def __post_init__(self) -> None:
        if self.begin == self.end:
            raise ValueError(f"{self} begins and ends at the same time")

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `21:00-08:00`.

        Raises:
            ValueError: if it is written otherwise; the message is one sentence.
        """
        if written := _FORM.fullmatch(text.strip()):
            begin_hour, begin_minute, end_hour, end_minute = map(int, written.groups())
            if max(begin_hour, end_hour) < 24 and max(begin_minute, end_minute) < 60:
                return cls(time(begin_hour, begin_minute), time(end_hour, end_minute))
        raise ValueError(f"{text[:40]!r} are no hours of a day: write them like 21:00-08:00, from 00:00 to 23:59")

    def contains(self, clock: time) -> bool:
        """Whether it is quiet when a clock shows this time."""
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    def contains_in_any(self, moment: datetime, zones: Iterable[tzinfo]) -> bool:
        """Whether it is quiet in any of these time zones."""
        return any(self.contains(moment.astimezone(zone).time()) for zone in zones)

    def next_end(self, moment: datetime, zones: Iterable[tzinfo]) -> datetime | None:
        """The next full minute, in UTC, that is quiet in none of these time zones; None if no minute of a day is."""
        zones = tuple(zones)
        start = moment.astimezone(UTC).replace(second=0, microsecond=0)
        # Minute by minute: clocks that are put forward or back need no thought then.
        minutes = (start + n * _MINUTE for n in range(1, _SEARCHED_MINUTES + 1))
        return next((minute for minute in minutes if not self.contains_in_any(minute, zones)), None)
