"""Decide which numbers may be called and texted, and when: by country, recipient and local time.

`phonenumbers` is imported inside functions: every start reads these settings, and few of them hold a number.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.variables import COUNTRIES_VARIABLE, QUIET_HOURS_VARIABLE, RECIPIENTS_VARIABLE

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber


DEFAULT_COUNTRIES = frozenset({"US", "CA"})
_ANY = "any"
_NOWHERE = "001"
"""The region that `phonenumbers` gives to numbers of no country: satellites, ships, international services."""
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*[-–]\s*([0-9]{1,2}):([0-9]{2})")
# The longest day has 25 hours; what is not over within one more hour never ends.
_SEARCHED_MINUTES = 26 * 60


def utc_now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class QuietHours:
    """Hold a part of every day that may span midnight, from `begin` to just before `end`.

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
        if match := _HOURS.fullmatch(text.strip()):
            begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups())
            if max(begin_hour, end_hour) < 24 and max(begin_minute, end_minute) < 60:
                return cls(time(begin_hour, begin_minute), time(end_hour, end_minute))
        raise ValueError(f"{text[:40]!r} are no hours of a day: write them like 21:00-08:00, from 00:00 to 23:59")

    def contains(self, clock: time) -> bool:
        """Tell whether a local time is within the quiet hours."""
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end

    def contains_in_any(self, moment: datetime, zones: Iterable[tzinfo]) -> bool:
        """Tell whether a moment is within the quiet hours in any of these time zones."""
        return any(self.contains(moment.astimezone(zone).time()) for zone in zones)

    def next_end(self, moment: datetime, zones: Iterable[tzinfo]) -> datetime | None:
        """Find the next minute, in UTC, that is quiet in none of these time zones; None if there is none in a day."""
        zones = tuple(zones)
        start = moment.astimezone(UTC).replace(second=0, microsecond=0)
        # Minute by minute, which is right on the days of a time change too.
        minutes = (start + timedelta(minutes=n) for n in range(1, _SEARCHED_MINUTES + 1))
        return next((minute for minute in minutes if not self.contains_in_any(minute, zones)), None)


@dataclass(frozen=True)
class Destinations:
    """Decide which numbers may be called and texted, and when.

    Attributes:
        countries: ISO 3166 codes; None allows all countries, and numbers of no country. The territories PR, GU, VI,
            AS and MP count as countries, as do all others that share +1.
        recipients: the only numbers, in E.164, that may be reached; None allows all.
    """

    countries: frozenset[str] | None = DEFAULT_COUNTRIES
    recipients: frozenset[str] | None = None
    quiet_hours: QuietHours | None = None
    now: Callable[[], datetime] = utc_now

    def check(self, number: str, *, rings: bool = True) -> None:
        """Check that a number in E.164 may be reached.

        Quiet hours apply only to a number that `rings` at once, not to one that is only stored.

        Raises:
            Refused: with the rule that forbids it, and the variable that changes the rule.
        """
        self._check_country(number)
        if self.recipients is not None and number not in self.recipients:
            raise _refused(f"{number} is none of the recipients that {RECIPIENTS_VARIABLE} names.")
        if rings and self.quiet_hours is not None:
            self._check_clock(number, self.quiet_hours)

    def local_time(self, number: str) -> str:
        """Tell the local time at a number in E.164, such as `Fri 14:05 (America/Los_Angeles)`.

        A number shows where it was issued: several time zones give `between Fri 11:05 and Fri 14:05`, and none gives
        `not known`.
        """
        zones, now = _zones(number), self.now()
        clocks = sorted({now.astimezone(zone).replace(tzinfo=None) for zone in zones})
        if not clocks:
            return "not known"
        if len(clocks) > 1:
            return f"between {clocks[0]:%a %H:%M} and {clocks[-1]:%a %H:%M}"
        return f"{clocks[0]:%a %H:%M} ({zones[0]})"

    def _check_country(self, number: str) -> None:
        if self.countries is None:
            return
        import phonenumbers

        parsed = phonenumbers.parse(number)
        country = _country(parsed)
        # A toll-free number of North America belongs to all its countries, though the library names only the first.
        if country in self.countries or any(phonenumbers.is_valid_number_for_region(parsed, c) for c in self.countries):
            return
        where = "belongs to no country" if country == _NOWHERE else f"is in {country}"
        allowed = ", ".join(sorted(self.countries))
        raise _refused(f"{number} {where}, and {COUNTRIES_VARIABLE} allows {allowed}.")

    def _check_clock(self, number: str, quiet_hours: QuietHours) -> None:
        rule = f"the quiet hours {quiet_hours} ({QUIET_HOURS_VARIABLE})"
        zones, now = _zones(number), self.now()
        if not zones:
            raise _refused(f"The time zone of {number} is not known, so it may be within {rule} there.")
        if not quiet_hours.contains_in_any(now, zones):
            return
        where = f"At {number} it is {self.local_time(number)}, within {rule}"
        opens = quiet_hours.next_end(now, zones)
        if opens is None:
            raise _refused(f"{where} in one of its {len(zones)} time zones, at whatever time of the day.")
        if len(zones) == 1:
            raise _refused(f"{where}; they end {opens.astimezone(zones[0]):%a %H:%M} there.")
        raise _refused(f"{where} in one of its {len(zones)} time zones; in all they are over {opens:%a %H:%M} UTC.")


