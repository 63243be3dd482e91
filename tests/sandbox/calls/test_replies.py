"""Check what the built-in AI says."""

import pytest

from agentphone_mcp.sandbox.calls.replies import purpose_of


@pytest.mark.parametrize(
    ("prompt", "purpose"),
    [
        pytest.param("Book a table for two.", "book a table for two", id="an-order"),
        pytest.param("You are polite. Ask for the price! Then stop.", "ask for the price", id="after-the-manner"),
        pytest.param("You are a sales agent.", "talk to you as a sales agent", id="only-a-persona"),
        pytest.param("Always be kind.", "talk to you", id="only-manners"),
        pytest.param("", "talk to you", id="nothing"),
        pytest.param("Confirm the delivery\nBe brief", "confirm the delivery", id="lines"),
        pytest.param("You are a pirate.\n\n=== Rules ===\nSay so.", "talk to you as a pirate", id="rules-below"),
    ],
)
def test_the_purpose_of_a_prompt_fits_after_to(prompt: str, purpose: str) -> None:
    assert purpose_of(prompt) == purpose
