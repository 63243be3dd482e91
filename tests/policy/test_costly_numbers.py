"""Numbers that cost more than an ordinary call, or that nobody has, are refused wherever a number is given."""

import pytest
from phonenumbers import (
    SUPPORTED_REGIONS,
    PhoneNumberFormat,
    PhoneNumberType,
    example_number_for_type,
    format_number,
    is_possible_number,
    is_valid_number,
    number_type,
    parse,
)

from agentphone_mcp.policy.costly_prefixes import COSTLY_PREFIXES
from agentphone_mcp.policy.destinations import parse_recipients
from agentphone_mcp.policy.phone_numbers import normalize_number, to_e164

COSTLY = "a number that bills more than an ordinary call passes as one"
ORDINARY = (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.TOLL_FREE)


def refused_as(number: str, kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        to_e164(number)
    with pytest.raises(ValueError, match=kind):
        parse_recipients(number)


@pytest.mark.attack("10", COSTLY)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param("+16005551234", id="canada-without-a-place"),
        pytest.param("+16225551234", id="canada-personal"),
        pytest.param("+16335551234", id="canada-personal-too"),
        pytest.param("+15005551234", id="personal-500"),
        pytest.param("+15215551234", id="personal-521"),
        pytest.param("+15335551234", id="personal-533"),
        pytest.param("+15885551234", id="personal-588"),
        pytest.param("+17005551234", id="carrier-services"),
        pytest.param("+17105551234", id="government"),
        pytest.param("+14565551234", id="inbound-international"),
        pytest.param("+19765551234", id="unassigned-976"),
        pytest.param("+447012345678", id="britain-personal"),
        pytest.param("+491371234567", id="germany-televoting"),
        pytest.param("+49137123456", id="germany-televoting-a-digit-short"),
        pytest.param("+391781234567", id="italy-178"),
        pytest.param("+39199123456", id="italy-199"),
        pytest.param("+43118123456", id="austria-directory"),
    ],
)
def test_the_numbers_that_once_passed_are_refused_as_costly(number: str) -> None:
    refused_as(number, "premium-rate numbers")


@pytest.mark.attack("10", COSTLY)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param("+15385551234", id="personal-without-an-exchange"),
        pytest.param("+16885551234", id="canada-not-assigned-yet"),
        pytest.param("+12125551212", id="directory-assistance"),
        pytest.param("+15559761234", id="976-in-fiction"),
        pytest.param("+447600123456", id="britain-pager"),
        pytest.param("+33810123456", id="france-shared-cost"),
        pytest.param("+34902123456", id="spain-shared-cost"),
        pytest.param("+31840123456", id="netherlands-personal"),
        pytest.param("+491801234567", id="germany-shared-cost"),
        pytest.param("+491212345678", id="germany-innovative"),
        pytest.param("+611300123456", id="australia-shared-cost"),
        pytest.param("+81570123456", id="japan-navi-dial"),
        pytest.param("+27861234567", id="south-africa-shared-cost"),
        pytest.param("+358606123456", id="finland-services"),
        pytest.param("+80812345678", id="international-shared-cost"),
        pytest.param("+878101234567890", id="international-personal"),
    ],
)
def test_others_of_their_kind_are_refused_as_costly(number: str) -> None:
    refused_as(number, "premium-rate numbers")


@pytest.mark.attack("10", "a number in no use passes")
@pytest.mark.parametrize(
    "number",
    [
        pytest.param("+12005551234", id="area-code-200"),
        pytest.param("+18225551234", id="toll-free-to-come"),
        pytest.param("+14151234567", id="exchange-that-begins-with-one"),
        pytest.param("+447700900123", id="britain-fiction"),
        pytest.param("+4913", id="germany-two-digits"),
        pytest.param("+3270123456", id="belgium-unassigned"),
    ],
)
def test_a_number_in_no_use_is_refused(number: str) -> None:
    refused_as(number, "premium-rate numbers|is no phone number in use|is no possible phone number")


@pytest.mark.attack("10", COSTLY)
@pytest.mark.parametrize("region", sorted(SUPPORTED_REGIONS))
def test_no_countrys_costly_number_passes_and_its_ordinary_ones_do(region: str) -> None:
    for kind in (PhoneNumberType.SHARED_COST, PhoneNumberType.PERSONAL_NUMBER, PhoneNumberType.PAGER):
        if example := example_number_for_type(region, kind):
            with pytest.raises(ValueError, match=r"premium-rate numbers|short code"):
                to_e164(format_number(example, PhoneNumberFormat.E164))
    for kind in ORDINARY:
        if example := example_number_for_type(region, kind):
            number = format_number(example, PhoneNumberFormat.E164)
            assert to_e164(number) == number


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("+18005551212", id="toll-free-directory-assistance"),
        pytest.param("+34900123456", id="spain-toll-free"),
        pytest.param("+441189012345", id="reading-like-directory-enquiries"),
        pytest.param("+447624123456", id="isle-of-man-mobile-like-a-pager"),
        pytest.param("+15559876543", id="fiction"),
    ],
)
def test_a_number_that_only_looks_costly_passes(number: str) -> None:
    assert to_e164(number) == number


def test_no_listed_prefix_has_ordinary_numbers_in_it() -> None:
    for prefix in COSTLY_PREFIXES:
        digits = ("".join(str((7 * place + seed) % 10) for place in range(12)) for seed in range(10))
        written = [f"+{prefix}{rest[:length]}" for rest in digits for length in range(4, 12)]
        numbers = [parse(number) for number in written]
        valid = [number for number in numbers if is_possible_number(number) and is_valid_number(number)]
        # Spanish toll-free numbers and the like are let through by their type.
        assert not [number for number in valid if number_type(number) in ORDINARY[:2]], prefix


def test_numbers_are_compared_whether_or_not_they_may_be_dialled() -> None:
    assert normalize_number("(900) 555-1234") == "+19005551234"
    assert normalize_number("+44 7700 900123") == "+447700900123"
    assert normalize_number("Agent 47") == "Agent 47"
