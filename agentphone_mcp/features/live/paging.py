"""Divide a transcript into answers that are not too long."""

from collections.abc import Sequence

from agentphone_mcp.api.calls import Turn
from agentphone_mcp.policy.untrusted import LONGEST_ANSWER, LONGEST_TEXT, MARK_LENGTH

TURNS_AT_ONCE = 200
"""The most turns in one result; get_transcript reads on from there."""
_ROOM = LONGEST_ANSWER - LONGEST_TEXT
"""What the turns of one answer may take; the rest is for what else is in it."""


def how_many_fit(turns: Sequence[Turn], most: int | None = None) -> int:
    """Return how many of the turns have room in one answer, at least one if there are any."""
    room = _ROOM
    for count, turn in enumerate(turns[:most]):
        room -= min(len(turn.text), LONGEST_TEXT) + MARK_LENGTH
        if room < 0 and count:
            return count
    return len(turns[:most])


def page_of(turns: Sequence[Turn], after_turn: int = 0) -> list[Turn]:
    """Return the turns after the first `after_turn` that one answer shows."""
    rest = turns[after_turn : after_turn + TURNS_AT_ONCE]
    return list(rest[: how_many_fit(rest)])
