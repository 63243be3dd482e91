"""Tests of the whole client against the sandbox over HTTP, each resource in a realistic sequence."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agentphone_mcp.api.agents import AgentFields
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthorized
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.sandbox import Sandbox


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[ApiClient]:
    """Connect a client with the sandbox's key."""
    async with ApiClient(Transport(sandbox.url, ApiKey(sandbox.key), sub_account="sub_1")) as api, asyncio.timeout(60):
        yield api


async def test_an_agent_from_its_making_to_its_end(api: ApiClient) -> None:
    voice = (await api.agents.voices()).data[0]
    made = await api.agents.create(AgentFields(name="Scheduler", voice=voice.id, transfer_number="+14155559999"))
    assert (made.name, made.voice, made.voice_mode, made.numbers) == ("Scheduler", voice.id, "webhook", [])
    changed = await api.agents.update(
        made.id, AgentFields(voice_mode="hosted", system_prompt="Be brief.", transfer_number="", voice_speed=1.5)
    )
    assert (changed.voice_mode, changed.system_prompt, changed.voice_speed) == ("hosted", "Be brief.", 1.5)
    assert not changed.transfer_number
    attached = await api.agents.attach_number(made.id, "num_frontdesk")
    assert attached.agent_id == made.id
    assert attached.number
    assert attached.number.phone_number == "+14155550100"
    assert [number.id for number in (await api.agents.get(made.id)).numbers or []] == ["num_frontdesk"]
    assert (await api.agents.detach_number(made.id, "num_frontdesk")).success
    assert (await api.agents.list()).total == 3
    deleted = await api.agents.delete(made.id)
    assert (deleted.name, deleted.unassigned_numbers) == ("Scheduler", [])
    with pytest.raises(NotFound):
        await api.agents.get(made.id)


async def test_a_number_from_the_shelf_and_back(api: ApiClient) -> None:
    assert [number.area_code for number in (await api.numbers.available(area_code="415", limit=3)).data] == ["415"] * 3
    bought = await api.numbers.buy("US", area_code="415", agent_id="agt_frontdesk", external_id="crm-7")
    assert bought.phone_number.startswith("+1415")
    assert (bought.agent_id, bought.status, bought.external_id) == ("agt_frontdesk", "active", "crm-7")
    assert (await api.numbers.get(bought.id)).id == bought.id
    assert [number.id async for number in api.numbers.all()] == [
        number.id for number in (await api.numbers.list()).data
    ]
    released = await api.numbers.release(bought.id)
    assert (released.success, released.phone_number) == (True, bought.phone_number)
    with pytest.raises(NotFound):
        await api.numbers.get(bought.id)


async def test_a_call_from_dialling_to_its_recording(api: ApiClient) -> None:
    placed = await api.calls.place(
        "agt_frontdesk",
        "+14155559999",
        system_prompt="Confirm the appointment of {{name}}.",
        initial_greeting="Hello!",
        variables={"name": "Ada"},
    )
    assert (placed.status, placed.direction, placed.to_number) == ("in-progress", "outbound", "+14155559999")
    async with api.calls.follow(placed.id) as events:
        heard = [event async for event in events]
    assert (heard[0].kind, heard[-1].kind, heard[-1].status) == ("connected", "ended", "completed")
    spoken = [event.turn for event in heard if event.turn]
    assert spoken[0].role in ("agent", "caller")
    assert {turn.role for turn in spoken} == {"agent", "caller"}
    assert (await api.calls.transcript(placed.id)).turns == spoken
    call = await api.calls.get(placed.id)
    assert call.has_ended
    assert call.duration_seconds == heard[-1].duration_seconds
    assert [(turn.role, turn.text) for turn in call.transcript or []] == [(turn.role, turn.text) for turn in spoken]
    recording = await api.calls.recording(placed.id)
    assert (recording.audio[:4], recording.content_type) == (b"RIFF", "audio/wav")
    lists = [
        api.calls.list(search="9999"),
        api.calls.list(agent_id="agt_frontdesk"),
        api.calls.list(number_id="num_frontdesk"),
    ]
    assert [(await each).data[0].id for each in lists] == [placed.id] * 3


async def test_a_call_that_is_hung_up(api: ApiClient) -> None:
    placed = await api.calls.place("agt_frontdesk", "+14155550109")
    assert (await api.calls.end(placed.id)).success
    assert (await api.calls.get(placed.id)).has_ended
    with pytest.raises(Conflict):
        await api.calls.end(placed.id)


