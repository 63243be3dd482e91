"""Check the sandbox with the vendor's own SDK: each method for an endpoint of API.md."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import agentphone
import pytest
from agentphone import models

from agentphone_mcp.sandbox import Sandbox, running

Call = Callable[..., Awaitable[Any]]

ADA, DESK, FRIEND = "+14155550142", "+14155550100", "+14155559999"
AGENT, NUMBER, ORDERS = "agt_frontdesk", "num_frontdesk", "agt_orderline"
CALL, CONVERSATION, CONTACT = "call_past01", "conv_past01", "con_ada"
HOOK = "(the url of the webhook)"
PLACED = {"agent_id": AGENT, "to_number": FRIEND}

# API.md, "Endpoints".
_TABLE = """\
GET /v1/usage
GET /v1/usage/daily
GET /v1/usage/monthly
GET /v1/usage/by-number
GET /v1/usage/by-agent
GET/POST /v1/agents
GET/PATCH/DELETE /v1/agents/{}
POST /v1/agents/{}/numbers
DELETE /v1/agents/{}/numbers/{}
GET /v1/agents/{}/conversations
GET /v1/agents/{}/calls
GET /v1/agents/voices
GET/POST/DELETE /v1/agents/{}/webhook
POST /v1/agents/{}/webhook/test
GET /v1/agents/{}/webhook/deliveries
GET/POST /v1/numbers
GET/DELETE /v1/numbers/{}
GET /v1/numbers/{}/messages
GET /v1/numbers/{}/calls
GET /v1/numbers/available
GET/POST /v1/calls
GET /v1/calls/{}
GET /v1/calls/{}/transcript
GET /v1/calls/{}/transcript/stream
POST /v1/calls/{}/end
GET /v1/calls/{}/recording
POST /v1/calls/web
POST /v1/messages
GET /v1/conversations
GET/PATCH /v1/conversations/{}
GET/POST/DELETE /v1/webhooks
POST /v1/webhooks/test
GET /v1/webhooks/deliveries
GET /v1/webhooks/deliveries/stats
GET/POST /v1/contacts
PATCH/DELETE /v1/contacts/{}
"""
ENDPOINTS = {
    f"{method} {path}"
    for methods, path in (row.split(" ") for row in _TABLE.splitlines())
    for method in methods.split("/")
}


@dataclass
class Use:
    """A method called: with what, which model it returns, and what that must say, by path.

    `before` is a call whose result's id is the argument named `takes`.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    returns: type = dict
    says: dict[str, Any] = field(default_factory=dict)
    before: tuple[str, dict[str, Any]] | None = None
    takes: str | None = None


