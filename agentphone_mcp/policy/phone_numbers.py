"""Phone numbers as people write them, as E.164."""

import unicodedata
from copy import copy

import phonenumbers

HOME_REGION = "US"
"""Where a number without a country code is taken to be (the seeds' rule)."""

_NORTH_AMERICA = 1
_INTERNATIONAL_PREMIUM = 979
_REASONS = {
    phonenumbers.ValidationResult.TOO_SHORT: "it is too short",
    phonenumbers.ValidationResult.TOO_LONG: "it is too long",
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing",
    phonenumbers.ValidationResult.INVALID_LENGTH: "no number of that country has this length",
}


def normalize_number(written: str) -> str:
    """Write what may be a phone number in the one form in which two can be compared; other text stays as it is."""
    try:
        return to_e164(written)
    except ValueError:
        return written


def to_e164(written: str) -> str:
    """Write a phone number as E.164: `(415) 555-9999` becomes `+14155559999`.

    Possible is enough: test numbers such as +15559876543 are in no carrier's range and yet in every example.

    Raises:
        ValueError: if it is no possible phone number, or one that is never dialled from here: an emergency number, a
            service code or a premium-rate number, of whatever country; the message says why.
    """
    # The library skips what stands before the first digit, and would take *67 for the beginning of a number.
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
    # A few countries' trunk prefix can stand twice, and what it is dialled as is then anybody's guess.
    if phonenumbers.parse(formatted) != number:
        raise ValueError(f"{written[:40]!r} can be read in two ways: write the number without its trunk prefix")
    return formatted


def _is_emergency(number: phonenumbers.PhoneNumber) -> bool:
    """Whether it is, or begins like, an emergency number of its own country or a service code of North America."""
    national = phonenumbers.national_significant_number(number)
    if number.country_code == _NORTH_AMERICA and national[1:3] == "11":
        return True
    # A subscriber's number may begin like an emergency number and still reach the subscriber: +33 1 12… is in Paris.
    if phonenumbers.is_valid_number(number):
        return False
    # Exchanges may skip zeros that the library keeps.
    forms = (national, national.lstrip("0"))
    return any(phonenumbers.connects_to_emergency_number(form, region) for form in forms for region in _regions(number))


def _is_short_code(number: phonenumbers.PhoneNumber) -> bool:
    """Whether it works within its country only, such as the doctors' 116117, though long enough for a number."""
    if phonenumbers.is_valid_number(number):
        return False
    return any(phonenumbers.is_valid_short_number_for_region(number, region) for region in _regions(number))


def _regions(number: phonenumbers.PhoneNumber) -> tuple[str, ...]:
    return phonenumbers.region_codes_for_country_code(number.country_code or 0)


def _is_premium(number: phonenumbers.PhoneNumber) -> bool:
    """Whether whoever calls it pays more than for a call, as far as the numbering plans tell."""
    national = phonenumbers.national_significant_number(number)
    # Numbers that were never assigned count too: the plan may be newer than the library.
    if number.country_code == _NORTH_AMERICA and (national.startswith("900") or national[3:6] == "976"):
        return True
    # Exchanges ignore digits after the last that they need.
    reached = copy(number)
    phonenumbers.truncate_too_long_number(reached)
    return (
        number.country_code == _INTERNATIONAL_PREMIUM
        or phonenumbers.number_type(reached) == phonenumbers.PhoneNumberType.PREMIUM_RATE
    )
