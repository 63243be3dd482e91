"""Check the callees that react: the menu (IVR), and the one who interrupts."""

import httpx

from agentphone_mcp.sandbox.calls.party import Party
from agentphone_mcp.sandbox.data.callees import callee_at
from tests.sandbox.calling import Place, spoken, turns_of

MENU, IMPATIENT = "+14155550110", "+14155550111"


async def test_the_built_in_voice_presses_what_a_menu_offers(call_until_ended: Place) -> None:
    call = await call_until_ended(toNumber=MENU)
    assert "press 1 for sales, 2 for support" in spoken(call, "user")[0]
    assert spoken(call)[2] == "[pressed 1]"
    assert call["transcripts"][1]["response"] == "[pressed 1]"
    assert "You have chosen sales" in spoken(call)[3]
    assert (call["status"], len(spoken(call, "user"))) == ("completed", 3)


async def test_a_menu_nobody_answers_gives_up(api: httpx.AsyncClient, call_until_ended: Place) -> None:
    await api.patch("/v1/agents/agt_frontdesk", json={"voiceMode": "webhook"})
    lines = spoken(await call_until_ended(toNumber=MENU), "user")
    assert len(set(lines[:3])) == 1
    assert lines[3:] == ["We have not received a choice. Goodbye."]


def test_a_menu_takes_the_first_key_that_it_knows() -> None:
    party = Party(callee_at(MENU))
    party.next_line()
    party.press("9")
    party.press("2")
    assert "support" in (party.next_line() or "")
    assert party.next_line() is None


async def test_an_impatient_person_barges_in(call_until_ended: Place) -> None:
    call = await call_until_ended(toNumber=IMPATIENT, initialGreeting="Hello, this is an AI that calls for Ada.")
    cut = [turn for turn in turns_of(call) if turn.get("interrupted")]
    assert [turn["content"] for turn in cut][:2] == ["Hello, this is an —", "Thank you. I am here to —"]
    assert len(cut) == 4
    assert all(turn["role"] == "agent" for turn in cut)
    assert spoken(call)[-1] == "Thank you for your time. Goodbye!"


def test_an_impatient_person_hears_short_words_out() -> None:
    assert Party(callee_at(IMPATIENT)).interrupt("Yes, I am.") is None
