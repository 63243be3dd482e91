"""Bound the connections that wait for their client, by address: the one that has waited longest makes place."""

import ipaddress
from typing import Protocol

_NETWORK_OF_ONE = 64
"""Bits of an IPv6 address that one customer of a provider cannot choose."""


class Closable(Protocol):
    """Stand for a connection that can be ended without more ado."""

    def give_way(self) -> None:
        """End the connection."""
        ...


def sender_of(address: str) -> str:
    """Return what counts as one sender: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _NETWORK_OF_ONE), strict=False))
    return str(parsed)


class WaitingConnections:
    """Know which connections of a server wait for their client, the longest first.

    A request or its body may be incomplete (half open), or the next one may not have begun (idle). Only the former are
    bounded for each sender, as a proxy keeps many of the latter; both make place when there is none.
    """

    def __init__(self) -> None:
        self._half_open: dict[str, dict[Closable, None]] = {}
        self._idle: dict[str, dict[Closable, None]] = {}

    def note(self, connection: Closable, sender: str, *, is_idle: bool, most_half_open: int) -> None:
        """Note that a connection waits, and end the one of its sender that has waited longest if they are too many."""
        places, others = (self._idle, self._half_open) if is_idle else (self._half_open, self._idle)
        self._remove(others, connection, sender)
        waiting = places.setdefault(sender, {})
        waiting.setdefault(connection)
        if not is_idle and len(waiting) > most_half_open:
            self._end(places, sender)

    def forget(self, connection: Closable, sender: str) -> None:
        """Note that a connection is being served, or is gone."""
        self._remove(self._half_open, connection, sender)
        self._remove(self._idle, connection, sender)

    def make_place(self) -> None:
        """End the connection that has waited longest, of the sender with the most half-open ones, or else idle ones."""
        for places in (self._half_open, self._idle):
            if places:
                self._end(places, max(places, key=lambda sender: len(places[sender])))
                return

    def _end(self, places: dict[str, dict[Closable, None]], sender: str) -> None:
        longest = next(iter(places[sender]))
        self._remove(places, longest, sender)
        longest.give_way()

    def _remove(self, places: dict[str, dict[Closable, None]], connection: Closable, sender: str) -> None:
        waiting = places.get(sender)
        if waiting is not None:
            waiting.pop(connection, None)
            if not waiting:
                del places[sender]
