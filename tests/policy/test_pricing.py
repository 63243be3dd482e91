"""Prices and costs are those of API.md, and texts for a person say that they are approximate."""

import pytest

from agentphone_mcp.policy.pricing import Cost, PriceList, cost_of_seconds, in_dollars, minute_price_text

CLEAR = "noise-and-background-speech-cancellation"


def test_the_prices_are_those_of_the_billing_page() -> None:
    """The prices are those of API.md, "Money"."""
    prices = PriceList()
    assert prices.number_price_text() == "about $3.00 per 30 days, charged at once and not refunded"
    assert minute_price_text(prices.minute(hosted=True)) == "about $0.22 a minute, by the second"
    assert minute_price_text(prices.minute(hosted=False)) == "about $0.13 a minute, by the second"
    assert minute_price_text(prices.minute(hosted=True, denoising=CLEAR)) == "about $0.225 a minute, by the second"
    assert prices.minute(hosted=True, denoising="noise-cancellation") == prices.minute(hosted=True)


@pytest.mark.parametrize(
    ("body", "text"),
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
        pytest.param("\ud83d", "about $0.02, 1 segment", id="half-an-emoji"),
    ],
)
def test_a_text_costs_by_its_segments(body: str, text: str) -> None:
    """A segment has 160 characters, or 70 with Unicode."""
    assert PriceList().message_price_text(body) == text
    assert text.startswith(f"about {in_dollars(Cost.of(PriceList().message_cost(body)).micros)},")


def test_prices_can_be_changed() -> None:
    prices = PriceList.parse("number_per_30_days=4, hosted_minute = $0.3,webhook_minute=.1,,text=0.05,")
    assert prices == PriceList(number_per_30_days=4, hosted_minute=0.3, webhook_minute=0.1, text=0.05)
    assert prices.number_price_text().startswith("about $4.00 ")
    assert minute_price_text(prices.minute(hosted=True)).startswith("about $0.30 ")
    assert minute_price_text(prices.minute(hosted=False)).startswith("about $0.10 ")
    assert prices.message_price_text("a" * 200) == "about $0.10, 2 segments"
    assert PriceList.parse("text=0").message_price_text("Hello!") == "about $0.00, 1 segment"
    assert PriceList.parse("") == PriceList()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        pytest.param("fax=1", "'fax' is no price", id="no-such-price"),
        pytest.param("text", "text='' is no price", id="no-price"),
        pytest.param("text=cheap", "text='cheap' is no price", id="no-number"),
        pytest.param("text=-0.02", "text='-0.02' is no price", id="negative"),
        pytest.param("text=nan", "text='nan' is no price", id="nan"),
        pytest.param("text=inf", "text='inf' is no price", id="endless"),
        pytest.param("text=1001", "text='1001' is no price", id="absurd"),
        pytest.param("text=0.02,fax=1", "'fax' is no price", id="second-part"),
    ],
)
def test_what_is_no_price_is_refused_by_its_part(text: str, quoted: str) -> None:
    with pytest.raises(ValueError, match="is no") as refused:
        PriceList.parse(text)
    assert str(refused.value).startswith(quoted)


@pytest.mark.parametrize(
    ("seconds", "micros"),
    [
        pytest.param(0, 0, id="unanswered"),
        pytest.param(-1, 0, id="negative"),
        pytest.param(0.5, 10_000, id="at-least-a-cent"),
        pytest.param(2, 10_000, id="still-a-cent"),
        pytest.param(60, 220_000, id="a-minute"),
        pytest.param(61, 223_667, id="by-the-second-rounded-up"),
        pytest.param(3_600, 13_200_000, id="an-hour"),
    ],
)
def test_a_call_costs_by_its_seconds(seconds: float, micros: int) -> None:
    """The rule is that of API.md, "Money"."""
    assert cost_of_seconds(220_000, seconds) == micros


def test_costs_are_whole_so_that_sums_are_exact() -> None:
    assert Cost.of(0.02).micros * 10 == Cost.of(0.2).micros
    assert Cost.of_call(0.22) == Cost(1_100_000, 220_000)
    assert in_dollars(1_100_000) == "$1.10"
