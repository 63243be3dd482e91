"""Events that are delivered in the background: to whom, how often, and what the records say."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox

Place = Callable[..., Awaitable[dict[str, Any]]]
SetHook = Callable[..., Awaitable[None]]

ADA, DESK, FRIEND = "+14155550142", "+14155550100", "+14155559999"
AGENT_HOOK = "/v1/agents/agt_frontdesk/webhook"
DAY = 86_400


@pytest.fixture
def speed() -> float:
    """Real time, so that only the request that moves the clock lets hours pass."""
    return 1


@pytest.fixture
def text_out(api: httpx.AsyncClient) -> Callable[[], Awaitable[None]]:
    """Sends a text, which is told to the webhook as one message.sent."""

    async def send() -> None:
        wanted = {"agent_id": "agt_frontdesk", "to_number": ADA, "body": "Hi"}
        assert (await api.post("/v1/messages", json=wanted)).status_code == 200

    return send


async def pass_time(api: httpx.AsyncClient, seconds: float) -> None:
    """Move the sandbox's clock on."""
    assert (await api.post("/__sandbox/clock", json={"advance": seconds})).status_code == 200


async def records(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """All records of deliveries, newest first."""
    return (await api.get("/v1/webhooks/deliveries")).json()["items"]


async def test_a_day_of_attempts_passes_in_a_moment(
    api: httpx.AsyncClient, hook: Any, sandbox: Sandbox, set_hook: SetHook, text_out: Callable[[], Awaitable[None]]
) -> None:
    """Six of them at the documented times, under one id and each signed anew."""
    tried: list[datetime] = []

    def refuse(_: Any) -> int:
        tried.append(sandbox.world.clock.now())
        return 503

    hook.answer = refuse
    await set_hook()
    await text_out()
    started = time.monotonic()
    await pass_time(api, DAY)
    assert time.monotonic() - started < 5
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
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, text_out: Callable[[], Awaitable[None]]
) -> None:
    """Until somebody takes it."""
    hook.answer = lambda _: 500
    await set_hook()
    await text_out()
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
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, text_out: Callable[[], Awaitable[None]]
) -> None:
    """With its new secret; a deleted one gets nothing more."""
    hook.answer = lambda _: 500
    await set_hook()
    await text_out()
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
    api: httpx.AsyncClient, hook: Any, sandbox: Sandbox, set_hook: SetHook, text_out: Callable[[], Awaitable[None]]
) -> None:
    """As a sandbox does that comes back with its state."""
    hook.answer = lambda _: 500
    await set_hook()
    await text_out()
    await pass_time(api, 0)
    await sandbox.world.courier.aclose()
    await pass_time(api, 400)
    assert len(hook.received) == 1
    sandbox.world.courier.resume()
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
    api: httpx.AsyncClient,
    hook: Any,
    set_hook: SetHook,
    text_out: Callable[[], Awaitable[None]],
    paths: list[str],
    agent: int,
) -> None:
    """The agent's, else the project's."""
    for path in paths:
        await set_hook(path)
    if not agent:
        await api.delete(AGENT_HOOK)
    await text_out()
    await pass_time(api, 0)
    assert [event["event"] for event in hook.events("message.sent")] == ["message.sent"]
    assert all(each.is_genuine for each in hook.received)
    assert len((await api.get(f"{AGENT_HOOK}/deliveries")).json()) == agent
    assert len(await records(api)) == 1


async def test_nobody_is_told_without_a_webhook(
    api: httpx.AsyncClient, text_out: Callable[[], Awaitable[None]]
) -> None:
    """And nothing is recorded."""
    await text_out()
    assert await records(api) == []


async def test_a_remote_webhook_can_be_set_and_is_never_reached(
    api: httpx.AsyncClient, text_out: Callable[[], Awaitable[None]]
) -> None:
    """The delivery says so at once; there is no use in trying again."""
    assert (await api.post("/v1/webhooks", json={"url": "https://example.com/hook"})).status_code == 200
    await text_out()
    await pass_time(api, DAY)
    (delivery,) = await records(api)
    assert (delivery["status"], delivery["attemptCount"]) == ("failed", 1)
    assert delivery["errorMessage"] == "the sandbox delivers to loopback only"


