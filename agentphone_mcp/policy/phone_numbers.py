"""Turn phone numbers as people write them into E.164, and reject those that must not be dialled."""

import unicodedata
from copy import copy

import phonenumbers

HOME_REGION = "US"
"""The region of numbers without a country code (API.md)."""

_NORTH_AMERICA = 1
_INTERNATIONAL_PREMIUM = 979
_REASONS = {
    phonenumbers.ValidationResult.TOO_SHORT: "it is too short",
    phonenumbers.ValidationResult.TOO_LONG: "it is too long",
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing",
    phonenumbers.ValidationResult.INVALID_LENGTH: "no number of that country has this length",
}


def normalize_number(written: str) -> str:
    """Write a phone number as E.164 for comparison; return other text unchanged."""
    try:
        return to_e164(written)
    except ValueError:
        return written


def to_e164(written: str) -> str:
    """Write a phone number as E.164: `(415) 555-9999` becomes `+14155559999`.

    The number need not be assigned: examples and tests use numbers such as +15559876543.

    Raises:
        ValueError: if it is no possible phone number, or an emergency number, a service code or a premium-rate number
            of any country; the message says why.
    """
    # The library skips everything before the first digit, and would read *67 as the beginning of a number.
    plain = unicodedata.normalize("NFKC", written).strip()
    if "*" in plain or plain.startswith("#"):
        raise ValueError(f"{written[:40]!r} is no phone number: codes with * and # cannot be dialled")
    try:
        number = phonenumbers.parse(written, HOME_REGION)
    except phonenumbers.NumberParseException:
        raise ValueError(f"{written[:40]!r} is no phone number: write it like +14155559999") from None
    if _is_emergency(number):
        raise ValueError("emergency numbers and service codes such as 211 cannot be called or texted from here")
    if number.extension:
        raise ValueError(f"{written[:40]!r} has an extension, which cannot be dialled: give the number alone")
    if reason := _REASONS.get(phonenumbers.is_possible_number_with_reason(number)):
        raise ValueError(f"{written[:40]!r} is no possible phone number: {reason}")
    if _is_short_code(number):
        raise ValueError(f"{written[:40]!r} is a short code; those cannot be called or texted from here")
    if _is_premium(number):
        raise ValueError("premium-rate numbers cannot be called or texted from here")
    formatted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # In a few countries the trunk prefix can be read as part of the number, so that it has two meanings.
    if phonenumbers.parse(formatted) != number:
        raise ValueError(f"{written[:40]!r} can be read in two ways: write the number without its trunk prefix")
    return formatted


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


def _is_premium(number: phonenumbers.PhoneNumber) -> bool:
    """Tell whether the numbering plans bill its callers more than an ordinary call."""
    national = phonenumbers.national_significant_number(number)
    # Unassigned numbers count too, as the numbering plan may be newer than the library.
    if number.country_code == _NORTH_AMERICA and (national.startswith("900") or national[3:6] == "976"):
        return True
    # Carriers ignore surplus digits.
    dialled = copy(number)
    phonenumbers.truncate_too_long_number(dialled)
    return (
        number.country_code == _INTERNATIONAL_PREMIUM
        or phonenumbers.number_type(dialled) == phonenumbers.PhoneNumberType.PREMIUM_RATE
    )
