"""Both ages of the API, each alone, and our own client against all three wires."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any, get_args

import httpx
import pytest

from agentphone_mcp.api.agents import AgentFields
from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import BadRequest, Conflict, Forbidden, NotFound, PaymentRequired, StatusError
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.sandbox import Sandbox, running
from agentphone_mcp.sandbox.http.api_versions import ANSWERS, API_VERSIONS, SHAPES, ApiVersion

ADA = "+14155550142"
GROUPS = {"groupId", "groupName", "groupIconUrl", "participants"}
EACH_API_VERSION = pytest.mark.parametrize("api_version", API_VERSIONS)


@pytest.fixture
def api_version() -> ApiVersion:
    """The union, unless a test says otherwise."""
    return "union"


@pytest.fixture
async def sandbox(api_version: ApiVersion) -> AsyncIterator[Sandbox]:
    """A sandbox of that age, in this process."""
    sandbox = Sandbox(speed=400, api_version=api_version)
    yield sandbox
    await sandbox.aclose()


@pytest.fixture
async def client(api_version: ApiVersion, closing: Callable[[Callable[[], object]], None]) -> AsyncIterator[ApiClient]:
    """Our own client of a sandbox of that age, over HTTP."""
    box = ExitStack()
    served = box.enter_context(running(speed=100, api_version=api_version))
    async with ApiClient(Transport(served.url, ApiKey(served.key))) as client, asyncio.timeout(60):
        yield client
    closing(box.close)


@EACH_API_VERSION
async def test_our_client_tends_agents_on_every_wire(client: ApiClient) -> None:
    """It reads the same things from either age."""
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
    """One that has no look-up by id is found in the list."""
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
    """Live, in the transcript and in the lists it hears the same."""
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
    """Whatever the fields are called."""
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
    """A failed delivery reads as one."""
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
    """As on any server that has no such path: a status, nothing done, nothing in doubt."""
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
    """Texts, contacts, hanging up."""
    sent = await client.messages.send(ADA, "Hi", agent_id="agt_frontdesk")
    assert (sent.status, sent.conversation_id) == ("sent", "conv_past01")
    placed = await client.calls.place("agt_frontdesk", "+14155550109")
    assert (await client.calls.end(placed.id)).success
    with pytest.raises(Conflict):
        await client.calls.end(placed.id)
    assert (await client.contacts.list()).data[0].name == "Ada Byron"


@pytest.mark.parametrize(
    ("api_version", "path", "keys"),
    [
        pytest.param("seeds", "/v1/numbers", {"data", "total"}, id="seeds-numbers"),
        pytest.param("new", "/v1/numbers", {"data", "hasMore", "total"}, id="new-numbers"),
        pytest.param("new", "/v1/agents", {"data", "total"}, id="new-agents"),
        pytest.param("seeds", "/v1/numbers/num_frontdesk/messages", {"data", "total"}, id="seeds-texts"),
        pytest.param("new", "/v1/numbers/num_frontdesk/messages", {"data", "hasMore"}, id="new-texts"),
        pytest.param("seeds", "/v1/webhooks/deliveries", {"data", "total"}, id="seeds-deliveries"),
        pytest.param("new", "/v1/webhooks/deliveries", {"items", "total", "offset", "limit"}, id="new-deliveries"),
        pytest.param("new", "/v1/calls/call_past01/transcript", {"callId", "status", "transcript"}, id="new-turns"),
    ],
)
async def test_each_age_has_its_envelope(api: httpx.AsyncClient, path: str, keys: set[str]) -> None:
    """And nothing of the other's."""
    assert (await api.get(path)).json().keys() == keys


@pytest.mark.parametrize(
    ("api_version", "path", "keys"),
    [
        pytest.param(
            "seeds",
            "/v1/numbers/num_frontdesk/messages",
            {"id", "from", "to", "body", "direction", "status", "receivedAt"},
            id="seeds-text",
        ),
        pytest.param(
            "new",
            "/v1/numbers/num_frontdesk/messages",
            {"id", "from_", "to", "body", "direction", "channel", "receivedAt"},
            id="new-text",
        ),
        pytest.param(
            "new",
            "/v1/agents/agt_frontdesk/conversations",
            {
                "id",
                "agentId",
                "phoneNumberId",
                "phoneNumber",
                "participant",
                "messageCount",
                "lastMessageAt",
                "lastMessagePreview",
                "createdAt",
            },
            id="new-conversation-of-an-agent",
        ),
        pytest.param("seeds", "/v1/agents/voices", {"voiceId", "name", "provider", "gender"}, id="seeds-voice"),
        pytest.param(
            "new",
            "/v1/numbers",
            {"id", "phoneNumber", "country", "status", "type", "agentId", "createdAt"},
            id="new-number",
        ),
    ],
)
async def test_each_age_has_its_fields(api: httpx.AsyncClient, path: str, keys: set[str]) -> None:
    """As the seeds show them, and as WIRE.md lists them."""
    assert (await api.get(path)).json()["data"][0].keys() == keys


