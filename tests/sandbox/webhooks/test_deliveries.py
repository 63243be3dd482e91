"""Check background deliveries: the endpoint, the retries and the records."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from tests.sandbox.calling import SetHook

ADA, DESK, FRIEND = "+14155550142", "+14155550100", "+14155559999"
AGENT_HOOK = "/v1/agents/agt_frontdesk/webhook"
DAY = 86_400


@pytest.fixture
def speed() -> float:
    """Use real time, so that only the request that moves the clock lets hours pass."""
    return 1


async def text_out(api: httpx.AsyncClient) -> None:
    wanted = {"agent_id": "agt_frontdesk", "to_number": ADA, "body": "Hi"}
    assert (await api.post("/v1/messages", json=wanted)).status_code == 200


async def pass_time(api: httpx.AsyncClient, seconds: float) -> None:
    assert (await api.post("/__sandbox/clock", json={"advance": seconds})).status_code == 200


async def records(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    return (await api.get("/v1/webhooks/deliveries")).json()["items"]


async def test_a_day_of_attempts_passes_in_a_moment(
    api: httpx.AsyncClient, hook: Any, sandbox: Sandbox, set_hook: SetHook
) -> None:
    tried: list[datetime] = []

    def refuse(_: Any) -> int:
        tried.append(sandbox.context.clock.now())
        return 503

    hook.answer = refuse
    await set_hook()
    await text_out(api)
    started = time.monotonic()
    await pass_time(api, DAY)
    assert time.monotonic() - started < 20
    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(tried)]
    assert [round(pause / 60) for pause in pauses] == [5, 30, 120, 360, 720]
    assert len({each.headers["x-webhook-id"] for each in hook.received}) == 1
    assert all(each.is_genuine for each in hook.received)
    assert all(each.event == hook.received[0].event for each in hook.received)
    (delivery,) = await records(api)
    assert (delivery["id"], delivery["attemptCount"]) == (hook.received[0].headers["x-webhook-id"], 6)
    assert (delivery["status"], delivery["httpStatus"], delivery["nextRetryAt"]) == ("failed", 503, None)
    await pass_time(api, DAY)
    assert len(tried) == 6


async def test_a_pending_delivery_tells_when_it_is_tried_again(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook
) -> None:
    hook.answer = lambda _: 500
    await set_hook()
    await text_out(api)
    await pass_time(api, 0)
    (waiting,) = await records(api)
    assert (waiting["status"], waiting["success"], waiting["attemptCount"]) == ("pending", False, 1)
    assert waiting["errorMessage"] == "The webhook answered 500."
    due = datetime.fromisoformat(waiting["nextRetryAt"]) - datetime.fromisoformat(waiting["lastAttemptAt"])
    assert 300 <= due.total_seconds() < 310
    stats = (await api.get("/v1/webhooks/deliveries/stats")).json()
    assert (stats["total"], stats["pending"], stats["failed"], stats["success"]) == (1, 1, 0, 0)
    hook.answer = lambda _: {"status": "ok"}
    await pass_time(api, 310)
    (taken,) = await records(api)
    assert (taken["status"], taken["attemptCount"], taken["httpStatus"]) == ("success", 2, 200)
    assert (taken["errorMessage"], taken["nextRetryAt"], taken["responseBody"]) == (None, None, '{"status": "ok"}')
    assert taken["createdAt"] < taken["lastAttemptAt"] <= taken["deliveredAt"]


async def test_a_retry_goes_to_the_webhook_that_is_set_by_then(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook
) -> None:
    hook.answer = lambda _: 500
    await set_hook()
    await text_out(api)
    await pass_time(api, 0)
    old = hook.secret
    await set_hook()
    assert hook.secret != old
    await pass_time(api, 400)
    assert [each.is_genuine for each in hook.received] == [True, True]
    await api.delete("/v1/webhooks")
    await pass_time(api, DAY)
    (delivery,) = await records(api)
    assert (delivery["status"], delivery["errorMessage"]) == ("failed", "The webhook was deleted.")
    assert len(hook.received) == 2


async def test_pending_deliveries_are_gone_on_with(
    api: httpx.AsyncClient, hook: Any, sandbox: Sandbox, set_hook: SetHook
) -> None:
    hook.answer = lambda _: 500
    await set_hook()
    await text_out(api)
    await pass_time(api, 0)
    await sandbox.context.dispatcher.aclose()
    await pass_time(api, 400)
    assert len(hook.received) == 1
    sandbox.context.dispatcher.resume()
    await pass_time(api, 0)
    assert [each.headers["x-webhook-id"] for each in hook.received] == [hook.received[0].headers["x-webhook-id"]] * 2


@pytest.mark.parametrize(
    ("paths", "agent"),
    [
        pytest.param([AGENT_HOOK, "/v1/webhooks"], 0, id="only-the-projects"),
        pytest.param(["/v1/webhooks", AGENT_HOOK], 1, id="the-agents-first"),
    ],
)
async def test_an_event_goes_to_one_endpoint(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, paths: list[str], agent: int
) -> None:
    for path in paths:
        await set_hook(path)
    if not agent:
        await api.delete(AGENT_HOOK)
    await text_out(api)
    await pass_time(api, 0)
    assert [event["event"] for event in hook.events("message.sent")] == ["message.sent"]
    assert all(each.is_genuine for each in hook.received)
    assert len((await api.get(f"{AGENT_HOOK}/deliveries")).json()) == agent
    assert len(await records(api)) == 1


async def test_nobody_is_told_without_a_webhook(api: httpx.AsyncClient) -> None:
    await text_out(api)
    assert await records(api) == []


@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(FRIEND, "completed", id="answered"), pytest.param("+14155550101", "busy", id="busy")],
)
async def test_a_call_tells_how_it_ended(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, number: str, status: str
) -> None:
    await set_hook()
    placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": number})).json()
    await pass_time(api, 300)
    call = (await api.get(f"/v1/calls/{placed['id']}")).json()
    turns = (await api.get(f"/v1/calls/{placed['id']}/transcript")).json()["transcript"]
    assert sorted(each.event["event"] for each in hook.received) == ["agent.call_ended", "call.ended"]
    (plainly,), (ended,) = hook.events("call.ended"), hook.events("agent.call_ended")
    data = ended["data"]
    assert (ended["channel"], ended["agentId"]) == ("voice", "agt_frontdesk")
    assert (data["callId"], data["status"], data["durationSeconds"]) == (call["id"], status, call["durationSeconds"])
    assert data["transcript"] == [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    assert plainly["data"] == {name: data[name] for name in data.keys() - {"summary", "userSentiment"}}
    assert ("summary" in data, "userSentiment" in data) == (bool(turns), bool(turns))
    assert (await records(api))[0]["channel"] == "voice"


async def test_a_call_keeps_its_pace_when_the_clock_is_moved(api: httpx.AsyncClient) -> None:
    placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": FRIEND})).json()
    await pass_time(api, DAY)
    call = (await api.get(f"/v1/calls/{placed['id']}")).json()
    assert call["status"] == "completed"
    assert 30 <= call["durationSeconds"] <= 45


async def test_statistics_count_by_event_and_by_hour(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    await set_hook()
    await text_out(api)
    await pass_time(api, 3_700)
    hook.answer = lambda _: 500
    await api.post("/__sandbox/messages", json={"from": ADA, "to": DESK, "body": "Hi"})
    await api.post("/v1/webhooks/test")
    await pass_time(api, 0)
    stats = (await api.get("/v1/webhooks/deliveries/stats")).json()
    assert (stats["total"], stats["success"], stats["failed"], stats["pending"]) == (4, 1, 1, 2)
    assert stats["byEventType"]["message.received"] == {"total": 1, "success": 0, "failed": 0, "pending": 1}
    assert [(hour["total"], hour["pending"]) for hour in stats["byHour"]] == [(1, 0), (3, 2)]
    usage = (await api.get("/v1/usage")).json()["stats"]
    assert (usage["totalWebhookDeliveries"], usage["failedWebhookDeliveries"]) == (4, 1)


async def test_the_records_of_an_agents_webhook_are_counted_apart(api: httpx.AsyncClient, set_hook: SetHook) -> None:
    await set_hook()
    await api.post("/v1/webhooks/test")
    await set_hook(AGENT_HOOK)
    await text_out(api)
    await pass_time(api, 0)
    assert (await api.get("/v1/webhooks/deliveries/stats")).json()["total"] == 2
    stats = (await api.get(f"{AGENT_HOOK}/deliveries/stats")).json()
    assert (stats["total"], stats["successRate"], list(stats["byEventType"])) == (1, 100, ["message.sent"])


async def test_time_that_is_moved_on_runs_out_for_a_webhook_that_hangs(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, sandbox: Sandbox
) -> None:
    sandbox.context.dispatcher.minimum_timeout = 0.01

    async def never() -> AsyncIterator[Any]:
        await asyncio.sleep(60)
        yield {}

    hook.answer = lambda _: never()
    await set_hook()
    await text_out(api)
    await pass_time(api, 200)
    (delivery,) = await records(api)
    assert (delivery["status"], delivery["attemptCount"]) == ("pending", 1)
    assert delivery["errorMessage"] == "The webhook did not answer within 30 s."


async def test_a_test_that_was_cut_off_is_not_made_up_for(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, sandbox: Sandbox
) -> None:
    await set_hook()
    event = {"event": "agent.message", "channel": "voice"}
    sandbox.context.dispatcher.new_delivery(None, event, is_last_attempt=True)
    sandbox.context.dispatcher.resume()
    await pass_time(api, DAY)
    assert [row["errorMessage"] for row in await records(api)] == ["The sandbox was closed."]
    assert hook.received == []
