"""What things cost, in one place. Source: API.md, "Money". Rates change, so what a person is told says "about"."""

from dataclasses import dataclass

_GSM_SEGMENT, _UNICODE_SEGMENT = 160, 70


@dataclass(frozen=True)
class Rates:
    """Prices in US dollars."""

    number_per_30_days: float = 3.00
    hosted_minute: float = 0.22
    webhook_minute: float = 0.13
    text: float = 0.02

    def number(self) -> str:
        """What a phone number costs."""
        return f"about ${self.number_per_30_days:.2f} per 30 days, charged at once and not refunded"

    def voice(self, *, hosted: bool) -> str:
        """What a call costs, in hosted or in webhook voice mode."""
        return f"about ${self.hosted_minute if hosted else self.webhook_minute:.2f} a minute, by the second"

    def message(self, body: str) -> str:
        """What a text costs, by its segments."""
        size = _GSM_SEGMENT if body.isascii() else _UNICODE_SEGMENT
        # Carriers count UTF-16 units, of which an emoji takes two.
        units = len(body.encode("utf-16-le", "surrogatepass")) // 2
        segments = max(1, -(-units // size))
        return f"about ${self.text * segments:.2f}, {segments} segment{'s' if segments > 1 else ''}"