async def test_a_web_call_and_calls_that_are_refused(api: ApiClient) -> None:
    web = await api.calls.create_web("agt_frontdesk", metadata={"page": "/contact"})
    assert web.access_token
    assert web.call_id
    with pytest.raises(Forbidden):
        await api.calls.place("agt_frontdesk", "+1911")
    with pytest.raises(NotFound):
        await api.calls.place("agt_nobody", "+14155559999")
    with pytest.raises(BadRequest) as refused:
        await api.calls.place("agt_frontdesk", "somebody")
    assert "toNumber" in refused.value.detail


async def test_texts_and_their_conversation(api: ApiClient) -> None:
    sent = await api.messages.send("+14155550142", "See you on Friday! 👋", agent_id="agt_frontdesk")
    assert (sent.status, sent.from_number, sent.conversation_id) == ("sent", "+14155550100", "conv_past01")
    texts = await api.messages.of_number("num_frontdesk", 2)
    assert sent.id in [message.id for message in texts.data]
    listed = (await api.messages.conversations()).data[0]
    assert (listed.id, listed.last_message_preview) == ("conv_past01", "See you on Friday! 👋")
    assert (await api.messages.conversations(agent_id="agt_frontdesk")).data[0].id == "conv_past01"
    thread = await api.messages.conversation("conv_past01", 2)
    assert [message.body for message in thread.messages or []][-1] == "See you on Friday! 👋"
    assert len(thread.messages or []) == 2
    assert (await api.messages.set_metadata("conv_past01", {"topic": "done"})).metadata == {"topic": "done"}
    assert (await api.messages.set_metadata("conv_past01", None)).metadata is None


@pytest.mark.parametrize("agent_id", [pytest.param(None, id="project"), pytest.param("agt_orderline", id="agent")])
async def test_a_webhook_is_set_tested_and_removed(api: ApiClient, sandbox: Sandbox, agent_id: str | None) -> None:
    assert await api.webhooks.get(agent_id) is None
    url = f"{sandbox.url}/nobody-here"
    first = await api.webhooks.set(url, agent_id, context_limit=3, answer_within=60)
    assert (first.url, first.context_limit, first.timeout) == (url, 3, 60)
    second = await api.webhooks.set(url, agent_id)
    assert first.secret != second.secret
    assert (await api.webhooks.get(agent_id)) == second
    test = await api.webhooks.test(agent_id)
    assert (test.success, test.status_code) == (False, 404)
    (delivery,) = (await api.webhooks.deliveries(agent_id, hours=1)).data
    assert (delivery.status, delivery.http_status, delivery.event) == ("failed", 404, "agent.message")
    stats = await api.webhooks.stats(agent_id, hours=1)
    assert (stats.total, stats.failed) == (1, 1)
    assert (await api.webhooks.delete(agent_id)).success
    assert await api.webhooks.get(agent_id) is None


async def test_a_contact_is_kept_and_forgotten(api: ApiClient) -> None:
    made = await api.contacts.create("Grace Hopper", "+14155559999", email="grace@example.com")
    with pytest.raises(Conflict):
        await api.contacts.create("Somebody else", "+14155559999")
    changed = await api.contacts.update(made.id, notes="Rear admiral")
    assert (changed.name, changed.notes, changed.email) == ("Grace Hopper", "Rear admiral", "grace@example.com")
    assert (await api.contacts.get(made.id)).notes == "Rear admiral"
    assert [contact.id for contact in (await api.contacts.list(search="hopper")).data] == [made.id]
    assert (await api.contacts.delete(made.id)).success
    with pytest.raises(NotFound):
        await api.contacts.get(made.id)


async def test_the_account_counts_what_was_done(api: ApiClient, sandbox: Sandbox) -> None:
    usage = await api.account.usage()
    assert usage.numbers
    assert (usage.numbers.used, usage.numbers.limit) == (1, 10)
    assert usage.plan
    assert usage.plan.number_limit == 10
    assert usage.stats
    assert usage.stats.messages_30d == 3
    assert len((await api.account.daily(7)).data) == 7
    assert len((await api.account.monthly(3)).data) == 3
    assert [row.phone_number for row in (await api.account.by_number()).data] == ["+14155550100"]
    assert "agt_frontdesk" in [row.agent_id for row in (await api.account.by_agent()).data]
    assert {(request.sub_account, request.authorized) for request in sandbox.requests} == {("sub_1", True)}


async def test_another_key_is_refused(sandbox: Sandbox) -> None:
    async with ApiClient(Transport(sandbox.url, ApiKey("sk_sandbox_somebody_elses"))) as api:
        with pytest.raises(Unauthorized):
            await api.agents.list()
    assert not sandbox.requests[-1].authorized
