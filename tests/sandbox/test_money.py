"""Rates."""

from decimal import Decimal

import pytest

from agentphone_mcp.sandbox.money import voice_charge


@pytest.mark.parametrize(
    ("mode", "seconds", "dollars"),
    [
        pytest.param("hosted", 60, "0.22", id="a-hosted-minute"),
        pytest.param("webhook", 60, "0.13", id="a-webhook-minute"),
        pytest.param("webhook", 90, "0.195", id="by-the-second"),
        pytest.param("hosted", 0, "0.01", id="at-least-a-cent"),
    ],
)
def test_voice_is_charged_by_mode_and_second(mode: str, seconds: int, dollars: str) -> None:
    """As the seeds and the vendor's billing page have it."""
    assert voice_charge(mode, seconds) == Decimal(dollars)
