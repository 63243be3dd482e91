"""Check agents and the numbers attached to them."""

from typing import Any

import httpx
import pytest

from agentphone_mcp.sandbox import Sandbox


async def test_the_account_starts_with_two_agents(api: httpx.AsyncClient) -> None:
    found = (await api.get("/v1/agents")).json()
    desk, orders = found["data"]
    assert (found["total"], found["hasMore"]) == (2, False)
    assert (desk["id"], desk["voiceMode"], desk["numbers"]) == (
        "agt_frontdesk",
        "hosted",
        [{"id": "num_frontdesk", "phoneNumber": "+14155550100", "status": "active", "type": "sms"}],
    )
    assert desk["phoneNumbers"] == desk["numbers"]
    assert (orders["id"], orders["voiceMode"], orders["numbers"]) == ("agt_orderline", "webhook", [])


async def test_a_created_agent_can_be_read_again(api: httpx.AsyncClient) -> None:
    wanted = {"name": "Sales", "voiceMode": "hosted", "systemPrompt": "Sell.", "maxSilenceMs": 10_000, "voiceSpeed": 2}
    answer = await api.post("/v1/agents", json=wanted | {"unknown": 1})
    agent = answer.json()
    assert answer.status_code == 201
    assert agent == (await api.get(f"/v1/agents/{agent['id']}")).json()
    assert wanted.items() <= agent.items()
    assert (agent["voice"], agent["language"], agent["transferNumber"]) == ("11labs-Brian", "en-US", None)
    assert "unknown" not in agent


@pytest.mark.parametrize(
    ("body", "field", "kind"),
    [
        pytest.param({}, "name", "missing", id="no-name"),
        pytest.param({"name": None}, "name", "string_type", id="null-name"),
        pytest.param({"name": " "}, "name", "string_too_short", id="blank-name"),
        pytest.param({"name": "A", "voiceMode": "hosted"}, "systemPrompt", "missing", id="hosted-without-prompt"),
        pytest.param({"name": "A", "voiceMode": "telepathy"}, "voiceMode", "enum", id="unknown-mode"),
        pytest.param({"name": "A", "modelTier": "huge"}, "modelTier", "enum", id="unknown-tier"),
        pytest.param({"name": "A", "language": "tlh-QO"}, "language", "enum", id="unknown-language"),
        pytest.param({"name": "A", "transferNumber": "4155550100"}, "transferNumber", "value_error", id="not-e164"),
        pytest.param({"name": "A", "maxSilenceMs": 9_999}, "maxSilenceMs", "greater_than_equal", id="too-impatient"),
        pytest.param({"name": "A", "voiceSpeed": 2.1}, "voiceSpeed", "less_than_equal", id="too-fast"),
        pytest.param({"name": "A", "voiceSpeed": "fast"}, "voiceSpeed", "float_type", id="speed-in-words"),
        pytest.param({"name": "A", "enableMessaging": "yes"}, "enableMessaging", "bool_type", id="boolean-in-words"),
    ],
)
async def test_a_bad_agent_is_refused_by_field(
    api: httpx.AsyncClient, body: dict[str, Any], field: str, kind: str
) -> None:
    answer = await api.post("/v1/agents", json=body)
    problem = answer.json()["detail"][0]
    assert (answer.status_code, problem["loc"], problem["type"]) == (422, ["body", field], kind)
    assert (await api.get("/v1/agents")).json()["total"] == 2


async def test_an_update_changes_only_what_it_names(api: httpx.AsyncClient) -> None:
    before = (await api.get("/v1/agents/agt_frontdesk")).json()
    after = (await api.patch("/v1/agents/agt_frontdesk", json={"voice": "nova"})).json()
    assert after == before | {"voice": "nova"}


async def test_an_empty_transfer_number_clears_it(api: httpx.AsyncClient) -> None:
    set_ = await api.patch("/v1/agents/agt_frontdesk", json={"transferNumber": "+14155550177"})
    assert set_.json()["transferNumber"] == "+14155550177"
    cleared = await api.patch("/v1/agents/agt_frontdesk", json={"transferNumber": ""})
    assert cleared.json()["transferNumber"] is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": None}, id="no-name-left"),
        pytest.param({"systemPrompt": None}, id="hosted-without-prompt"),
        pytest.param({"voiceSpeed": 0}, id="out-of-range"),
    ],
)
async def test_a_bad_update_leaves_the_agent_as_it_was(api: httpx.AsyncClient, change: dict[str, Any]) -> None:
    before = (await api.get("/v1/agents/agt_frontdesk")).json()
    assert (await api.patch("/v1/agents/agt_frontdesk", json=change | {"voice": "nova"})).status_code == 422
    assert (await api.get("/v1/agents/agt_frontdesk")).json() == before


