"""Whom an assistant may reach and when: countries, recipients, and the clock where the telephone would ring.

The library of phone numbers is imported where a number is looked at: every start reads these settings, and most of them
name no number.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.quiet_hours import QuietHours
from agentphone_mcp.variables import COUNTRIES_VARIABLE, QUIET_HOURS_VARIABLE, RECIPIENTS_VARIABLE

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber


DEFAULT_COUNTRIES = frozenset({"US", "CA"})
_ANY = "any"
_NOWHERE = "001"
"""The library's region of numbers that belong to no country: satellites, ships, international services."""


def utc_now() -> datetime:
    """The time by the machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Destinations:
    """Which numbers may be called and texted, and when.

    Attributes:
        countries: ISO 3166 codes; None allows every country and the numbers of none. The territories PR, GU, VI, AS
            and MP are countries of their own here, as are all the others that share +1.
        recipients: the only numbers, in E.164, that may be reached; None allows everybody.
        quiet_hours: when nothing rings, by the clock of the destination.
        now: the present, with a time zone.
    """

    countries: frozenset[str] | None = DEFAULT_COUNTRIES
    recipients: frozenset[str] | None = None
    quiet_hours: QuietHours | None = None
    now: Callable[[], datetime] = utc_now

    def check(self, number: str, *, rings: bool = True) -> None:
        """Let a number in E.164 pass, or say which rule is against it.

        Args:
            number: whom to call or text, or to transfer calls to.
            rings: whether it would be reached at once; quiet hours say nothing about a number that is only stored.

        Raises:
            Refused: with the rule and the variable that changes it.
        """
        self._check_country(number)
        if self.recipients is not None and number not in self.recipients:
            raise _refused(f"{number} is none of the recipients that {RECIPIENTS_VARIABLE} names.")
        if rings and self.quiet_hours is not None:
            self._check_clock(number, self.quiet_hours)

    def local_time(self, number: str) -> str:
        """What the clock shows at a number in E.164, such as `Fri 14:05 (America/Los_Angeles)`.

        Numbers say where they were given out, not where their owner is: one of several time zones gives `between Fri
        11:05 and Fri 14:05`, and one of none that is known `not known`.
        """
        zones = _zones(number)
        now = self.now()
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
        # A toll-free number of North America is one of all its countries, though the library names the first alone.
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
    """Read `US,CA`; `any` is None.

    Raises:
        ValueError: if one of them is no country code, or there is none at all.
    """
    if text.strip().lower() == _ANY:
        return None
    named = frozenset(re.split(r"[\s,;]+", text.strip(" \t\r\n,;").upper()))
    if named <= DEFAULT_COUNTRIES:
        # Every start reads these, which need no table of the world's countries.
        return named
    import phonenumbers

    if unknown := sorted(named - phonenumbers.SUPPORTED_REGIONS):
        quoted = ", ".join(repr(name[:40]) for name in unknown[:5])
        raise ValueError(f"no country has the code {quoted}: write codes like US,CA,GB, or any")
    return named


def parse_recipients(text: str) -> frozenset[str] | None:
    """Read `+14155550100,+14155550101`; `any` is None.

    Raises:
        ValueError: if one of them is no number that could be dialled, or there is none: that may be meant either way.
    """
    if text.strip().lower() == _ANY:
        return None
    named = frozenset(number for part in re.split(r"[,;\n]", text) if part.strip() for number in _numbers(part))
    if not named:
        raise ValueError("it names nobody: write numbers, or any")
    return named


def _numbers(written: str) -> list[str]:
    """One number that may have spaces in it, or else several with spaces between them."""
    from agentphone_mcp.policy.phone_numbers import to_e164

    try:
        return [to_e164(written)]
    except ValueError as no_number:
        try:
            return [to_e164(word) for word in written.split()]
        except ValueError:
            raise no_number from None


def _refused(why: str) -> Refused:
    return Refused(f"Nothing was dialled or sent. {why}")


def _country(number: "PhoneNumber") -> str:
    """Where a number is, by the digits alone where nobody has it: +1 876 is Jamaica even then."""
    import phonenumbers

    code = number.country_code or 0
    return phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(code)


def _zones(number: str) -> tuple[ZoneInfo, ...]:
    """The time zones that a number may be in; none at all where that is unclear."""
    # Its table of prefixes is large, and only previews and quiet hours need it.
    from phonenumbers import parse
    from phonenumbers.timezone import time_zones_for_number

    try:
        return tuple(ZoneInfo(name) for name in time_zones_for_number(parse(number)))
    except ZoneInfoNotFoundError:
        return ()
