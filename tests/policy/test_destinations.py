"""Destinations allow numbers by country, recipient and local time."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import (
    PhoneNumberFormat,
    PhoneNumberType,
    example_number_for_non_geo_entity,
    example_number_for_type,
    format_number,
    region_codes_for_country_code,
)
from phonenumbers.phonenumberutil import COUNTRY_CODES_FOR_NON_GEO_REGIONS

from agentphone_mcp.policy.destinations import Destinations, QuietHours, parse_countries, parse_recipients
from agentphone_mcp.policy.errors import Refused

LOS_ANGELES = "+14155559999"
TORONTO = "+14165551234"
IDAHO = "+12085551234"
LONDON = "+442071838750"
JAMAICA = "+18765551234"
TOLL_FREE = "+18005551234"
UNASSIGNED = "+15559876543"
"""A number that is not assigned; its time zone is unknown."""


def at(moment: str) -> Callable[[], datetime]:
    """Make a clock that stands still."""
    return lambda: datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(LOS_ANGELES, id="us"),
        pytest.param("+14155550100", id="us-reserved-for-fiction"),
        pytest.param(TORONTO, id="canada"),
        pytest.param("+16005551234", id="canada-without-a-place"),
        pytest.param(TOLL_FREE, id="toll-free"),
        pytest.param(UNASSIGNED, id="unassigned"),
    ],
)
def test_every_number_of_the_us_and_canada_is_reached_by_default(number: str) -> None:
    Destinations().check(number)


@pytest.mark.parametrize(
    ("number", "country"),
    [
        pytest.param(JAMAICA, "JM", id="jamaica"),
        pytest.param("+18761110000", "JM", id="jamaica-not-assigned"),
        pytest.param("+16581110000", "JM", id="jamaica-overlay-not-assigned"),
        pytest.param("+18095551234", "DO", id="dominican-republic"),
        pytest.param("+18091110000", "DO", id="dominican-republic-not-assigned"),
        pytest.param("+12845551234", "VG", id="british-virgin-islands"),
        pytest.param("+14735551234", "GD", id="grenada"),
        pytest.param("+12681110000", "AG", id="antigua-not-assigned"),
        pytest.param("+17875551234", "PR", id="puerto-rico"),
        pytest.param("+16711110000", "GU", id="guam-not-assigned"),
        pytest.param("+13405551234", "VI", id="us-virgin-islands"),
        pytest.param("+16845551234", "AS", id="american-samoa"),
        pytest.param("+16705551234", "MP", id="northern-marianas"),
        pytest.param(LONDON, "GB", id="britain"),
        pytest.param("+447700900123", "GB", id="britain-not-assigned"),
        pytest.param("+77011234567", "KZ", id="kazakhstan"),
    ],
)
def test_a_call_abroad_is_refused(number: str, country: str) -> None:
    with pytest.raises(Refused) as refused:
        Destinations().check(number)
    assert str(refused.value) == (
        f"Nothing was dialled or sent. {number} is in {country}, and AGENTPHONE_ALLOWED_COUNTRIES allows CA, US."
    )
    Destinations(countries=frozenset({country})).check(number)
    Destinations(countries=None).check(number)


def test_no_other_country_behind_plus_one_passes_as_home() -> None:
    """A call to most of these countries costs more than a dollar a minute."""
    kinds = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE)
    abroad = [region for region in region_codes_for_country_code(1) if region not in ("US", "CA")]
    assert abroad
    for region in abroad:
        for kind in kinds:
            if example := example_number_for_type(region, kind):
                with pytest.raises(Refused, match=f"is in {region},"):
                    Destinations().check(format_number(example, PhoneNumberFormat.E164))


@pytest.mark.parametrize("code", sorted(COUNTRY_CODES_FOR_NON_GEO_REGIONS), ids="plus-{}".format)
def test_a_number_of_no_country_is_refused_unless_any_is_allowed(code: int) -> None:
    number = format_number(example_number_for_non_geo_entity(code), PhoneNumberFormat.E164)
    with pytest.raises(Refused, match=r"belongs to no country, and AGENTPHONE_ALLOWED_COUNTRIES allows CA, US\."):
        Destinations().check(number)
    with pytest.raises(Refused, match="belongs to no country"):
        Destinations().check(f"+{code}{'1' * 8}")
    Destinations(countries=None).check(number)


def test_a_toll_free_number_belongs_to_all_of_north_america() -> None:
    """The library names only the United States, although Canadians dial it as well."""
    Destinations(countries=frozenset({"CA"})).check(TOLL_FREE)
    with pytest.raises(Refused, match="is in US, and AGENTPHONE_ALLOWED_COUNTRIES allows GB"):
        Destinations(countries=frozenset({"GB"})).check(TOLL_FREE)


@pytest.mark.parametrize("rings", [pytest.param(True, id="rings"), pytest.param(False, id="stored")])
def test_only_the_named_recipients_are_reached(rings: bool) -> None:
    trial = Destinations(recipients=frozenset({LOS_ANGELES, JAMAICA}))
    trial.check(LOS_ANGELES, rings=rings)
    with pytest.raises(Refused) as refused:
        trial.check(TORONTO, rings=rings)
    assert str(refused.value) == (
        f"Nothing was dialled or sent. {TORONTO} is none of the recipients that AGENTPHONE_ALLOWED_RECIPIENTS names."
    )
    with pytest.raises(Refused, match="AGENTPHONE_ALLOWED_COUNTRIES"):
        trial.check(JAMAICA, rings=rings)


NIGHT = QuietHours.parse("21:00-08:00")


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        pytest.param(LOS_ANGELES, "2026-07-04T15:00Z", id="as-the-morning-begins"),
        pytest.param(LOS_ANGELES, "2026-07-05T03:59:59Z", id="until-the-evening-ends"),
        pytest.param(LOS_ANGELES, "2026-12-04T16:00Z", id="in-winter"),
        pytest.param(IDAHO, "2026-07-04T15:00Z", id="in-both-time-zones"),
    ],
)
def test_outside_the_quiet_hours_a_call_may_ring(number: str, moment: str) -> None:
    Destinations(quiet_hours=NIGHT, now=at(moment)).check(number)


@pytest.mark.parametrize(
    ("number", "moment", "why"),
    [
        pytest.param(
            LOS_ANGELES,
            "2026-07-05T04:00Z",
            f"At {LOS_ANGELES} it is Sat 21:00 (America/Los_Angeles), within the quiet hours 21:00-08:00 "
            "(AGENTPHONE_QUIET_HOURS); they end Sun 08:00 there.",
            id="evening",
        ),
        pytest.param(
            LOS_ANGELES,
            "2026-12-04T15:59:59Z",
            f"At {LOS_ANGELES} it is Fri 07:59 (America/Los_Angeles), within the quiet hours 21:00-08:00 "
            "(AGENTPHONE_QUIET_HOURS); they end Fri 08:00 there.",
            id="winter-morning",
        ),
        pytest.param(
            IDAHO,
            "2026-07-04T14:30Z",
            f"At {IDAHO} it is between Sat 07:30 and Sat 08:30, within the quiet hours 21:00-08:00 "
            "(AGENTPHONE_QUIET_HOURS) in one of its 2 time zones; in all they are over Sat 15:00 UTC.",
            id="in-one-of-two-time-zones",
        ),
        pytest.param(
            UNASSIGNED,
            "2026-07-04T20:00Z",
            f"The time zone of {UNASSIGNED} is not known, so it may be within the quiet hours 21:00-08:00 "
            "(AGENTPHONE_QUIET_HOURS) there.",
            id="time-zone-not-known",
        ),
    ],
)
def test_within_the_quiet_hours_nothing_rings(number: str, moment: str, why: str) -> None:
    quiet = Destinations(quiet_hours=NIGHT, now=at(moment))
    with pytest.raises(Refused) as refused:
        quiet.check(number)
    assert str(refused.value) == f"Nothing was dialled or sent. {why}"
    quiet.check(number, rings=False)


def test_a_number_that_may_be_anywhere_may_never_ring_under_long_quiet_hours() -> None:
    """A toll-free number may ring anywhere from Hawaii to Guam, where some clock is always within these hours."""
    quiet = Destinations(quiet_hours=QuietHours.parse("18:00-09:00"), now=at("2026-07-04T20:00Z"))
    with pytest.raises(Refused, match=r"in one of its \d+ time zones, at whatever time of the day\.$"):
        quiet.check(TOLL_FREE)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))
def test_the_clock_of_the_destination_decides_all_year(moment: datetime) -> None:
    quiet = Destinations(quiet_hours=NIGHT, now=lambda: moment)
    hour = moment.astimezone(ZoneInfo("America/Los_Angeles")).hour
    try:
        quiet.check(LOS_ANGELES)
    except Refused:
        assert hour >= 21 or hour < 8
    else:
        assert 8 <= hour < 21


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        pytest.param(LOS_ANGELES, "Fri 14:05 (America/Los_Angeles)", id="one"),
        pytest.param(IDAHO, "between Fri 14:05 and Fri 15:05", id="two"),
        pytest.param("+61412345678", "between Sat 04:35 and Sat 09:05", id="mobile-of-a-wide-country"),
        pytest.param("+4915112345678", "Fri 23:05 (Europe/Berlin)", id="two-with-the-same-clock"),
        pytest.param(UNASSIGNED, "not known", id="unassigned"),
        pytest.param("+80012345678", "not known", id="of-no-country"),
    ],
)
def test_the_local_time_is_shown(number: str, shown: str) -> None:
    for moment in ("2026-11-20T22:05Z", "2026-11-21T07:05+09:00"):
        assert Destinations(now=at(moment)).local_time(number) == shown


def test_the_local_time_follows_summer_time() -> None:
    assert Destinations(now=at("2026-07-03T20:00Z")).local_time(LOS_ANGELES) == "Fri 13:00 (America/Los_Angeles)"
    assert Destinations(now=at("2026-12-04T20:00Z")).local_time(LOS_ANGELES) == "Fri 12:00 (America/Los_Angeles)"


def test_the_clock_is_the_machines_unless_another_is_given() -> None:
    assert Destinations().now().utcoffset() is not None


@pytest.mark.parametrize(
    ("text", "countries"),
    [
        pytest.param("US,CA", {"US", "CA"}, id="two"),
        pytest.param("us", {"US"}, id="lower-case"),
        pytest.param(" us, ca ; gb\tpr,", {"US", "CA", "GB", "PR"}, id="all-sorts-of-separators"),
        pytest.param("Any", None, id="any"),
    ],
)
def test_countries_are_read(text: str, countries: set[str] | None) -> None:
    assert parse_countries(text) == countries


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("US,UK", "'UK'", id="uk"),
        pytest.param("USA", "'USA'", id="three-letters"),
        pytest.param("United States", "'STATES', 'UNITED'", id="name"),
        pytest.param("+1", r"'\+1'", id="country-code-of-telephones"),
        pytest.param("001", "'001'", id="no-country"),
        pytest.param("any,US", "'ANY'", id="any-and-more"),
        pytest.param("", "''", id="nothing"),
        pytest.param(" , ", "''", id="comma"),
    ],
)
def test_what_is_no_country_is_an_error(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"^no country has the code {named}: write codes like US,CA,GB, or any$"):
        parse_countries(text)


@pytest.mark.parametrize(
    ("text", "recipients"),
    [
        pytest.param(LOS_ANGELES, {LOS_ANGELES}, id="one"),
        pytest.param(f"{LOS_ANGELES},{LONDON},", {LOS_ANGELES, LONDON}, id="commas"),
        pytest.param(f"{LOS_ANGELES} {LONDON}", {LOS_ANGELES, LONDON}, id="spaces"),
        pytest.param("(415) 555-9999, +44 20 7183 8750", {LOS_ANGELES, LONDON}, id="as-people-write"),
        pytest.param("415-555-9999 +442071838750\n+14165551234", {LOS_ANGELES, LONDON, TORONTO}, id="mixed"),
        pytest.param("any", None, id="any"),
    ],
)
def test_recipients_are_read(text: str, recipients: set[str] | None) -> None:
    assert parse_recipients(text) == recipients


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("Ada", "'Ada' is no phone number", id="name"),
        pytest.param(f"{LOS_ANGELES},555", "'555' is no possible phone number", id="short"),
        pytest.param(f"{LOS_ANGELES} or {LONDON}", "is no phone number", id="words"),
        pytest.param(f"{LOS_ANGELES},911", "emergency numbers", id="emergency"),
        pytest.param("+1 900 555 1234", "premium-rate numbers", id="premium"),
        pytest.param(" , ", "names nobody", id="none"),
    ],
)
def test_a_recipient_that_cannot_be_dialled_is_an_error(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_recipients(text)


def test_the_table_of_time_zones_is_loaded_when_it_is_needed() -> None:
    script = "import sys, agentphone_mcp.policy.destinations; sys.exit('phonenumbers.tzdata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
