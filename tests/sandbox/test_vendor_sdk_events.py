"""Check the sandbox's events with the vendor's own `construct_event` and its Flask example's check."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import agentphone
import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox
from agentphone_mcp.sandbox.webhooks.sender import signature_headers
from tests.sandbox.calling import Place, SetHook

ADA, DESK = "+14155550142", "+14155550100"
ORDERS = "agt_orderline"
DAY = 86_400
FIVE_MINUTES = 300


def read(received: Any, secret: str, **changed: Any) -> agentphone.WebhookEvent:
    """Parse a request to the webhook with the SDK, by the raw body and the two headers it documents."""
    headers = received.headers
    return agentphone.construct_event(
        changed.get("body", received.body),
        changed.get("signature", headers["x-webhook-signature"]),
        secret,
        changed.get("timestamp", headers["x-webhook-timestamp"]),
    )


def accepted_by_flask(body: bytes, headers: dict[str, str], secret: str) -> bool:
    """Check as the vendor's Flask example does: a fresh timestamp, and the HMAC of "timestamp.body"."""
    sent_at = headers["x-webhook-timestamp"]
    is_fresh = abs(time.time() - int(sent_at)) <= FIVE_MINUTES
    digest = hmac.digest(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256).hex()
    return is_fresh and hmac.compare_digest("sha256=" + digest, headers["x-webhook-signature"])


