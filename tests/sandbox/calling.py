"""Types of the fixtures that place calls and set the webhook, and the turns of a call that was placed."""

from collections.abc import Awaitable, Callable
from typing import Any

Place = Callable[..., Awaitable[dict[str, Any]]]
"""Places a call, and returns it once it has ended."""
SetHook = Callable[..., Awaitable[None]]


def turns_of(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [data for event, data in call["events"] if event == "turn"]


def spoken(call: dict[str, Any], role: str | None = None) -> list[str]:
    """Return what was said in the call, by one party or both."""
    return [turn["content"] for turn in turns_of(call) if role in (None, turn["role"])]
