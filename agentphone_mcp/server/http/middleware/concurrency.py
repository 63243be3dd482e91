"""Count what each caller uses at once: sessions, streams, requests and their bytes."""

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Literal

from agentphone_mcp.config.http import HttpSettings

Resource = Literal["sessions", "streams", "http_requests", "mcp_requests", "mcp_bytes"]
Amounts = Mapping[Resource, int]
_MOST_BYTES = 8 * 1024 * 1024
"""Parameters of one caller's MCP requests under way, as JSON; in memory they can take twenty times as much."""


def limits_of(settings: HttpSettings) -> Amounts:
    """Return how much of each resource one caller may use at once."""
    return {
        "sessions": settings.max_sessions,
        "streams": settings.max_sessions,
        "http_requests": settings.max_sessions + settings.max_calls,
        "mcp_requests": settings.max_calls,
        "mcp_bytes": _MOST_BYTES,
    }


class ConcurrencyLimiter:
    """Count the resources that callers use, by the name of the caller."""

    def __init__(self, limits: Amounts) -> None:
        self.limits = limits
        self._used: Counter[tuple[str, Resource]] = Counter()

    def has_room(self, caller: str, wanted: Amounts) -> bool:
        """Return whether a caller may use this much more."""
        return all(self._used[caller, name] + amount <= self.limits[name] for name, amount in wanted.items())

    @contextmanager
    def held(self, caller: str, wanted: Amounts) -> Generator[None]:
        """Count this much more as used while the context lasts."""
        for name, amount in wanted.items():
            self._used[caller, name] += amount
        try:
            yield
        finally:
            for name, amount in wanted.items():
                self._used[caller, name] -= amount
                if not self._used[caller, name]:
                    del self._used[caller, name]
