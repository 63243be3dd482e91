"""Callees that do more than say their lines: a menu, and one who interrupts."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from agentphone_mcp.sandbox.data.callees import Party, at_number

Place = Callable[..., Awaitable[dict[str, Any]]]

MENU, IMPATIENT = "+14155550110", "+14155550111"


def turns_of(call: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns that the call's stream told."""
    return [data for event, data in call["events"] if event == "turn"]


def said(call: dict[str, Any], role: str | None = None) -> list[str]:
    """What was said in the call, by one party or both."""
    return [turn["content"] for turn in turns_of(call) if role in (None, turn["role"])]


async def test_the_built_in_voice_presses_what_a_menu_offers(call_until_ended: Place) -> None:
    """And then talks to the person behind it."""
    call = await call_until_ended(toNumber=MENU)
    assert "press 1 for sales, 2 for support" in said(call, "user")[0]
    assert said(call)[2] == "[pressed 1]"
    assert call["transcripts"][1]["response"] == "[pressed 1]"
    assert "You have chosen sales" in said(call)[3]
    assert (call["status"], len(said(call, "user"))) == ("completed", 3)


async def test_a_menu_nobody_answers_gives_up(api: httpx.AsyncClient, call_until_ended: Place) -> None:
    """After three questions into the silence."""
    await api.patch("/v1/agents/agt_frontdesk", json={"voiceMode": "webhook"})
    lines = said(await call_until_ended(toNumber=MENU), "user")
    assert len(set(lines[:3])) == 1
    assert lines[3:] == ["We have not received a choice. Goodbye."]


def test_a_menu_takes_the_first_key_that_it_knows() -> None:
    """Of several pressed at once, and only once it has asked."""
    party = Party(at_number(MENU))
    party.next_line()
    party.press("9")
    party.press("2")
    assert "support" in (party.next_line() or "")
    assert party.next_line() is None


async def test_an_impatient_person_barges_in(call_until_ended: Place) -> None:
    """The agent's sentences end in the middle, in the transcript and in its stream; the goodbye is heard out."""
    call = await call_until_ended(toNumber=IMPATIENT, initialGreeting="Hello, this is an AI that calls for Ada.")
    cut = [turn for turn in turns_of(call) if turn.get("interrupted")]
    assert [turn["content"] for turn in cut][:2] == ["Hello, this is an —", "Thank you. I am here to —"]
    assert len(cut) == 4
    assert all(turn["role"] == "agent" for turn in cut)
    assert said(call)[-1] == "Thank you for your time. Goodbye!"


def test_an_impatient_person_hears_short_words_out() -> None:
    """Nobody interrupts a yes."""
    assert Party(at_number(IMPATIENT)).cut("Yes, I am.") is None