async def test_deleting_an_agent_keeps_its_numbers_and_history(api: httpx.AsyncClient) -> None:
    answer = (await api.delete("/v1/agents/agt_frontdesk")).json()
    assert answer == {
        "success": True,
        "message": "Agent deleted",
        "unassignedNumbers": ["num_frontdesk"],
        "id": "agt_frontdesk",
        "name": "Front Desk",
    }
    assert (await api.get("/v1/agents/agt_frontdesk")).status_code == 404
    assert (await api.get("/v1/numbers/num_frontdesk")).json()["agentId"] is None
    assert (await api.get("/v1/calls/call_past01")).json()["agentId"] == "agt_frontdesk"


async def test_a_number_belongs_to_one_agent(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/agents/agt_orderline/numbers", json={"numberId": "num_frontdesk"})
    assert answer.json()["agentId"] == "agt_orderline"
    assert answer.json()["number"]["phoneNumber"] == "+14155550100"
    assert (await api.get("/v1/agents/agt_frontdesk")).json()["numbers"] == []


async def test_a_number_is_detached_only_from_its_agent(api: httpx.AsyncClient) -> None:
    assert (await api.delete("/v1/agents/agt_orderline/numbers/num_frontdesk")).status_code == 404
    assert (await api.delete("/v1/agents/agt_frontdesk/numbers/num_frontdesk")).json()["success"] is True
    assert (await api.delete("/v1/agents/agt_frontdesk/numbers/num_frontdesk")).status_code == 404


async def test_the_caller_id_is_the_number_attached_first(api: httpx.AsyncClient, sandbox: Sandbox) -> None:
    number = (await api.post("/v1/numbers", json={"agentId": "agt_orderline"})).json()
    await api.post("/v1/agents/agt_orderline/numbers", json={"numberId": "num_frontdesk"})
    attached = (await api.get("/v1/agents/agt_orderline")).json()["numbers"]
    assert [each["id"] for each in attached] == [number["id"], "num_frontdesk"]


@pytest.mark.parametrize("what", ["calls", "conversations"])
async def test_an_agents_history_is_its_own(api: httpx.AsyncClient, what: str) -> None:
    assert (await api.get(f"/v1/agents/agt_frontdesk/{what}")).json()["total"] == 1
    assert (await api.get(f"/v1/agents/agt_orderline/{what}")).json() == {"data": [], "total": 0, "hasMore": False}


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        pytest.param("GET", "/v1/agents/agt_no", "AGENT_NOT_FOUND", id="agent"),
        pytest.param("GET", "/v1/agents/agt_no/calls", "AGENT_NOT_FOUND", id="agents-calls"),
        pytest.param("GET", "/v1/agents/agt_no/webhook", "AGENT_NOT_FOUND", id="agents-webhook"),
        pytest.param("GET", "/v1/numbers/num_no", "PHONE_NUMBER_NOT_FOUND", id="number"),
        pytest.param("GET", "/v1/calls/call_no", "CALL_NOT_FOUND", id="call"),
        pytest.param("GET", "/v1/calls/call_no/transcript/stream", "CALL_NOT_FOUND", id="stream"),
        pytest.param("GET", "/v1/conversations/conv_no", "CONVERSATION_NOT_FOUND", id="conversation"),
        pytest.param("DELETE", "/v1/contacts/con_no", "CONTACT_NOT_FOUND", id="contact"),
    ],
)
async def test_an_unknown_id_is_told_in_both_error_shapes(
    api: httpx.AsyncClient, method: str, path: str, code: str
) -> None:
    answer = await api.request(method, path)
    body = answer.json()
    assert (answer.status_code, body["error"]["code"], body["error"]["type"]) == (404, code, "not_found_error")
    assert body["detail"] == body["error"]["message"]


async def test_voices_come_by_the_hundred_with_gaps(api: httpx.AsyncClient) -> None:
    voices = (await api.get("/v1/agents/voices")).json()["data"]
    assert len(voices) > 200
    assert len({voice["voiceId"] for voice in voices}) == len(voices)
    assert {voice["provider"] for voice in voices} >= {"elevenlabs", "openai", "cartesia"}
    assert {voice["gender"] for voice in voices} == {"male", "female", "neutral", None}
    assert any(voice["accent"] is None for voice in voices)
    assert any(voice["preview_audio_url"] is None for voice in voices)
    assert all((voice["voice_id"], voice["voice_name"]) == (voice["voiceId"], voice["name"]) for voice in voices)
