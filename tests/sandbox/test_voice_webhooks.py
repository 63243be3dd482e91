"""Check calls in which a webhook speaks for the agent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from tests.sandbox.calling import Place, SetHook, spoken

FRIEND, ADA = "+14155559999", "+14155550142"


async def voice_deliveries(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return the deliveries of the turns, oldest first."""
    rows = (await api.get("/v1/agents/agt_orderline/webhook/deliveries", params={"limit": 100})).json()
    return [row for row in reversed(rows) if row["eventType"] == "agent.message"]


async def test_a_webhook_holds_a_whole_call(order: Place, hook: Any, api: httpx.AsyncClient) -> None:
    hook.speak(lambda data: {"text": f"I heard you say: {data['transcript']}"})
    call = await order()
    heard = spoken(call, "user")
    assert len(heard) == 4
    assert spoken(call, "agent") == [f"I heard you say: {line}" for line in heard]
    assert [row["response"] for row in call["transcripts"]] == spoken(call, "agent")
    assert all(each.is_genuine for each in hook.received)
    assert [row["status"] for row in await voice_deliveries(api)] == ["success"] * 4


async def test_a_turn_says_who_speaks_with_whom(order: Place, hook: Any) -> None:
    hook.speak(lambda _: {"text": "Yes."})
    call = await order()
    first = hook.events("agent.message")[0]
    assert first.keys() == {
        "event",
        "channel",
        "timestamp",
        "agentId",
        "data",
        "recentHistory",
        "conversationState",
    }
    assert (first["channel"], first["agentId"], first["conversationState"]) == ("voice", "agt_orderline", None)
    wanted = {
        "callId": call["id"],
        "numberId": "num_frontdesk",
        "from": "+14155550100",
        "to": FRIEND,
        "direction": "outbound",
        "transcript": spoken(call, "user")[0],
    }
    assert wanted.items() <= first["data"].items()
    ids = [each.headers["x-webhook-id"] for each in hook.received]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("limit", "seen"), [(0, 0), (3, 3), (50, 9)])
async def test_the_history_is_as_long_as_the_context_limit(
    order: Place, hook: Any, set_hook: SetHook, limit: int, seen: int
) -> None:
    await set_hook("/v1/agents/agt_orderline/webhook", contextLimit=limit)
    hook.speak(lambda data: {"text": "Yes."})
    call = await order(ADA)
    last = hook.events("agent.message")[-1]
    history = last["recentHistory"]
    assert len(history) == seen
    assert last["conversationState"] == {"topic": "appointment"}
    assert [item["content"] for item in history if item["channel"] == "voice"] == spoken(call)[:-2][-limit or 99 :]
    assert all(item.keys() == {"content", "direction", "channel", "at"} for item in history)
    if seen == 9:
        assert [(item["channel"], item["direction"]) for item in history[:5]] == [
            ("sms", "inbound"),
            ("sms", "outbound"),
            ("sms", "inbound"),
            ("voice", "inbound"),
            ("voice", "outbound"),
        ]


async def test_the_projects_webhook_answers_for_agents_without_their_own(
    order: Place, hook: Any, api: httpx.AsyncClient, set_hook: SetHook
) -> None:
    hook.speak(lambda _: {"text": "Yes."})
    await set_hook()
    await api.delete("/v1/agents/agt_orderline/webhook")
    call = await order()
    assert spoken(call, "agent") == ["Yes."] * 4
    assert len(hook.events("agent.message")) == 4


async def test_chunks_are_spoken_as_they_arrive(
    order: Place, hook: Any, sandbox: Sandbox, api: httpx.AsyncClient
) -> None:
    account = sandbox.context.account

    async def thinking() -> AsyncIterator[dict[str, Any]]:
        yield {"text": "Let me look that up.", "interim": True}
        call = [*account.calls.values()][-1]
        with sandbox.context.simulator.listening(call) as news:
            while call.turns[-1].role == "user":
                await news.wait()
                news.clear()
        assert call.turns[-1].content == "Let me look that up."
        yield {"text": "It is on its way.", "hangup": True}
        yield {"text": "Never heard."}

    hook.speak(lambda _: thinking())
    call = await order()
    assert spoken(call, "agent") == ["Let me look that up.", "It is on its way."]
    assert call["transcripts"][-1]["response"] == "Let me look that up. It is on its way."
    (delivery,) = await voice_deliveries(api)
    assert (delivery["status"], delivery["errorMessage"]) == ("success", None)
    assert "on its way" in delivery["responseBody"]