@pytest.fixture
async def text(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> Any:
    await set_hook()
    await api.post("/__sandbox/messages", json={"from": ADA, "to": DESK, "body": "Are you open?"})
    await hook.until("agent.message")
    return next(each for each in hook.received if each.event["event"] == "agent.message")


@pytest.mark.parametrize("name", ["agent.message", "call.ended", "agent.call_ended"])
async def test_the_sdk_reads_the_events_of_a_call(name: str, order: Place, hook: Any) -> None:
    hook.speak(lambda data: {"text": f"You said: {data['transcript']}"})
    call = await order()
    await hook.until(name)
    events = [read(each, hook.secret) for each in hook.received if each.event["event"] == name]
    assert {(each.event, each.channel, each.agent_id) for each in events} == {(name, "voice", ORDERS)}
    assert {(each.data.call_id, each.data.from_number, each.data.to_number) for each in events} == {
        (call["id"], call["fromNumber"], call["toNumber"])
    }
    if name == "agent.message":
        assert [each.data.transcript for each in events] == [row["transcript"] for row in call["transcripts"]]
        assert [turn.content for turn in events[1].recent_history] == [
            turn["content"] for event, turn in call["events"] if event == "turn"
        ][:2]
    else:
        (ended,) = events
        assert ended.data.status == call["status"] == "completed"
        assert ended.data.raw["durationSeconds"] == call["durationSeconds"]
        assert [turn["role"] for turn in ended.data.raw["transcript"]] == ["user", "agent"] * 4


async def test_the_sdk_reads_the_beginning_of_a_call(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    await set_hook()
    call = (await api.post("/__sandbox/calls", json={"from": ADA, "to": DESK})).json()
    await hook.until("call.started")
    event = next(read(each, hook.secret) for each in hook.received if each.event["event"] == "call.started")
    assert (event.channel, event.agent_id, event.data.direction) == ("voice", "agt_frontdesk", "inbound")
    assert (event.data.call_id, event.data.from_number, event.data.to_number) == (call["id"], ADA, DESK)


@pytest.mark.parametrize("name", ["message.received", "agent.message"])
async def test_the_sdk_reads_a_text_that_came_in(name: str, text: Any, hook: Any) -> None:
    await hook.until(name)
    (event,) = [read(each, hook.secret) for each in hook.received if each.event["event"] == name]
    assert (event.event, event.channel, event.agent_id) == (name, "sms", "agt_frontdesk")
    assert (event.data.from_number, event.data.to_number, event.data.message) == (ADA, DESK, "Are you open?")
    assert (event.data.direction, event.data.conversation_id) == ("inbound", "conv_past01")
    assert event.recent_history[-1].content == "Sounds good, see you then!"
    assert event.conversation_state == {"topic": "appointment"}


async def test_the_sdk_reads_a_text_that_went_out(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    await set_hook()
    sent = await api.post("/v1/messages", json={"agent_id": "agt_frontdesk", "to_number": ADA, "body": "We are."})
    await hook.until("message.sent")
    event = read(hook.received[0], hook.secret)
    assert (event.event, event.channel, event.data.direction) == ("message.sent", "sms", "outbound")
    assert (event.data.message_id, event.data.message, event.data.to_number) == (sent.json()["id"], "We are.", ADA)


async def test_the_sdk_knows_a_test_for_what_it_is(api: httpx.AsyncClient, hook: Any, set_hook: SetHook) -> None:
    await set_hook()
    assert (await api.post("/v1/webhooks/test")).json()["success"]
    event = read(hook.received[0], hook.secret)
    assert (event.event, event.test) == ("agent.message", True)


@pytest.mark.parametrize(
    "tamper",
    [
        pytest.param(lambda text: {"body": text.body.replace(b"open", b"shut")}, id="the-body"),
        pytest.param(lambda text: {"body": text.body + b" "}, id="the-end-of-the-body"),
        pytest.param(lambda _: {"timestamp": str(int(time.time()) + 1)}, id="the-timestamp"),
        pytest.param(lambda text: {"signature": text.headers["x-webhook-signature"][:-1]}, id="the-signature"),
    ],
)
async def test_the_sdk_refuses_what_was_tampered_with(
    tamper: Callable[[Any], dict[str, Any]], text: Any, hook: Any
) -> None:
    assert read(text, hook.secret).data.message == "Are you open?"
    with pytest.raises(agentphone.WebhookVerificationError, match="signature"):
        read(text, hook.secret, **tamper(text))


async def test_the_sdk_refuses_another_webhooks_secret(text: Any, hook: Any, set_hook: SetHook) -> None:
    await set_hook()
    with pytest.raises(agentphone.WebhookVerificationError, match="signature"):
        read(text, hook.secret)


async def test_the_sdk_refuses_what_is_too_old(text: Any, hook: Any) -> None:
    assert read(text, hook.secret, **resigned(text, hook.secret, 4 * 60)).data.message == "Are you open?"
    with pytest.raises(agentphone.WebhookVerificationError, match="tolerance"):
        read(text, hook.secret, **resigned(text, hook.secret, 6 * 60))


def resigned(received: Any, secret: str, seconds_ago: int) -> dict[str, str]:
    """Return the signature and timestamp that the sandbox would have sent with this body then."""
    headers = signature_headers(received.body, secret, int(time.time()) - seconds_ago)
    return {"signature": headers["X-Webhook-Signature"], "timestamp": headers["X-Webhook-Timestamp"]}


async def test_the_flask_examples_check_takes_what_is_sent_and_nothing_else(text: Any, hook: Any) -> None:
    assert accepted_by_flask(text.body, text.headers, hook.secret)
    assert not accepted_by_flask(text.body.replace(b"open", b"shut"), text.headers, hook.secret)
    assert not accepted_by_flask(text.body, text.headers, "whsec_of_another")
    old = {f"x-webhook-{name}": value for name, value in resigned(text, hook.secret, 6 * 60).items()}
    assert not accepted_by_flask(text.body, old, hook.secret)


@pytest.fixture
async def sdk(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[agentphone.AsyncAgentPhone]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with agentphone.AsyncAgentPhone(served.key, base_url=served.url, timeout=60) as client:
        yield client


async def test_attempts_of_one_event_carry_one_id(
    sdk: agentphone.AsyncAgentPhone, http: httpx.AsyncClient, hook: Any
) -> None:
    hook.answer = lambda _: 503
    hook.secret = (await sdk.webhooks.set(hook.url)).secret
    sent = [await sdk.messages.send("agt_frontdesk", ADA, body) for body in ("One", "Two")]
    assert (await http.post("/__sandbox/clock", json={"advance": DAY}, timeout=20)).status_code == 200
    attempts: dict[str, list[str]] = {}
    for each in hook.received:
        attempts.setdefault(each.headers["x-webhook-id"], []).append(read(each, hook.secret).data.message_id)
    assert sorted(attempts.values()) == sorted([message["id"]] * 6 for message in sent)
    deliveries = await sdk.webhooks.list_deliveries()
    assert {each.id: [each.message_id] * each.attempt_count for each in deliveries} == attempts
    assert {(each.status, each.http_status) for each in deliveries} == {("failed", 503)}