def parse_countries(text: str) -> frozenset[str] | None:
    """Read a list of countries such as `US,CA`; `any` is None.

    Raises:
        ValueError: if there is no country, or one that does not exist.
    """
    if text.strip().lower() == _ANY:
        return None
    countries = frozenset(re.split(r"[\s,;]+", text.strip(" \t\r\n,;").upper()))
    if countries <= DEFAULT_COUNTRIES:
        # The default needs no table of the world's countries, which takes a while to import.
        return countries
    import phonenumbers

    if unknown := sorted(countries - phonenumbers.SUPPORTED_REGIONS):
        quoted = ", ".join(repr(name[:40]) for name in unknown[:5])
        raise ValueError(f"no country has the code {quoted}: write codes like US,CA,GB, or any")
    return countries


def parse_recipients(text: str) -> frozenset[str] | None:
    """Read a list of numbers such as `+14155550100,+14155550101`; `any` is None.

    Raises:
        ValueError: if there is no number, or one that cannot be dialled.
    """
    if text.strip().lower() == _ANY:
        return None
    recipients = frozenset(number for part in re.split(r"[,;\n]", text) if part.strip() for number in _numbers(part))
    if not recipients:
        raise ValueError("it names nobody: write numbers, or any")
    return recipients


def _numbers(written: str) -> list[str]:
    """Read one number with spaces in it, or else several numbers with spaces between them."""
    from agentphone_mcp.policy.phone_numbers import to_e164

    try:
        return [to_e164(written)]
    except ValueError as exc:
        try:
            return [to_e164(word) for word in written.split()]
        except ValueError:
            raise exc from None


def _refused(reason: str) -> Refused:
    return Refused(f"Nothing was dialled or sent. {reason}")


def country_of(number: str) -> str:
    """Find the country of a number in E.164, as ISO 3166 names it; `001` is none."""
    import phonenumbers

    return _country(phonenumbers.parse(number))


def _country(number: "PhoneNumber") -> str:
    """Find the country of a number; for an unassigned one by its country code alone."""
    import phonenumbers

    code = number.country_code or 0
    return phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(code)


def _zones(number: str) -> tuple[ZoneInfo, ...]:
    """List the time zones that a number may be in; empty where that is unknown."""
    # The table of prefixes is large, and only previews and quiet hours need it.
    from phonenumbers import parse
    from phonenumbers.timezone import time_zones_for_number

    try:
        return tuple(ZoneInfo(name) for name in time_zones_for_number(parse(number)))
    except ZoneInfoNotFoundError:
        return ()
