"""Check our own client against a sandbox of each API version."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

import pytest

from agentphone_mcp.api.agents import AgentFields
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import BadRequest, Conflict, Forbidden, NotFound, PaymentRequired, StatusError
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.sandbox import running
from agentphone_mcp.sandbox.http.api_versions import API_VERSIONS, ApiVersion

ADA = "+14155550142"
EACH_API_VERSION = pytest.mark.parametrize("api_version", API_VERSIONS)


@pytest.fixture
async def client(api_version: ApiVersion, closing: Callable[[Callable[[], object]], None]) -> AsyncIterator[ApiClient]:
    box = ExitStack()
    served = box.enter_context(running(speed=100, api_version=api_version))
    async with ApiClient(Transport(served.url, ApiKey(served.key))) as client, asyncio.timeout(60):
        yield client
    closing(box.close)


@EACH_API_VERSION
async def test_our_client_tends_agents_on_every_wire(client: ApiClient) -> None:
    voice = next(voice for voice in (await client.agents.voices()).data if voice.name == "Nova")
    made = await client.agents.create(AgentFields(name="Scheduler", voice=voice.id))
    assert (made.name, made.voice, made.voice_mode, made.numbers) == ("Scheduler", "nova", "webhook", [])
    attached = await client.agents.attach_number(made.id, "num_frontdesk")
    assert attached.number
    assert attached.number.phone_number == "+14155550100"
    assert [number.id for number in (await client.agents.get(made.id)).numbers or []] == ["num_frontdesk"]
    listed = await client.agents.list()
    assert (listed.total, listed.next_offset(0, 20)) == (3, None)
    assert (await client.agents.delete(made.id)).success
    with pytest.raises(NotFound, match="not found"):
        await client.agents.get(made.id)


@EACH_API_VERSION
async def test_our_client_buys_and_finds_numbers_on_every_wire(client: ApiClient) -> None:
    bought = await client.numbers.buy("US", area_code="415")
    assert (await client.numbers.get(bought.id)).phone_number == bought.phone_number
    assert [number.id async for number in client.numbers.all()] == ["num_frontdesk", bought.id]
    with pytest.raises(PaymentRequired) as refused:
        await client.numbers.buy("US")
    assert "$2.00" in refused.value.detail
    assert (await client.numbers.release(bought.id)).success
    with pytest.raises(NotFound):
        await client.numbers.get(bought.id)


@EACH_API_VERSION
async def test_our_client_follows_calls_on_every_wire(client: ApiClient) -> None:
    placed = await client.calls.place("agt_frontdesk", "+14155559999", system_prompt="Confirm the appointment.")
    assert placed.status == "in-progress"
    async with client.calls.follow(placed.id) as events:
        heard = [event async for event in events]
    turns = [event.turn for event in heard if event.turn]
    assert (heard[-1].status, len(turns) > 3) == ("completed", True)
    assert (await client.calls.transcript(placed.id)).turns == turns
    call = await client.calls.get(placed.id)
    assert [turn.text for turn in call.transcript or []] == [turn.text for turn in turns]
    listed = (await client.calls.list(status="completed")).data
    assert [(call.id, call.direction) for call in listed] == [(placed.id, "outbound"), ("call_past01", "inbound")]
    assert (await client.calls.list(status="completed", search="9999")).data[0].id == placed.id
    assert (await client.calls.create_web("agt_frontdesk")).access_token
    with pytest.raises(BadRequest) as bad:
        await client.calls.place("agt_frontdesk", "somebody")
    assert "toNumber" in bad.value.detail
    with pytest.raises(Forbidden):
        await client.calls.place("agt_frontdesk", "+1911")


@EACH_API_VERSION
async def test_our_client_reads_texts_and_usage_on_every_wire(client: ApiClient) -> None:
    texts = (await client.messages.of_number("num_frontdesk", 2)).data
    assert [(text.from_number, text.to_number) for text in texts] == [(ADA, "+14155550100"), ("+14155550100", ADA)]
    (listed,) = (await client.messages.conversations()).data
    assert (listed.id, listed.participant, listed.message_count) == ("conv_past01", ADA, 3)
    thread = await client.messages.conversation("conv_past01", 2)
    assert [text.from_number for text in thread.messages or []] == ["+14155550100", ADA]
    assert (await client.messages.set_metadata("conv_past01", {"topic": "done"})).metadata == {"topic": "done"}
    usage = await client.account.usage()
    assert usage.plan
    assert usage.numbers
    assert usage.stats
    assert (usage.plan.number_limit, usage.numbers.used, usage.stats.messages_30d) == (10, 1, 3)
    assert len((await client.account.daily(7)).data) == 7


@EACH_API_VERSION
async def test_our_client_keeps_webhooks_on_every_wire(client: ApiClient) -> None:
    assert await client.webhooks.get() is None
    made = await client.webhooks.set("http://127.0.0.1:9/nobody", context_limit=3)
    assert (await client.webhooks.get()) == made
    assert not (await client.webhooks.test()).success
    (delivery,) = (await client.webhooks.deliveries()).data
    assert (delivery.event, delivery.status) == ("agent.message", "failed")
    assert (await client.webhooks.stats()).failed == 1
    assert (await client.webhooks.delete()).success


@pytest.mark.parametrize("api_version", ["seeds"])
async def test_what_the_older_api_lacks_fails_cleanly(client: ApiClient) -> None:
    placed = await client.calls.place("agt_frontdesk", "+14155550102")
    lacking = (
        client.messages.send(ADA, "Hi", agent_id="agt_frontdesk"),
        client.contacts.create("Grace", "+14155559999"),
        client.contacts.list(),
        client.calls.end(placed.id),
        client.calls.recording("call_past01"),
        client.numbers.available(),
        client.account.by_number(),
        client.account.by_agent(),
    )
    for call in lacking:
        with pytest.raises(StatusError) as refused:
            await call
        assert refused.value.status in (404, 405)


@pytest.mark.parametrize("api_version", ["new"])
async def test_the_newer_api_has_it_all(client: ApiClient) -> None:
    sent = await client.messages.send(ADA, "Hi", agent_id="agt_frontdesk")
    assert (sent.status, sent.conversation_id) == ("sent", "conv_past01")
    placed = await client.calls.place("agt_frontdesk", "+14155550109")
    assert (await client.calls.end(placed.id)).success
    with pytest.raises(Conflict):
        await client.calls.end(placed.id)
    assert (await client.contacts.list()).data[0].name == "Ada Byron"