async def test_what_was_spoken_before_a_stream_broke_stays(order: Place, hook: Any, api: httpx.AsyncClient) -> None:

    async def breaking() -> AsyncIterator[Any]:
        yield {"text": "One moment.", "interim": True}
        yield ["not", "an", "object"]

    hook.speak(lambda _: breaking())
    assert spoken(await order(), "agent") == ["One moment."] * 4
    delivery = (await voice_deliveries(api))[0]
    assert (delivery["status"], delivery["httpStatus"]) == ("failed", 200)
    assert delivery["errorMessage"] == "The answer is no JSON object. The caller heard no more."


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(["Hello"], "no JSON object", id="a-list"),
        pytest.param("Hello", "no JSON object", id="a-string"),
        pytest.param(b"<html>", "not JSON", id="html"),
        pytest.param(b"[" * 100_000, "JSON", id="deeply-nested"),
        pytest.param(b"x" * 2_000_000, "too long", id="endless"),
        pytest.param(500, "answered 500", id="an-error"),
        pytest.param(302, "answered 302", id="a-redirect"),
    ],
)
async def test_an_answer_of_no_use_is_silence(
    order: Place, hook: Any, api: httpx.AsyncClient, answer: Any, message: str
) -> None:
    hook.headers = {"Location": hook.url}
    hook.speak(lambda _: answer)
    call = await order()
    assert spoken(call, "agent") == []
    assert [row["response"] for row in call["transcripts"]] == [None] * 3
    deliveries = await voice_deliveries(api)
    assert [row["status"] for row in deliveries] == ["failed"] * 2
    assert message in deliveries[0]["errorMessage"]
    assert deliveries[0]["errorMessage"].endswith("The caller heard silence.")


async def test_a_webhook_that_hangs_is_silence(
    order: Place, hook: Any, sandbox: Sandbox, api: httpx.AsyncClient
) -> None:
    sandbox.context.dispatcher.minimum_timeout = 0.1

    async def never() -> AsyncIterator[Any]:
        await asyncio.sleep(60)
        yield {}

    hook.speak(lambda data: never() if "Hello" in data["transcript"] else {"text": "Here I am."})
    call = await order()
    assert call["transcripts"][0]["response"] is None
    assert spoken(call, "agent") == ["Here I am."] * 3
    assert "did not answer within 30 s" in (await voice_deliveries(api))[0]["errorMessage"]


@pytest.mark.parametrize(
    ("pause", "heard", "status"),
    [
        pytest.param(20, ["One moment.", "Still looking.", "Here it is. Goodbye!"], "success", id="in-time"),
        pytest.param(90, ["One moment.", "Goodbye."], "failed", id="stalled"),
    ],
)
@pytest.mark.parametrize("speed", [40])
async def test_an_answer_that_has_begun_may_take_longer_than_the_time_out(
    order: Place, hook: Any, sandbox: Sandbox, api: httpx.AsyncClient, pause: float, heard: list[str], status: str
) -> None:
    sandbox.context.dispatcher.minimum_timeout = 0.1

    async def working() -> AsyncIterator[dict[str, Any]]:
        yield {"text": "One moment.", "interim": True}
        await sandbox.context.clock.sleep(pause)
        yield {"text": "Still looking.", "interim": True}
        await sandbox.context.clock.sleep(pause)
        yield {"text": "Here it is. Goodbye!", "hangup": True}

    hook.speak(lambda data: working() if "Hello" in data["transcript"] else {"text": "Goodbye.", "hangup": True})
    assert spoken(await order(), "agent") == heard
    assert (await voice_deliveries(api))[0]["status"] == status


async def test_turns_are_never_delivered_twice(
    order: Place, hook: Any, api: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    hook.answer = lambda event: 503 if event["event"] == "agent.message" else {}
    await order()
    await api.post("/__sandbox/clock", json={"advance": 86_400})
    assert [row["attemptCount"] for row in await voice_deliveries(api)] == [1, 1]
    assert len(hook.events("agent.message")) == 2


async def test_a_call_can_be_hung_up_while_the_webhook_thinks(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def thinking() -> AsyncIterator[dict[str, Any]]:
        asked.set()
        await answered.wait()
        yield {"text": "Too late."}

    await api.patch("/v1/agents/agt_frontdesk", json={"voiceMode": "webhook"})
    await set_hook()
    hook.speak(lambda _: thinking())
    placed = (await api.post("/__sandbox/calls", json={"from": FRIEND, "to": "+14155550100"})).json()
    await asked.wait()
    ended = (await api.post(f"/v1/calls/{placed['id']}/end")).json()
    answered.set()
    await api.post("/__sandbox/clock", json={"advance": 60})
    assert ended["status"] == "completed"
    transcript = (await api.get(f"/v1/calls/{placed['id']}/transcript")).json()["transcript"]
    assert transcript[-1]["role"] == "user"
    assert len(hook.events("agent.call_ended")) == 1
