"""What a person is told about prices is about right, and says that it is about."""

import pytest

from agentphone_mcp.guard.rates import Rates


def test_the_prices_are_those_of_the_billing_page() -> None:
    """API.md, "Money"."""
    rates = Rates()
    assert rates.number() == "about $3.00 per 30 days, charged at once and not refunded"
    assert rates.voice(hosted=True) == "about $0.22 a minute, by the second"
    assert rates.voice(hosted=False) == "about $0.13 a minute, by the second"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("", "about $0.02, 1 segment", id="empty"),
        pytest.param("Hello!", "about $0.02, 1 segment", id="short"),
        pytest.param("a" * 160, "about $0.02, 1 segment", id="full-segment"),
        pytest.param("a" * 161, "about $0.04, 2 segments", id="one-more"),
        pytest.param("a" * 320, "about $0.04, 2 segments", id="two-full-segments"),
        pytest.param("a" * 1600, "about $0.20, 10 segments", id="long"),
        pytest.param("ü" * 70, "about $0.02, 1 segment", id="full-unicode-segment"),
        pytest.param("ü" * 71, "about $0.04, 2 segments", id="one-more-unicode"),
        pytest.param("a" * 70 + "ü", "about $0.04, 2 segments", id="one-unicode-letter"),
        pytest.param("👋" * 35, "about $0.02, 1 segment", id="emoji"),
        pytest.param("👋" * 36, "about $0.04, 2 segments", id="emoji-take-two-units"),
    ],
)
def test_a_text_costs_by_its_segments(body: str, said: str) -> None:
    """160 characters make one, or 70 with Unicode."""
    assert Rates().message(body) == said


def test_prices_can_be_others() -> None:
    """Rates change, and stand in one place."""
    rates = Rates(number_per_30_days=4, hosted_minute=0.3, webhook_minute=0.1, text=0.05)
    assert rates.number().startswith("about $4.00 ")
    assert rates.voice(hosted=True).startswith("about $0.30 ")
    assert rates.voice(hosted=False).startswith("about $0.10 ")
    assert rates.message("a" * 200) == "about $0.10, 2 segments"
