"""Define the hours of the day in which no call may ring, by the local time of the callee."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Self

_FORM = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*[-–]\s*([0-9]{1,2}):([0-9]{2})")
_MINUTE = timedelta(minutes=1)
# The longest day has 25 hours; what is not over within one more hour never ends.
_SEARCHED_MINUTES = 26 * 60


@dataclass(frozen=True)
class QuietHours:
    """A part of every day that may span midnight, from `begin` to just before `end`.

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
        """Read hours such as `21:00-08:00`.

        Raises:
            ValueError: if they are written otherwise; the message is one sentence.
        """
        if match := _FORM.fullmatch(text.strip()):
            begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups())
            if max(begin_hour, end_hour) < 24 and max(begin_minute, end_minute) < 60:
                return cls(time(begin_hour, begin_minute), time(end_hour, end_minute))
        raise ValueError(f"{text[:40]!r} are no hours of a day: write them like 21:00-08:00, from 00:00 to 23:59")

    def contains(self, clock: time) -> bool:
        """Whether a local time is within the quiet hours."""
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    def contains_in_any(self, moment: datetime, zones: Iterable[tzinfo]) -> bool:
        """Whether a moment is within the quiet hours in any of these time zones."""
        return any(self.contains(moment.astimezone(zone).time()) for zone in zones)

    def next_end(self, moment: datetime, zones: Iterable[tzinfo]) -> datetime | None:
        """Find the next minute, in UTC, that is quiet in none of these time zones; None if there is none in a day."""
        zones = tuple(zones)
        start = moment.astimezone(UTC).replace(second=0, microsecond=0)
        # Minute by minute, which is right on the days of a time change too.
        minutes = (start + n * _MINUTE for n in range(1, _SEARCHED_MINUTES + 1))
        return next((minute for minute in minutes if not self.contains_in_any(minute, zones)), None)
