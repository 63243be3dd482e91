"""Quiet hours follow the local clock, also on days of 23 or 25 hours."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentphone_mcp.policy.destinations import QuietHours

ZONES = ["America/Los_Angeles", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]
MINUTES = st.integers(0, 24 * 60 - 1)
# With a change of the clocks in both halves of the globe.
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


def at(minute: int) -> time:
    """Convert minutes since midnight."""
    return time(minute // 60, minute % 60)


def quiet_minutes(begin: int, end: int) -> set[int]:
    """List the minutes from one time of the day to another."""
    minutes = set[int]()
    while begin != end:
        minutes.add(begin)
        begin = (begin + 1) % (24 * 60)
    return minutes


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        pytest.param("21:00-08:00", time(21), time(8), id="over-midnight"),
        pytest.param("12:30-13:15", time(12, 30), time(13, 15), id="at-noon"),
        pytest.param("00:00-23:59", time(0), time(23, 59), id="all-day"),
        pytest.param(" 21:00 - 8:00 ", time(21), time(8), id="spaces-and-one-digit"),
        pytest.param("21:00–08:00", time(21), time(8), id="typographic"),
    ],
)
def test_hours_are_read(text: str, begin: time, end: time) -> None:
    assert QuietHours.parse(text) == QuietHours(begin, end)
    assert QuietHours.parse(str(QuietHours(begin, end))) == QuietHours(begin, end)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("off", id="off"),
        pytest.param("21-8", id="hours-alone"),
        pytest.param("9pm", id="one-time"),
        pytest.param("9:00pm-8:00am", id="twelve-hours"),
        pytest.param("21:00", id="begin-alone"),
        pytest.param("21:00-08:00-09:00", id="three-times"),
        pytest.param("24:00-08:00", id="hour-24"),
        pytest.param("21:60-08:00", id="minute-60"),
        pytest.param("21:00:00-08:00:00", id="seconds"),
        pytest.param("２１:00-08:00", id="fullwidth"),
    ],
)
def test_hours_written_otherwise_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"are no hours of a day: write them like 21:00-08:00") as refused:
        QuietHours.parse(text)
    assert repr(text) in str(refused.value)


def test_hours_that_end_where_they_begin_are_an_error() -> None:
    with pytest.raises(ValueError, match="08:00-08:00 begins and ends at the same time"):
        QuietHours.parse("08:00-08:00")


@given(MINUTES, MINUTES)
def test_every_minute_of_a_day_is_quiet_or_not_as_on_the_dial(begin: int, end: int) -> None:
    assume(begin != end)
    hours = QuietHours(at(begin), at(end))
    assert {minute for minute in range(24 * 60) if hours.contains(at(minute))} == quiet_minutes(begin, end)


def test_the_last_second_before_the_end_is_quiet() -> None:
    hours = QuietHours.parse("21:00-08:00")
    assert hours.contains(time(7, 59, 59))
    assert not hours.contains(time(20, 59, 59))


@given(MINUTES, MINUTES, MOMENTS, st.lists(st.sampled_from(ZONES), min_size=1, max_size=3))
def test_it_is_quiet_as_long_as_one_clock_says_so(begin: int, end: int, moment: datetime, names: list[str]) -> None:
    assume(begin != end)
    hours, zones, quiet = QuietHours(at(begin), at(end)), [ZoneInfo(name) for name in names], quiet_minutes(begin, end)

    def is_quiet(when: datetime) -> bool:
        clocks = [when.astimezone(zone) for zone in zones]
        return any(clock.hour * 60 + clock.minute in quiet for clock in clocks)

    assert hours.contains_in_any(moment, zones) == is_quiet(moment)
    over = hours.next_end(moment, zones)
    last = moment + timedelta(hours=26) if over is None else over
    assert all(is_quiet(moment + timedelta(minutes=n)) for n in range(1, int((last - moment).total_seconds() // 60)))
    assert over is None or (over > moment and not is_quiet(over))


@pytest.mark.parametrize(
    ("moment", "over"),
    [
        # The clock goes from 01:59 to 03:00, and 02:30 never comes.
        pytest.param("2026-03-08T06:30Z", "2026-03-08T07:00Z", id="end-that-is-skipped"),
        # 01:30 comes twice, and after the first time it is 01:00 once more.
        pytest.param("2026-11-01T05:10Z", "2026-11-01T05:30Z", id="end-that-comes-first"),
        pytest.param("2026-11-01T06:10Z", "2026-11-01T06:30Z", id="end-that-comes-again"),
    ],
)
def test_hours_end_by_the_clock_on_the_wall(moment: str, over: str) -> None:
    hours = QuietHours.parse("22:00-02:30" if "03-08" in moment else "22:00-01:30")
    end = hours.next_end(datetime.fromisoformat(moment), [ZoneInfo("America/New_York")])
    assert end == datetime.fromisoformat(over)


def test_hours_that_are_quiet_somewhere_all_day_never_end() -> None:
    """At any time it is night in one of two zones that are half a globe apart."""
    hours = QuietHours.parse("18:00-08:00")
    zones = [ZoneInfo("Pacific/Guam"), ZoneInfo("America/New_York")]
    assert hours.next_end(datetime(2026, 7, 1, tzinfo=UTC), zones) is None