def told(shape: str, age: int) -> set[str]:
    """The keys that an age has of a shape."""
    return {key.partition(":")[0] for key in SHAPES[shape][age].split()}


@pytest.mark.parametrize("endpoint", [name for name in ANSWERS if name.startswith("GET ")])
async def test_the_union_has_the_fields_of_both_ages(api: httpx.AsyncClient, endpoint: str) -> None:
    """What is listed for an age and never answered would be a wrong name."""
    await api.post("/v1/webhooks", json={"url": "http://127.0.0.1:9/"})
    await api.post("/v1/agents/agt_frontdesk/webhook", json={"url": "http://127.0.0.1:9/"})
    await api.post("/v1/agents/agt_frontdesk/webhook/test")
    ids = {"agent": "agt_frontdesk", "number": "num_frontdesk", "call": "call_past01", "conversation": "conv_past01"}
    path = endpoint.removeprefix("GET ").format(**{f"{name}_id": value for name, value in ids.items()})
    answer = (await api.get(path)).json()

    def lacking(value: Any, shape: str) -> set[str]:
        if isinstance(value, list):
            return lacking(value[0], shape)
        if shape not in SHAPES:
            return set()
        parts = dict(key.split(":") for age in (0, 1) for key in SHAPES[shape][age].split() if ":" in key)
        missing = (told(shape, 0) | told(shape, 1)) - value.keys()
        return missing.union(*(lacking(value[name], part) for name, part in parts.items() if name in value))

    assert lacking(answer, ANSWERS[endpoint]) <= GROUPS


@pytest.mark.parametrize(
    ("api_version", "path", "body"),
    [
        pytest.param("seeds", "/v1/agents/agt_no", {"detail": "Agent 'agt_no' not found."}, id="seeds-not-found"),
        pytest.param("seeds", "/v1/nothing", {"detail": "Not Found"}, id="seeds-no-path"),
        pytest.param(
            "new",
            "/v1/agents/agt_no",
            {
                "error": {
                    "message": "Agent 'agt_no' not found.",
                    "code": "AGENT_NOT_FOUND",
                    "type": "not_found_error",
                }
            },
            id="new-not-found",
        ),
        pytest.param(
            "new",
            "/v1/nothing",
            {"error": {"message": "Not Found", "code": "NOT_FOUND", "type": "api_error"}},
            id="new-no-path",
        ),
    ],
)
async def test_each_age_has_its_errors(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """`detail`, or an `error` object; whoever comes without the key is told so too."""
    answer = await api.get(path)
    assert (answer.status_code, answer.json()) == (404, body)
    stranger = await api.get(path, headers={"Authorization": ""})
    assert (stranger.status_code, stranger.json().keys()) == (401, body.keys())


@pytest.mark.parametrize(
    ("api_version", "status", "detail"),
    [
        pytest.param(
            "seeds", 400, "name: Field required; voiceMode: Input should be one of: webhook, hosted", id="seeds"
        ),
        pytest.param(
            "new",
            422,
            [
                {"loc": ["body", "name"], "msg": "Field required", "type": "missing"},
                {"loc": ["body", "voiceMode"], "msg": "Input should be one of: webhook, hosted", "type": "enum"},
            ],
            id="new",
        ),
    ],
)
async def test_wrong_fields_are_told_as_the_age_does(api: httpx.AsyncClient, status: int, detail: Any) -> None:
    """The seeds have a bad request and a sentence for them, WIRE.md a list."""
    answer = await api.post("/v1/agents", json={"voiceMode": "human"})
    assert (answer.status_code, answer.json()) == (status, {"detail": detail})


@pytest.mark.parametrize("api_version", ["seeds"])
async def test_the_older_api_knows_three_statuses(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A call that was busy failed, in the list, in the stream and where the list is narrowed."""
    placed = (await api.post("/v1/calls", json={"agentId": "agt_frontdesk", "toNumber": "+14155550101"})).json()
    stream = await api.get(f"/v1/calls/{placed['id']}/transcript/stream")
    assert sandbox.context.account.calls[placed["id"]].status == "busy"
    assert '"status": "failed"' in stream.text
    assert (await api.get(f"/v1/calls/{placed['id']}")).json()["status"] == "failed"
    listed = (await api.get("/v1/calls", params={"status": "failed"})).json()
    assert [call["id"] for call in listed["data"]] == [placed["id"]]
    assert (await api.get("/v1/calls", params={"status": "busy"})).status_code == 400


def test_a_wire_is_one_of_three() -> None:
    """The command offers what the type allows."""
    assert get_args(ApiVersion) == API_VERSIONS
