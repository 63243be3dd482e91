"""Phone numbers as people write them, as E.164."""

import phonenumbers

HOME_REGION = "US"
"""Where a number without a country code is taken to be (the seeds' rule)."""

_LONGEST = 250
"""Characters; the library's own bound, which its look-up of emergency numbers does not keep to."""
_REASONS = {
    phonenumbers.ValidationResult.TOO_SHORT: "it is too short",
    phonenumbers.ValidationResult.TOO_LONG: "it is too long",
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing",
    phonenumbers.ValidationResult.INVALID_COUNTRY_CODE: "there is no such country code",
    phonenumbers.ValidationResult.INVALID_LENGTH: "no number of that country has this length",
}


def same_number(written: str) -> str:
    """Write what may be a phone number in the one form in which two can be compared; other text stays as it is."""
    try:
        return to_e164(written)
    except ValueError:
        return written


def to_e164(written: str) -> str:
    """Write a phone number as E.164: `(415) 555-9999` becomes `+14155559999`.

    Possible is enough: test numbers such as +15559876543 are in no carrier's range and yet in every example.

    Raises:
        ValueError: if it is no possible phone number, or an emergency number; the message says why.
    """
    if len(written) > _LONGEST:
        raise ValueError(f"{written[:40]!r}… is no phone number: it is far too long")
    if phonenumbers.connects_to_emergency_number(written, HOME_REGION):
        raise ValueError("emergency numbers cannot be called or texted from here")
    try:
        number = phonenumbers.parse(written, HOME_REGION)
    except phonenumbers.NumberParseException:
        raise ValueError(f"{written[:40]!r} is no phone number: write it like +14155559999") from None
    if number.extension:
        raise ValueError(f"{written[:40]!r} has an extension, which cannot be dialled: give the number alone")
    if reason := _REASONS.get(phonenumbers.is_possible_number_with_reason(number)):
        raise ValueError(f"{written[:40]!r} is no possible phone number: {reason}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