async def test_a_remote_webhook_is_tried_when_that_is_allowed() -> None:
    """By whoever starts the sandbox, not by a request."""
    sandbox = Sandbox(allow_remote_webhooks=True)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=sandbox.app),
        base_url="http://sandbox.test",
        headers={"Authorization": f"Bearer {sandbox.key}"},
    ) as api:
        await api.post("/v1/webhooks", json={"url": "https://no-such-host.invalid/hook"})
        answer = (await api.post("/v1/webhooks/test")).json()
    await sandbox.aclose()
    assert answer["success"] is False
    assert "loopback" not in answer["error"]


async def test_a_name_must_mean_this_machine_when_it_is_connected_to(
    api: httpx.AsyncClient, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A localhost that resolves to elsewhere is not connected to."""
    await api.post("/v1/webhooks", json={"url": hook.url.replace("127.0.0.1", "localhost")})
    hook.secret = (await api.get("/v1/webhooks")).json()["secret"]
    assert (await api.post("/v1/webhooks/test")).json()["success"] is True
    assert hook.received[0].headers["host"].startswith("localhost:")

    async def rebound(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", 80)), (2, 1, 6, "", ("192.0.2.7", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
    answer = (await api.post("/v1/webhooks/test")).json()
    assert (answer["success"], len(hook.received)) == (False, 1)
    assert answer["error"] == "the sandbox delivers to loopback only, and localhost is not"


async def test_a_redirect_is_a_failure(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, text_out: Callable[[], Awaitable[None]]
) -> None:
    """Nobody is led elsewhere."""
    hook.headers = {"Location": hook.url + "/elsewhere"}
    hook.answer = lambda _: 307
    await set_hook()
    await text_out()
    await pass_time(api, 0)
    assert [row["errorMessage"] for row in await records(api)] == ["The webhook answered 307."]
    assert len(hook.received) == 1


@pytest.mark.parametrize(
    ("number", "status", "names"),
    [
        pytest.param(FRIEND, "completed", ["agent.call_ended", "call.ended", "call.started"], id="answered"),
        pytest.param("+14155550101", "busy", ["agent.call_ended", "call.ended"], id="busy"),
    ],
)
async def test_a_call_tells_how_it_began_and_ended(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, number: str, status: str, names: list[str]
) -> None:
    """With its whole transcript, also when the built-in AI held it."""
    await set_hook()
    placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": number})).json()
    await pass_time(api, 300)
    call = (await api.get(f"/v1/calls/{placed['id']}")).json()
    turns = (await api.get(f"/v1/calls/{placed['id']}/transcript")).json()["transcript"]
    assert sorted(each.event["event"] for each in hook.received) == names
    (ended,) = hook.events("agent.call_ended")
    data = ended["data"]
    assert (ended["channel"], ended["agentId"]) == ("voice", "agt_frontdesk")
    assert (data["callId"], data["status"], data["durationSeconds"]) == (call["id"], status, call["durationSeconds"])
    assert data["transcript"] == [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    assert ("summary" in data, "userSentiment" in data) == (bool(turns), bool(turns))
    assert (await records(api))[0]["channel"] == "voice"


async def test_a_call_keeps_its_pace_when_the_clock_is_moved(api: httpx.AsyncClient) -> None:
    """A day passes; the call under way took its half minute of it and is charged for no more."""
    placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": FRIEND})).json()
    await pass_time(api, DAY)
    call = (await api.get(f"/v1/calls/{placed['id']}")).json()
    assert call["status"] == "completed"
    assert 30 <= call["durationSeconds"] <= 45


async def test_statistics_count_by_event_and_by_hour(
    api: httpx.AsyncClient, hook: Any, set_hook: SetHook, text_out: Callable[[], Awaitable[None]]
) -> None:
    """What is over, and what is not yet."""
    await set_hook()
    await text_out()
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


async def test_the_body_is_written_as_javascript_would(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    """The vendor's Next.js example signs again what it has parsed: no spaces, no escapes."""
    await set_hook()
    await api.post("/__sandbox/messages", json={"from": ADA, "to": DESK, "body": "Grüße"})
    await hook.until("message.received")
    assert hook.received[0].headers["content-length"] == str(len(hook.received[0].body))
    assert '"message":"Grüße"'.encode() in hook.received[0].body