USES = {
    "usage.get": Use({}, models.Usage, {"numbers.used": 1, "numbers.remaining": 9, "stats.total_messages": 3}),
    "usage.get_daily": Use({"days": 3}, models.DailyUsage, {"days": 3, "data.2.calls": 0, "data.2.webhooks": 0}),
    "usage.get_monthly": Use({"months": 2}, models.MonthlyUsage, {"months": 2, "data.1.webhooks": 0}),
    "usage.get_by_number": Use({}, list, {"0.phoneNumber": DESK, "0.messages": 3, "0.calls": 1}),
    "usage.get_by_agent": Use({"period": "7d"}, dict, {"period": "7d", "data.0.agentId": AGENT, "data.0.calls": 1}),
    "agents.list": Use({"limit": 1}, models.AgentList, {"data.0.id": AGENT, "has_more": True, "total": 2}),
    "agents.create": Use(
        {"name": "Night", "voice_mode": "hosted", "system_prompt": "Be brief.", "max_silence_ms": 20_000},
        models.Agent,
        {"name": "Night", "voice_mode": "hosted", "max_silence_ms": 20_000, "enable_messaging": True, "numbers": []},
    ),
    "agents.get": Use({"agent_id": AGENT}, models.Agent, {"name": "Front Desk", "numbers.0.phone_number": DESK}),
    "agents.update": Use(
        {"agent_id": AGENT, "voice_speed": 1.5, "language": "en-GB"},
        models.Agent,
        {"id": AGENT, "voice_speed": 1.5, "language": "en-GB", "name": "Front Desk"},
    ),
    "agents.delete": Use({"agent_id": AGENT}, dict, {"success": True, "unassignedNumbers": [NUMBER]}),
    "agents.attach_number": Use(
        {"agent_id": ORDERS, "number_id": NUMBER}, dict, {"agentId": ORDERS, "number.phoneNumber": DESK}
    ),
    "agents.detach_number": Use({"agent_id": AGENT, "number_id": NUMBER}, dict, {"success": True}),
    "agents.list_calls": Use({"agent_id": AGENT}, models.CallList, {"data.0.id": CALL, "total": 1}),
    "agents.list_conversations": Use(
        {"agent_id": AGENT}, models.ConversationList, {"data.0.participant": ADA, "data.0.message_count": 3}
    ),
    "agents.list_voices": Use({}, list, {"0.voiceId": "11labs-Brian", "0.provider": "elevenlabs"}),
    "agents.set_webhook": Use(
        {"agent_id": ORDERS, "url": HOOK, "context_limit": 5, "timeout": 60},
        models.Webhook,
        {"url": HOOK, "context_limit": 5, "timeout": 60, "status": "active"},
    ),
    "agents.get_webhook": Use({"agent_id": ORDERS}, models.Webhook, {"url": HOOK, "context_limit": 10}),
    "agents.delete_webhook": Use({"agent_id": ORDERS}, dict, {"success": True}),
    "agents.list_webhook_deliveries": Use(
        {"agent_id": ORDERS}, list, {"0.status": "success", "0.http_status": 200, "0.attempt_count": 1}
    ),
    "agents.test_webhook": Use({"agent_id": ORDERS}, dict, {"success": True, "statusCode": 200, "error": None}),
    "numbers.list": Use({}, models.PhoneNumberList, {"data.0.phone_number": DESK, "has_more": False, "total": 1}),
    "numbers.buy": Use(
        {"area_code": "415", "agent_id": ORDERS, "external_id": "ours-7", "expires_at": "2099-01-01T00:00:00Z"},
        models.PhoneNumber,
        {"agent_id": ORDERS, "external_id": "ours-7", "country": "US", "status": "active"},
    ),
    "numbers.get": Use({"number_id": NUMBER}, models.PhoneNumber, {"phone_number": DESK, "outbound_sms": "enabled"}),
    "numbers.release": Use({"number_id": NUMBER}, dict, {"success": True, "phoneNumber": DESK}),
    "numbers.get_messages": Use(
        {"number_id": NUMBER, "limit": 2, "after": "2020-01-01T00:00:00Z", "before": "2099-01-01T00:00:00Z"},
        models.MessageList,
        {"data.0.from_number": ADA, "data.1.direction": "outbound", "data.1.to_number": ADA, "has_more": True},
    ),
    "numbers.list_calls": Use({"number_id": NUMBER}, models.CallList, {"data.0.id": CALL, "has_more": False}),
    "numbers.available": Use({"area_code": "415", "limit": 2}, list, {"1.area_code": "415", "1.state": "CA"}),
    "calls.list": Use(
        {"status": "completed", "direction": "inbound", "search": ADA},
        models.CallList,
        {"data.0.duration_seconds": 42, "data.0.agent_name": "Front Desk", "total": 1},
    ),
    "calls.get": Use(
        {"call_id": CALL}, models.Call, {"from_number": ADA, "duration_seconds": 42, "transcripts.0.response": None}
    ),
    "calls.make": Use(
        {**PLACED, "system_prompt": "Greet {{name}}.", "variables": {"name": "Sam"}, "disable_recording": True},
        models.Call,
        {"status": "in-progress", "to_number": FRIEND, "from_number": DESK, "ended_at": None, "transcripts": []},
    ),
    "calls.make_conversation": Use({**PLACED, "topic": "Books"}, models.Call, {"direction": "outbound"}),
    "calls.create_web_call": Use({"agent_id": AGENT, "metadata": {"desk": 4}}, dict, {"metadata": {"desk": 4}}),
    "calls.end": Use({}, dict, {"success": True, "toNumber": FRIEND}, ("calls.make", PLACED), "call_id"),
    "calls.get_recording": Use({"call_id": CALL}, models.CallRecording, {"content_type": "audio/wav"}),
    "calls.get_transcript": Use(
        {"call_id": CALL}, dict, {"transcript.0.role": "agent", "data.0.confidence": 0.95, "callId": CALL}
    ),
    "calls.stream_transcript": Use(
        {"call_id": CALL},
        list,
        {"0.event": "connected", "1.event": "turn", "7.data.role": "agent", "8.data.durationSeconds": 42},
    ),
    "messages.send": Use(
        {"agent_id": AGENT, "to_number": ADA, "media_urls": ["https://a.test/a"], "reply_to_message_id": "msg_past01"},
        dict,
        {"status": "sent", "channel": "sms", "from_number": DESK, "to_number": ADA},
    ),
    "conversations.list": Use({}, models.ConversationList, {"data.0.id": CONVERSATION, "total": 1}),
    "conversations.get": Use(
        {"conversation_id": CONVERSATION, "message_limit": 2},
        models.Conversation,
        {"participant": ADA, "messages.0.direction": "outbound", "messages.1.from_number": ADA, "is_group": False},
    ),
    "conversations.update": Use(
        {"conversation_id": CONVERSATION, "metadata": {"to": "pay"}}, models.Conversation, {"metadata": {"to": "pay"}}
    ),
    "webhooks.get": Use({}, models.Webhook, {"url": HOOK, "status": "active", "timeout": 30}),
    "webhooks.set": Use(
        {"url": HOOK, "context_limit": 0, "timeout": 5}, models.Webhook, {"context_limit": 0, "timeout": 5}
    ),
    "webhooks.delete": Use({}, dict, {"success": True}),
    "webhooks.test": Use({}, dict, {"success": True, "statusCode": 200}),
    "webhooks.list_deliveries": Use(
        {"limit": 5, "hours": 1}, list, {"0.event_type": "agent.message", "0.status": "success"}
    ),
    "webhooks.get_delivery_stats": Use(
        {"hours": 1}, models.WebhookDeliveryStats, {"total": 1, "success_rate": 100, "by_hour.0.success": 1}
    ),
    "contacts.list": Use({"search": "ada"}, models.ContactList, {"data.0.email": "ada@example.com", "total": 1}),
    "contacts.create": Use(
        {"phone_number": FRIEND, "name": "Sam", "notes": "Calls late."},
        models.Contact,
        {"phone_number": FRIEND, "name": "Sam", "email": None, "notes": "Calls late."},
    ),
    "contacts.get": Use({"contact_id": CONTACT}, models.Contact, {"name": "Ada Byron"}),
    "contacts.update": Use({"contact_id": CONTACT, "notes": "Evenings."}, models.Contact, {"notes": "Evenings."}),
    "contacts.delete": Use({"contact_id": CONTACT}, dict, {"success": True}),
}  # fmt: skip


