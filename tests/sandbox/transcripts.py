"""Read the turns of a call that a test placed with `call_until_ended`."""

from typing import Any


def turns_of(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [data for event, data in call["events"] if event == "turn"]


def spoken(call: dict[str, Any], role: str | None = None) -> list[str]:
    """Return what was said in the call, by one party or both."""
    return [turn["content"] for turn in turns_of(call) if role in (None, turn["role"])]
