"""List the phone numbers that can be bought, the same in every run."""

from collections.abc import Iterator
from dataclasses import dataclass

from agentphone_mcp.sandbox.data.callees import CALLEES
from agentphone_mcp.sandbox.data.seed import ADA_NUMBER, FRONT_DESK_NUMBER

_IN_USE = {*CALLEES, ADA_NUMBER, FRONT_DESK_NUMBER}


@dataclass(frozen=True)
class Area:
    """Describe an area code and its city."""

    area_code: str
    city: str
    state: str
    zip: str
    country: str = "US"

    @property
    def phone_numbers(self) -> Iterator[str]:
        """Return its phone numbers, except those that the seeded account and the callees use."""
        all_numbers = (f"+1{self.area_code}55501{line:02}" for line in range(100))
        return (phone_number for phone_number in all_numbers if phone_number not in _IN_USE)


AREAS = (
    Area("415", "San Francisco", "CA", "94105"),
    Area("628", "San Francisco", "CA", "94110"),
    Area("510", "Oakland", "CA", "94607"),
    Area("408", "San Jose", "CA", "95113"),
    Area("213", "Los Angeles", "CA", "90012"),
    Area("310", "Santa Monica", "CA", "90401"),
    Area("619", "San Diego", "CA", "92101"),
    Area("206", "Seattle", "WA", "98101"),
    Area("503", "Portland", "OR", "97204"),
    Area("702", "Las Vegas", "NV", "89101"),
    Area("602", "Phoenix", "AZ", "85004"),
    Area("303", "Denver", "CO", "80202"),
    Area("512", "Austin", "TX", "78701"),
    Area("214", "Dallas", "TX", "75201"),
    Area("713", "Houston", "TX", "77002"),
    Area("312", "Chicago", "IL", "60601"),
    Area("313", "Detroit", "MI", "48226"),
    Area("404", "Atlanta", "GA", "30303"),
    Area("305", "Miami", "FL", "33130"),
    Area("202", "Washington", "DC", "20001"),
    Area("215", "Philadelphia", "PA", "19103"),
    Area("212", "New York", "NY", "10001"),
    Area("646", "New York", "NY", "10012"),
    Area("718", "Brooklyn", "NY", "11201"),
    Area("617", "Boston", "MA", "02108"),
    Area("416", "Toronto", "ON", "M5H 2N2", "CA"),
    Area("514", "Montreal", "QC", "H2Y 1C6", "CA"),
    Area("604", "Vancouver", "BC", "V6B 1A1", "CA"),
    Area("403", "Calgary", "AB", "T2P 1J9", "CA"),
)


def available_numbers(
    taken: set[str],
    *,
    country: str | None = None,
    area_code: str | None = None,
    city: str | None = None,
    state: str | None = None,
    zip_code: str | None = None,
) -> Iterator[tuple[str, Area]]:
    """Yield the numbers that are not taken, with their areas, filtered by the arguments."""
    for area in AREAS:
        fits = (
            country in (None, area.country)
            and area_code in (None, area.area_code)
            and (city is None or city.lower() in area.city.lower())
            and (state is None or state.upper() == area.state)
            and (zip_code is None or zip_code.upper() == area.zip)
        )
        if fits:
            yield from ((phone_number, area) for phone_number in area.phone_numbers if phone_number not in taken)
