"""The numbers that carriers have on offer, the same in every run."""

from collections.abc import Iterator
from dataclasses import dataclass

from agentphone_mcp.sandbox.data.callees import CALLEES
from agentphone_mcp.sandbox.data.seed import ADA_NUMBER, FRONT_DESK_NUMBER

_IN_USE = {*CALLEES, ADA_NUMBER, FRONT_DESK_NUMBER}


@dataclass(frozen=True)
class Place:
    """Where an area code's numbers come from."""

    area_code: str
    city: str
    state: str
    zip: str
    country: str = "US"

    @property
    def phone_numbers(self) -> Iterator[str]:
        """Its stock, which is none of anybody who is there from the start."""
        all_numbers = (f"+1{self.area_code}55501{line:02}" for line in range(100))
        return (phone_number for phone_number in all_numbers if phone_number not in _IN_USE)


PLACES = (
    Place("415", "San Francisco", "CA", "94105"),
    Place("628", "San Francisco", "CA", "94110"),
    Place("510", "Oakland", "CA", "94607"),
    Place("408", "San Jose", "CA", "95113"),
    Place("213", "Los Angeles", "CA", "90012"),
    Place("310", "Santa Monica", "CA", "90401"),
    Place("619", "San Diego", "CA", "92101"),
    Place("206", "Seattle", "WA", "98101"),
    Place("503", "Portland", "OR", "97204"),
    Place("702", "Las Vegas", "NV", "89101"),
    Place("602", "Phoenix", "AZ", "85004"),
    Place("303", "Denver", "CO", "80202"),
    Place("512", "Austin", "TX", "78701"),
    Place("214", "Dallas", "TX", "75201"),
    Place("713", "Houston", "TX", "77002"),
    Place("312", "Chicago", "IL", "60601"),
    Place("313", "Detroit", "MI", "48226"),
    Place("404", "Atlanta", "GA", "30303"),
    Place("305", "Miami", "FL", "33130"),
    Place("202", "Washington", "DC", "20001"),
    Place("215", "Philadelphia", "PA", "19103"),
    Place("212", "New York", "NY", "10001"),
    Place("646", "New York", "NY", "10012"),
    Place("718", "Brooklyn", "NY", "11201"),
    Place("617", "Boston", "MA", "02108"),
    Place("416", "Toronto", "ON", "M5H 2N2", "CA"),
    Place("514", "Montreal", "QC", "H2Y 1C6", "CA"),
    Place("604", "Vancouver", "BC", "V6B 1A1", "CA"),
    Place("403", "Calgary", "AB", "T2P 1J9", "CA"),
)


def on_offer(
    taken: set[str],
    *,
    country: str | None = None,
    area_code: str | None = None,
    city: str | None = None,
    state: str | None = None,
    zip_code: str | None = None,
) -> Iterator[tuple[str, Place]]:
    """The numbers nobody has yet, with their places, narrowed by what is given."""
    for place in PLACES:
        fits = (
            country in (None, place.country)
            and area_code in (None, place.area_code)
            and (city is None or city.lower() in place.city.lower())
            and (state is None or state.upper() == place.state)
            and (zip_code is None or zip_code.upper() == place.zip)
        )
        if fits:
            yield from ((phone_number, place) for phone_number in place.phone_numbers if phone_number not in taken)
