"""Turn phone numbers as people write them into E.164, and reject those that must not be dialled."""

import unicodedata
from copy import copy

import phonenumbers

from agentphone_mcp.policy.costly_prefixes import COSTLY_PREFIXES

HOME_REGION = "US"
"""The region of numbers without a country code (API.md)."""

_NORTH_AMERICA = 1
_FICTION = "555"
"""The area code of examples such as +15559876543, which nobody has."""
_COSTLY_EXCHANGE = "976"
_DIRECTORY_ASSISTANCE = "5551212"
_COSTLY = (
    phonenumbers.PhoneNumberType.PREMIUM_RATE,
    phonenumbers.PhoneNumberType.SHARED_COST,
    phonenumbers.PhoneNumberType.PERSONAL_NUMBER,
    phonenumbers.PhoneNumberType.PAGER,
    phonenumbers.PhoneNumberType.VOICEMAIL,
)
_REASONS = {
    phonenumbers.ValidationResult.TOO_SHORT: "it is too short",
    phonenumbers.ValidationResult.TOO_LONG: "it is too long",
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing",
    phonenumbers.ValidationResult.INVALID_LENGTH: "no number of that country has this length",
}


def normalize_number(written: str) -> str:
    """Write a phone number as E.164 for comparison, whether or not it may be dialled; return other text unchanged."""
    try:
        number = _parse(written)
    except ValueError:
        return written
    is_number = phonenumbers.is_possible_number(number) and not number.extension
    return _format(number) if is_number else written


def to_e164(written: str) -> str:
    """Write a phone number as E.164: `(415) 555-9999` becomes `+14155559999`.

    The number must be in use as far as `phonenumbers` knows; +1 555 is let through for examples and tests.

    Raises:
        ValueError: if it is no phone number in use, or an emergency number, a service code or a number of any country
            that bills its callers more than an ordinary call; the message says why.
    """
    number = _parse(written)
    if _is_emergency(number):
        raise ValueError("emergency numbers and service codes such as 211 cannot be called or texted from here")
    if number.extension:
        raise ValueError(f"{written[:40]!r} has an extension, which cannot be dialled: give the number alone")
    if reason := _REASONS.get(phonenumbers.is_possible_number_with_reason(number)):
        raise ValueError(f"{written[:40]!r} is no possible phone number: {reason}")
    if _is_short_code(number):
        raise ValueError(f"{written[:40]!r} is a short code; those cannot be called or texted from here")
    if _is_costly(number):
        raise ValueError(
            "premium-rate numbers, and others that bill more than an ordinary call, cannot be called or texted from "
            "here: give a fixed-line, mobile or toll-free number"
        )
    formatted = _format(number)
    # In a few countries the trunk prefix can be read as part of the number, so that it has two meanings.
    if phonenumbers.parse(formatted) != number:
        raise ValueError(f"{written[:40]!r} can be read in two ways: write the number without its trunk prefix")
    if not _is_in_use(number):
        raise ValueError(
            f"{written[:40]!r} is no phone number in use, by the numbering plan as phonenumbers "
            f"{phonenumbers.__version__} has it: check it, or update that package if the number is new"
        )
    return formatted


def _parse(written: str) -> phonenumbers.PhoneNumber:
    # The library skips everything before the first digit, and would read *67 as the beginning of a number.
    plain = unicodedata.normalize("NFKC", written).strip()
    if "*" in plain or plain.startswith("#"):
        raise ValueError(f"{written[:40]!r} is no phone number: codes with * and # cannot be dialled")
    try:
        return phonenumbers.parse(written, HOME_REGION)
    except phonenumbers.NumberParseException:
        raise ValueError(f"{written[:40]!r} is no phone number: write it like +14155559999") from None


def _format(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _is_emergency(number: phonenumbers.PhoneNumber) -> bool:
    """Tell whether it is, or begins like, an emergency number of its country or a service code of North America."""
    national = phonenumbers.national_significant_number(number)
    if number.country_code == _NORTH_AMERICA and national[1:3] == "11":
        return True
    # An assigned number may begin like an emergency number: +33 1 12… is in Paris.
    if phonenumbers.is_valid_number(number):
        return False
    # Carriers may skip leading zeros that the library keeps.
    forms = (national, national.lstrip("0"))
    return any(phonenumbers.connects_to_emergency_number(form, region) for form in forms for region in _regions(number))


def _is_short_code(number: phonenumbers.PhoneNumber) -> bool:
    """Tell whether it is a short code of its country, such as 116117, that is as long as a number."""
    if phonenumbers.is_valid_number(number):
        return False
    return any(phonenumbers.is_valid_short_number_for_region(number, region) for region in _regions(number))


def _regions(number: phonenumbers.PhoneNumber) -> tuple[str, ...]:
    return phonenumbers.region_codes_for_country_code(number.country_code or 0)


def _is_costly(number: phonenumbers.PhoneNumber) -> bool:
    """Tell whether the numbering plans bill its callers more than an ordinary call."""
    # Carriers ignore surplus digits.
    dialled = copy(number)
    phonenumbers.truncate_too_long_number(dialled)
    kind = phonenumbers.number_type(dialled)
    if kind == phonenumbers.PhoneNumberType.TOLL_FREE:
        return False
    national = phonenumbers.national_significant_number(number)
    if number.country_code == _NORTH_AMERICA and _COSTLY_EXCHANGE in (national[:3], national[3:6]):
        return True
    is_enquiry = number.country_code == _NORTH_AMERICA and national[3:] == _DIRECTORY_ASSISTANCE
    return is_enquiry or kind in _COSTLY or f"{number.country_code}{national}".startswith(COSTLY_PREFIXES)


def _is_in_use(number: phonenumbers.PhoneNumber) -> bool:
    """Tell whether the numbering plan has assigned its range, so that no service of unknown price is behind it."""
    national = phonenumbers.national_significant_number(number)
    is_fiction = number.country_code == _NORTH_AMERICA and national.startswith(_FICTION)
    return is_fiction or phonenumbers.is_valid_number(number)
