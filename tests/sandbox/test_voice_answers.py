"""What is understood of a webhook's answer."""

from typing import Any

import pytest

from agentphone_mcp.sandbox.voice_webhook import understand


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param({"text": 5}, "text is no string", id="text"),
        pytest.param({"text": "Hi", "action": "dance"}, "'dance' is unknown", id="action"),
        pytest.param({"text": "Hi", "digits": "one"}, "no keys", id="word"),
        pytest.param({"text": "Hi", "digits": True}, "no keys", id="boolean"),
        pytest.param({"text": "Hi", "dtmf": ["1"]}, "no keys", id="list"),
        pytest.param({}, "Nothing was said", id="nothing"),
    ],
)
def test_what_cannot_be_followed_is_told(said: dict[str, Any], told: str) -> None:
    """And the rest of the answer is followed."""
    understood = understand(said, None)
    assert told in " ".join(understood.unfollowed)
    assert not understood.reply.digits
    assert not understood.reply.hangup


def test_only_true_hangs_up_and_no_word_breaks_the_transcript() -> None:
    """A string that looks like true does not; half a character is replaced."""
    assert not understand({"text": "Hi", "hangup": "true"}, None).reply.hangup
    assert understand({"text": "Hi \ud800"}, None).reply.text == "Hi ?"
