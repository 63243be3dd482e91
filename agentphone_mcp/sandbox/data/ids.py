"""Generate ids that look like the vendor's."""

from dataclasses import dataclass

_SPREAD = 0x9E3779B97F
_SPACE = 1 << 40


@dataclass
class Ids:
    """Generate ids such as `call_9e3779b97f`: they look random, never collide, and are the same in every run."""

    issued: int = 0

    def new(self, prefix: str) -> str:
        """Return the next id, with the prefix and underscore of its kind, e.g. `agt`."""
        self.issued += 1
        # An odd factor permutes the numbers below a power of two, so no two ids are alike.
        return f"{prefix}_{self.issued * _SPREAD % _SPACE:010x}"
