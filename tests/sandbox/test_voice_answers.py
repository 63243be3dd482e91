"""Check how a webhook's answer is carried out: keys pressed, transfers, hang-ups, and ignored parts."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox.voice_webhook import parse_answer
from tests.sandbox.calling import Place, spoken

MENU, IMPATIENT = "+14155550110", "+14155550111"


@pytest.mark.parametrize("name", ["digits", "press_digit", "dtmf"])
async def test_a_menu_hears_digits(order: Place, hook: Any, name: str) -> None:
    answers = {"press 1": {name: "2"}}
    hook.speak(lambda data: next((message for heard, message in answers.items() if heard in data["transcript"]), {}))
    call = await order(MENU)
    assert spoken(call)[1] == "[pressed 2]"
    assert "You have chosen support." in spoken(call)[2]


async def test_a_menu_asks_again_when_nothing_fits(order: Place, hook: Any) -> None:
    hook.speak(lambda _: {"text": "Hello?", "digits": 7})
    lines = spoken(await order(MENU), "user")
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
    hook.speak(lambda _: answer)
    call = await order()
    assert (spoken(call)[1:], call["status"]) == (["Goodbye!"], "completed")


async def test_a_webhook_transfers(order: Place, hook: Any, api: httpx.AsyncClient) -> None:
    await api.patch("/v1/agents/agt_orderline", json={"transferNumber": "+14155550177"})
    hook.speak(lambda _: {"text": "I connect you.", "action": "transfer"})
    call = await order()
    assert spoken(call)[1:] == ["I connect you."]
    assert (await hook.until("agent.call_ended"))["data"]["transferredTo"] == "+14155550177"


async def test_a_transfer_to_nowhere_is_ignored_and_told(order: Place, hook: Any, api: httpx.AsyncClient) -> None:
    hook.speak(lambda _: {"text": "I connect you.", "action": "transfer"})
    assert spoken(await order(), "agent") == ["I connect you."] * 4
    rows = (await api.get("/v1/agents/agt_orderline/webhook/deliveries")).json()
    delivery = next(row for row in rows if row["eventType"] == "agent.message")
    assert (delivery["status"], delivery["success"]) == ("success", True)
    assert delivery["errorMessage"] == "The transfer was ignored: the agent has no transferNumber."


async def test_who_is_interrupted_says_no_more(order: Place, hook: Any) -> None:

    async def talking() -> AsyncIterator[dict[str, Any]]:
        yield {"text": "First of all I would like to tell you a few things.", "interim": True}
        yield {"text": "And secondly."}

    hook.speak(lambda _: talking())
    call = await order(IMPATIENT)
    turns = [data for event, data in call["events"] if event == "turn"]
    cut = [turn["content"] for turn in turns if turn.get("interrupted")]
    assert cut == ["First of all I would like —"] * 3
    assert spoken(call, "agent")[3:] == ["First of all I would like to tell you a few things.", "And secondly."]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param({"text": 5}, "text is no string", id="text"),
        pytest.param({"text": "Hi", "action": "dance"}, "'dance' is unknown", id="action"),
        pytest.param({"text": "Hi", "digits": "one"}, "no keys", id="word"),
        pytest.param({"text": "Hi", "digits": True}, "no keys", id="boolean"),
        pytest.param({"text": "Hi", "dtmf": ["1"]}, "no keys", id="list"),
        pytest.param({}, "Nothing was said", id="nothing"),
    ],
)
def test_what_cannot_be_followed_is_told(said: dict[str, Any], message: str) -> None:
    parsed = parse_answer(said, None)
    assert message in " ".join(parsed.ignored)
    assert not parsed.reply.digits
    assert not parsed.reply.hangup


def test_only_true_hangs_up_and_no_word_breaks_the_transcript() -> None:
    assert not parse_answer({"text": "Hi", "hangup": "true"}, None).reply.hangup
    assert parse_answer({"text": "Hi \ud800"}, None).reply.text == "Hi ?"
