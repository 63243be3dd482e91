"""Ids that look like the vendor's."""

_SPREAD = 0x9E3779B97F
_SPACE = 1 << 40


class Ids:
    """Hands out ids such as `call_9e3779b97f`: they look random, never collide, and are the same in every run."""

    def __init__(self) -> None:
        self._issued = 0

    def new(self, prefix: str) -> str:
        """The next id, with the prefix and underscore of its kind, e.g. `agt`."""
        self._issued += 1
        # An odd factor permutes the numbers below a power of two, so no two ids are alike.
        return f"{prefix}_{self._issued * _SPREAD % _SPACE:010x}"
