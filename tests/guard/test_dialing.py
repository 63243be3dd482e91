"""Phone numbers as people write them become E.164, or a sentence that says why not."""

import pytest
from phonenumbers import SUPPORTED_REGIONS, country_code_for_region
from phonenumbers.shortnumberinfo import is_emergency_number

from agentphone_mcp.guard.dialing import to_e164


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
        pytest.param("1-800-FLOWERS", "+18003569377", id="letters-on-the-keys"),
        pytest.param("４１５５５５９９９９", "+14155559999", id="fullwidth-digits"),
        pytest.param("٤١٥٥٥٥٩٩٩٩", "+14155559999", id="arabic-digits"),
    ],
)
def test_a_number_is_written_as_e164(written: str, number: str) -> None:
    """However it was written; +1 where no country is given, as the seeds say."""
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
        pytest.param("+14155559999, +14155558888", id="two-numbers"),
        pytest.param("+14155559999 or +14155558888", id="either-of-two"),
        pytest.param("+1415555\x009999", id="nul"),
        pytest.param("\ud800", id="half-a-character"),
        pytest.param("null", id="null"),
    ],
)
def test_what_is_no_number_is_refused(written: str) -> None:
    """The sentence repeats it and says why."""
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
    """It would be dropped silently, and the call would reach the switchboard."""
    with pytest.raises(ValueError, match="extension"):
        to_e164(written)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("911", id="us"),
        pytest.param("+1911", id="us-with-country"),
        pytest.param("9-1-1", id="us-with-dashes"),
        pytest.param("911911", id="us-twice"),
        pytest.param("112", id="europe"),
        pytest.param("999", id="britain"),
        pytest.param("+44999", id="britain-with-country"),
        pytest.param("988", id="suicide-line"),
        pytest.param("tel:911;phone-context=+1", id="link"),
        pytest.param("９１１", id="fullwidth"),
    ],
)
def test_an_emergency_number_is_refused(written: str) -> None:
    """No assistant calls one, in whatever way it is written."""
    with pytest.raises(ValueError, match=r"(phone|emergency) number"):
        to_e164(written)


def test_no_countrys_emergency_number_passes() -> None:
    """Not with its country code in front either."""
    short = ("08", "15", "17", "18", *(str(number) for number in range(100, 1000)))
    passed = []
    for region in sorted(SUPPORTED_REGIONS):
        for number in short:
            if is_emergency_number(number, region):
                try:
                    passed.append(to_e164(f"+{country_code_for_region(region)}{number}"))
                except ValueError:
                    continue
    assert passed == []


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
    """The message repeats its beginning only."""
    with pytest.raises(ValueError, match="is no") as refused:
        to_e164(written)
    assert len(str(refused.value)) < 150
