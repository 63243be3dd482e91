"""Phone numbers as people write them become E.164, or are refused with a reason."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    SUPPORTED_REGIONS,
    PhoneNumberFormat,
    PhoneNumberType,
    country_code_for_region,
    example_number_for_type,
    format_number,
    is_emergency_number,
    national_significant_number,
    number_type,
    parse,
    region_codes_for_country_code,
)

from agentphone_mcp.policy.phone_numbers import to_e164


@pytest.mark.parametrize(
    ("written", "number"),
    [
        pytest.param("+15559876543", "+15559876543", id="the-seeds-callee"),
        pytest.param("+14155559999", "+14155559999", id="the-seeds-other-callee"),
        pytest.param("+14155551234", "+14155551234", id="the-seeds-own-number"),
        pytest.param("+15551234567", "+15551234567", id="the-seeds-inbound-number"),
        pytest.param("4155559999", "+14155559999", id="without-a-country"),
        pytest.param("14155559999", "+14155559999", id="without-a-plus"),
        pytest.param("(415) 555-9999", "+14155559999", id="american-style"),
        pytest.param("415.555.9999", "+14155559999", id="dots"),
        pytest.param("+1 415 555 9999", "+14155559999", id="spaces"),
        pytest.param("+1-415-555-9999", "+14155559999", id="dashes"),
        pytest.param("+1\u00a0415\u2011555\u20119999", "+14155559999", id="typographic"),
        pytest.param("  +14155559999\n", "+14155559999", id="surrounded-by-space"),
        pytest.param("tel:+1-415-555-9999", "+14155559999", id="link"),
        pytest.param("011 44 20 7946 0958", "+442079460958", id="international-prefix"),
        pytest.param("+44 (0)20 7946 0958", "+442079460958", id="british-style"),
        pytest.param("+49 30 901820", "+4930901820", id="german"),
        pytest.param("+39 06 1234567", "+39061234567", id="italian-zero"),
        pytest.param("+1 415 555 0100", "+14155550100", id="reserved-for-fiction"),
        pytest.param("+1 415 555 0199", "+14155550199", id="the-last-of-fiction"),
        pytest.param("+1 800 555 1234", "+18005551234", id="toll-free"),
        pytest.param("1-800-FLOWERS", "+18003569377", id="letters-on-the-keys"),
        pytest.param("４１５５５５９９９９", "+14155559999", id="fullwidth-digits"),
        pytest.param("٤١٥٥٥٥٩٩٩٩", "+14155559999", id="arabic-digits"),
    ],
)
def test_a_number_is_written_as_e164(written: str, number: str) -> None:
    assert to_e164(written) == number
    assert to_e164(number) == number


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="blank"),
        pytest.param("+", id="plus-alone"),
        pytest.param("hello", id="words"),
        pytest.param("Ada Byron", id="name"),
        pytest.param("web", id="web"),
        pytest.param("555", id="too-short"),
        pytest.param("+1415555999", id="one-digit-short"),
        pytest.param("+141555599991", id="one-digit-long"),
        pytest.param("5559999", id="without-an-area-code"),
        pytest.param("+999123456789", id="no-such-country"),
        pytest.param("+0 415 555 9999", id="country-zero"),
        pytest.param("*67 415 555 9999", id="star-code"),
        pytest.param("*7241555599", id="star-code-that-makes-ten-digits"),
        pytest.param("＊7241555599", id="fullwidth-star"),
        pytest.param("4155559999*", id="star-at-the-end"),
        pytest.param("#31#4155559999", id="hash-code"),
        pytest.param("#4155559999", id="hash-before-a-number"),
        pytest.param("+14155559999, +14155558888", id="two-numbers"),
        pytest.param("+14155559999 or +14155558888", id="either-of-two"),
        pytest.param("+1415555\x009999", id="nul"),
        pytest.param("\ud800", id="half-a-character"),
        pytest.param("null", id="null"),
    ],
)
def test_what_is_no_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"is no phone number|is no possible phone number") as refused:
        to_e164(written)
    assert repr(written) in str(refused.value)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("+1 415 555 9999 x12", id="x"),
        pytest.param("+1 415 555 9999 ext. 5", id="ext"),
        pytest.param("4155559999#12", id="hash"),
        pytest.param("4155559999,,12", id="pauses"),
        pytest.param("tel:+14155559999;ext=5", id="link"),
    ],
)
def test_an_extension_is_refused(written: str) -> None:
    """The API would drop it silently and reach somebody else."""
    with pytest.raises(ValueError, match="extension"):
        to_e164(written)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("911", id="us"),
        pytest.param("+1911", id="us-with-country"),
        pytest.param("+1 911 555 0100", id="as-an-area-code"),
        pytest.param("+1 1 911 555 0100", id="behind-a-second-one"),
        pytest.param("1-211-555-0100", id="as-another-area-code"),
        pytest.param("9-1-1", id="us-with-dashes"),
        pytest.param("(9) 1.1", id="us-with-all-sorts"),
        pytest.param("911911", id="us-twice"),
        pytest.param("911 415 555 9999", id="us-before-a-number"),
        pytest.param("+1 112 555 0100", id="europe-before-a-number"),
        pytest.param("911-CALLMAX", id="us-before-letters"),
        pytest.param("911 please", id="us-before-words"),
        pytest.param("call 911", id="us-after-words"),
        pytest.param("112", id="europe"),
        pytest.param("+44999", id="britain"),
        pytest.param("+44 999 123 4567", id="britain-before-a-number"),
        pytest.param("+49 112", id="germany"),
        pytest.param("011 49 112", id="germany-dialled-from-home"),
        pytest.param("+49 0112", id="germany-with-a-zero"),
        pytest.param("+49 112 123456", id="germany-before-a-number"),
        pytest.param("+61 000", id="australia"),
        pytest.param("+61000000000", id="australia-before-a-number"),
        pytest.param("+81 119", id="japan"),
        *(pytest.param(f"{first}11", id=f"service-{first}11") for first in range(2, 9)),
        pytest.param("tel:911;phone-context=+1", id="link"),
        pytest.param("９１１", id="fullwidth"),
        pytest.param("+１ ９１１ ５５５ ０１００", id="fullwidth-as-an-area-code"),
        pytest.param("٩١١", id="arabic-digits"),
    ],
)
def test_an_emergency_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="emergency numbers and service codes"):
        to_e164(written)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("988", id="suicide-line"),
        pytest.param("933", id="emergency-test-line"),
        pytest.param("999", id="emergency-elsewhere"),
        pytest.param("000", id="zeros"),
        pytest.param("40404", id="texts"),
        pytest.param("24280", id="texts-that-cost"),
        pytest.param("123456", id="six-digits"),
    ],
)
def test_no_short_code_passes_at_home(code: str) -> None:
    for written in (code, f"+1{code}", f"+1 {code}"):
        with pytest.raises(ValueError, match=r"phone number|emergency numbers"):
            to_e164(written)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("+33112345678", id="paris"),
        pytest.param("+911123456789", id="delhi"),
        pytest.param("+5491123456789", id="mobile-of-buenos-aires"),
        pytest.param("+251911234567", id="mobile-of-ethiopia"),
        pytest.param("+14159111234", id="behind-an-area-code"),
        pytest.param("+34900123456", id="spain-toll-free-like-north-american-premium-rate"),
        pytest.param("+33140976123", id="paris-like-north-american-premium-rate"),
    ],
)
def test_a_subscriber_whose_number_looks_like_an_emergency_or_premium_number_is_reached(number: str) -> None:
    assert to_e164(number) == number


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("900 555 1234", id="us"),
        pytest.param("+1-900-FLOWERS", id="us-in-letters"),
        pytest.param("+1 900 111 2222", id="us-not-assigned"),
        pytest.param("212 976 1234", id="us-exchange"),
        pytest.param("+1 555 976 1234", id="us-exchange-not-assigned"),
        pytest.param("+44 909 879 0123", id="britain"),
        pytest.param("+49 900 1234567", id="germany"),
        pytest.param("+49 900 1234567 99", id="germany-with-digits-to-spare"),
        pytest.param("+61 190 012 3456", id="australia"),
        pytest.param("+979 1 2345 6789", id="international"),
        pytest.param("+979 0 0000 0000", id="international-not-assigned"),
        pytest.param("９００５５５１２３４", id="fullwidth"),
    ],
)
def test_a_premium_rate_number_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="premium-rate numbers"):
        to_e164(written)


@pytest.mark.parametrize(
    "written", [pytest.param("+49 116117", id="doctor"), pytest.param("+49 11833", id="directory-enquiries")]
)
def test_a_short_code_that_is_as_long_as_a_number_is_refused(written: str) -> None:
    """In Germany numbers may have four digits."""
    with pytest.raises(ValueError, match="is a short code"):
        to_e164(written)


@pytest.mark.parametrize("region", sorted(SUPPORTED_REGIONS))
def test_no_countrys_emergency_or_premium_number_passes(region: str) -> None:
    code = country_code_for_region(region)
    short = ("08", "15", "17", "18", *(f"{number:03}" for number in range(1000)))
    forbidden = [f"+{code}{number}" for number in short if is_emergency_number(number, region)]
    if premium := example_number_for_type(region, PhoneNumberType.PREMIUM_RATE):
        forbidden.append(format_number(premium, PhoneNumberFormat.E164))
    for number in forbidden:
        with pytest.raises(ValueError, match=r"phone number|emergency numbers|premium-rate numbers"):
            to_e164(number)


DIGITS = st.text("0123456789", max_size=12)
WRITTEN = st.one_of(
    st.text(max_size=30),
    st.text("0123456789+-() .*#,;xABW９１+", max_size=30),
    st.builds("{}{}{}".format, st.sampled_from(["+1", "1", "", "+44", "+49", "+61", "011"]), st.just("911"), DIGITS),
    st.builds(
        "+{}{}{}".format,
        st.sampled_from(sorted(COUNTRY_CODE_TO_REGION_CODE)),
        st.sampled_from(["", "112", "911", "999", "000", "110", "900", "976", "190"]),
        DIGITS,
    ),
)


@given(WRITTEN)
@example("+961000000000")
def test_no_text_becomes_an_emergency_or_premium_number(written: str) -> None:
    try:
        passed = to_e164(written)
    except ValueError:
        return
    assert to_e164(passed) == passed
    assert re.fullmatch(r"\+[1-9][0-9]{4,16}", passed)
    assert not re.match(r"\+1(.11|900|...976)", passed)
    assert not passed.startswith("+979")
    number = parse(passed)
    assert number_type(number) != PhoneNumberType.PREMIUM_RATE
    national = national_significant_number(number)
    assert not any(
        is_emergency_number(national, region) for region in region_codes_for_country_code(number.country_code)
    )


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("1" * 1_000_000, id="digits"),
        pytest.param("+1 " * 300_000, id="prefixes"),
        pytest.param("x" * 1_000_000, id="letters"),
        pytest.param("(" * 1_000_000, id="brackets"),
        pytest.param("4155559999 " + "ext" * 300_000, id="extensions"),
    ],
)
def test_a_very_long_text_is_refused_briefly(written: str) -> None:
    with pytest.raises(ValueError, match="is no") as refused:
        to_e164(written)
    assert len(str(refused.value)) < 150