@pytest.fixture(scope="module")
def speed() -> float:
    """Use real time, so that nothing ends too early."""
    return 1


@pytest.fixture
def served(closing: Callable[[Callable[[], object]], None], speed: float) -> Iterator[Sandbox]:
    """Give a sandbox behind a real HTTP server, which stops while the next tests run."""
    box = ExitStack()
    yield box.enter_context(running(speed=speed))
    closing(box.close)


@pytest.fixture(params=["sync", "async"])
async def sdk(request: pytest.FixtureRequest, served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Call]:
    """Give a function that calls a method of the vendor's client by its dotted name, and reads a stream to its end."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if request.param == "sync":
        with agentphone.AgentPhone(served.key, base_url=served.url, timeout=60) as client:
            yield lambda method, /, **given: _call(attrgetter(method)(client), given)
    else:
        async with agentphone.AsyncAgentPhone(served.key, base_url=served.url, timeout=60) as client:
            yield lambda method, /, **given: _call(attrgetter(method)(client), given)


async def _call(method: Callable[..., Any], given: dict[str, Any]) -> Any:
    found = await asyncio.to_thread(method, **given)
    if inspect.isgenerator(found):
        return await asyncio.to_thread(list, found)
    if inspect.isasyncgen(found):
        return [each async for each in found]
    return await found if inspect.isawaitable(found) else found


def at(found: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(found, list):
            found = found[int(step)]
        else:
            found = found[step] if isinstance(found, dict) else getattr(found, step)
    return found


@pytest.mark.parametrize("method", USES)
async def test_a_method_returns_its_model(method: str, sdk: Call, hook: Any) -> None:
    use = USES[method]
    arguments = {name: hook.url if value is HOOK else value for name, value in use.arguments.items()}
    if "webhook" in method:
        whose = {"agent_id": ORDERS} if method.startswith("agents") else {}
        owner = "agents.{}_webhook" if whose else "webhooks.{}"
        hook.secret = (await sdk(owner.format("set"), url=hook.url, **whose)).secret
        await sdk(owner.format("test"), **whose)
    if use.before:
        first, wanted = use.before
        arguments[use.takes] = (await sdk(first, **wanted)).id
    found = await sdk(method, **arguments)
    assert isinstance(found, use.returns)
    said = {path: at(found, path) for path in use.says}
    assert said == {path: hook.url if value is HOOK else value for path, value in use.says.items()}


def methods_of(client: object) -> dict[str, Callable[..., Any]]:
    return {
        f"{resource}.{name}": method
        for resource, methods in vars(client).items()
        if not resource.startswith("_") and type(methods).__module__.startswith("agentphone.")
        for name, method in inspect.getmembers(methods, inspect.ismethod)
        if not name.startswith("_")
    }


async def test_no_method_for_an_endpoint_is_left_out(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = {}
    with agentphone.AgentPhone(served.key, base_url=served.url, timeout=60) as client:
        for name, method in methods_of(client).items():
            required = [each for each in inspect.signature(method).parameters.values() if each.default is each.empty]
            with suppress(agentphone.AgentPhoneError):
                await _call(method, {each.name: "some-id" for each in required})
            sent = served.requests[-1]
            found[name] = f"{sent.method} {sent.path.replace('some-id', '{}')}"
    assert len(served.requests) == len(found)
    assert {name for name, endpoint in found.items() if endpoint in ENDPOINTS} - set(USES) == set()
    assert ENDPOINTS - {found[name] for name in USES} == set()


async def test_both_clients_have_the_same_methods() -> None:
    async with agentphone.AsyncAgentPhone("a key") as client:
        names = set(methods_of(client))
    with agentphone.AgentPhone("a key") as client:
        assert names == set(methods_of(client))
    assert set(USES) <= names
