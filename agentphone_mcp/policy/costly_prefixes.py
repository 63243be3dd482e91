"""List prefixes that bill more than an ordinary call although `phonenumbers` takes them for ordinary or knows none.

As of 2026-11-30, from the numbering plans of the countries, beside phonenumbers 9.0.43. What that library has as
premium, shared-cost, personal or pager numbers is refused by its type (`phone_numbers.py`) and not repeated here.
"""

_NORTH_AMERICA = (
    "1456",  # inbound international services, routed by carrier
    # Personal numbers (5XX) without an assigned exchange yet.
    *(f"1{code}" for code in (535, 538, 542, 543, 545, 546, 547, 549, 550, 552, 553, 554, 556, 569, 578, 589)),
    # Canadian numbers without a place (6XX): satellites, data, personal numbers.
    *(f"1{code}" for code in (600, 644, 655, 677, 688)),
    "1700",  # services of the caller's own carrier
    "1710",  # the federal government in an emergency
    "1900",  # premium rate, also where no exchange is assigned
)
_EUROPE = (
    *("3184", "3187"),  # Netherlands: personal assistants
    "34118",  # Spain: directory enquiries
    *("351707", "351708"),  # Portugal: charged by the callee
    *("35860", "358100", "358200", "358202"),  # Finland: services
    *("391", "3970"),  # Italy: services such as 144, 166, 178 and 199; dial-up
    "4118",  # Switzerland: directory enquiries
    "43118",  # Austria: directory enquiries
    # Germany: innovative services, directory enquiries, televoting, private networks, dial-up.
    *("4912", "49118", "4913", "4918", "4919"),
)
_ELSEWHERE = (
    "27861",  # South Africa: shared cost
    "54810",  # Argentina: shared cost
    "81570",  # Japan: charged by the callee (Navi Dial)
    *("878", "979"),  # international: personal, premium
)

COSTLY_PREFIXES: tuple[str, ...] = (*_NORTH_AMERICA, *_EUROPE, *_ELSEWHERE)
"""Digits of E.164 numbers, without the plus."""
