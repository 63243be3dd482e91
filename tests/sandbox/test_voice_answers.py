"""What is done with a webhook's answer: keys pressed, transfers, ends, and what cannot be followed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox.voice_webhook import understand

Place = Callable[..., Awaitable[dict[str, Any]]]

MENU, IMPATIENT = "+14155550110", "+14155550111"


def said(call: dict[str, Any], role: str | None = None) -> list[str]:
    """What was said in the call, by one party or both."""
    turns = [data for event, data in call["events"] if event == "turn"]
    return [turn["content"] for turn in turns if role in (None, turn["role"])]


@pytest.mark.parametrize("name", ["digits", "press_digit", "dtmf"])
async def test_a_menu_hears_digits(order: Place, hook: Any, name: str) -> None:
    """Under any of their names; the transcript shows what was pressed."""
    answers = {"press 1": {name: "2"}}
    hook.speak(lambda data: next((told for heard, told in answers.items() if heard in data["transcript"]), {}))
    call = await order(MENU)
    assert said(call)[1] == "[pressed 2]"
    assert "You have chosen support." in said(call)[2]


async def test_a_menu_asks_again_when_nothing_fits(order: Place, hook: Any) -> None:
    """Three times, and then it hangs up."""
    hook.speak(lambda _: {"text": "Hello?", "digits": 7})
    lines = said(await order(MENU), "user")
    assert len(lines) == 4
    assert lines[1].startswith("Sorry, that is not a choice.")
    assert lines[-1] == "We have not received a choice. Goodbye."


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"text": "Goodbye!", "hangup": True}, id="hangup"),
        pytest.param({"text": "Goodbye!", "action": "hangup"}, id="action"),
    ],
)
async def test_a_webhook_hangs_up(order: Place, hook: Any, answer: dict[str, Any]) -> None:
    """After its last words."""
    hook.speak(lambda _: answer)
    call = await order()
    assert (said(call)[1:], call["status"]) == (["Goodbye!"], "completed")


async def test_a_webhook_transfers(order: Place, hook: Any, api: httpx.AsyncClient) -> None:
    """To the agent's transferNumber, and the end of the call tells so."""
    await api.patch("/v1/agents/agt_orderline", json={"transferNumber": "+14155550177"})
    hook.speak(lambda _: {"text": "I connect you.", "action": "transfer"})
    call = await order()
    assert said(call)[1:] == ["I connect you."]
    assert (await hook.until("agent.call_ended"))["data"]["transferredTo"] == "+14155550177"


async def test_a_transfer_to_nowhere_is_ignored_and_told(order: Place, hook: Any, api: httpx.AsyncClient) -> None:
    """The call goes on."""
    hook.speak(lambda _: {"text": "I connect you.", "action": "transfer"})
    assert said(await order(), "agent") == ["I connect you."] * 4
    rows = (await api.get("/v1/agents/agt_orderline/webhook/deliveries")).json()
    delivery = next(row for row in rows if row["eventType"] == "agent.message")
    assert (delivery["status"], delivery["success"]) == ("success", True)
    assert delivery["errorMessage"] == "The transfer was ignored: the agent has no transferNumber."


async def test_who_is_interrupted_says_no_more(order: Place, hook: Any) -> None:
    """The line is cut, and the chunks after it are dropped."""

    async def talking() -> AsyncIterator[dict[str, Any]]:
        yield {"text": "First of all I would like to tell you a few things.", "interim": True}
        yield {"text": "And secondly."}

    hook.speak(lambda _: talking())
    call = await order(IMPATIENT)
    turns = [data for event, data in call["events"] if event == "turn"]
    cut = [turn["content"] for turn in turns if turn.get("interrupted")]
    assert cut == ["First of all I would like —"] * 3
    assert said(call, "agent")[3:] == ["First of all I would like to tell you a few things.", "And secondly."]


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
