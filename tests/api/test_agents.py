"""Tests of `/v1/agents`: what is sent, and every shape that is read."""

from typing import Any

import pytest
from pydantic import ValidationError

from agentphone_mcp.api.agents import AgentFields
from tests.api.conftest import PAGE, Ask, Read, Sent, SentBy, sends

SEEDS = {
    "id": "agent_abc123",
    "name": "Support Bot",
    "description": "Handles customer support calls",
    "voiceMode": "hosted",
    "systemPrompt": "You are a friendly customer support agent...",
    "beginMessage": "Hi there! How can I help you today?",
    "voice": "11labs-Brian",
    "phoneNumbers": [],
    "createdAt": "2025-01-15T10:30:00.000Z",
}
ALL_FIELDS = {
    "name": "Support Bot",
    "description": "Handles support",
    "voiceMode": "hosted",
    "systemPrompt": "Be kind.",
    "beginMessage": "Hi!",
    "voice": "11labs-Brian",
    "transferNumber": "+14155559999",
    "voicemailMessage": "Call us back.",
    "modelTier": "max",
    "sttMode": "accurate",
    "ambientSound": "coffee-shop",
    "denoisingMode": "noise-cancellation",
    "maxSilenceMs": 20_000,
    "voiceSpeed": 1.25,
    "interruptionSensitivity": 0.5,
    "enableBackchannel": False,
    "enableMessaging": True,
    "language": "en-US",
}
NUMBER = {"id": "num_1", "phoneNumber": "+14155551234", "status": "active", "type": "local"}


@pytest.mark.parametrize(
    ("ask", "documented"),
    [
        sends(lambda api: api.agents.list(), "GET /v1/agents", query=PAGE, id="list"),
        sends(
            lambda api: api.agents.list(100, 200), "GET /v1/agents", query={"limit": "100", "offset": "200"}, id="page"
        ),
        sends(lambda api: api.agents.get("agent_1"), "GET /v1/agents/agent_1", id="get"),
        sends(lambda api: api.agents.create(AgentFields(**ALL_FIELDS)), "POST /v1/agents", ALL_FIELDS, id="create"),
        sends(
            lambda api: api.agents.create(AgentFields(name="One", voice_mode="webhook")),
            "POST /v1/agents",
            {"name": "One", "voiceMode": "webhook"},
            id="create-with-little",
        ),
        sends(
            lambda api: api.agents.update("agent_1", AgentFields(system_prompt="Be brief.")),
            "PATCH /v1/agents/agent_1",
            {"systemPrompt": "Be brief."},
            id="update",
        ),
        sends(
            lambda api: api.agents.update("agent_1", AgentFields(transfer_number="", enable_messaging=False)),
            "PATCH /v1/agents/agent_1",
            {"transferNumber": "", "enableMessaging": False},
            id="clear-and-switch-off",
        ),
        sends(lambda api: api.agents.delete("agent_1"), "DELETE /v1/agents/agent_1", id="delete"),
        sends(
            lambda api: api.agents.attach_number("agent_1", "pn_xyz789"),
            "POST /v1/agents/agent_1/numbers",
            {"numberId": "pn_xyz789"},
            id="attach",
        ),
        sends(
            lambda api: api.agents.detach_number("agent_1", "pn_xyz789"),
            "DELETE /v1/agents/agent_1/numbers/pn_xyz789",
            id="detach",
        ),
        sends(lambda api: api.agents.voices(), "GET /v1/agents/voices", id="voices"),
    ],
)
async def test_each_method_sends_what_the_api_documents(sent_by: SentBy, ask: Ask, documented: Sent) -> None:
    assert await sent_by(ask) == documented


async def test_the_seeds_agent_is_read(read: Read) -> None:
    agent = await read(SEEDS, lambda api: api.agents.get("agent_abc123"))
    assert (agent.id, agent.name, agent.voice_mode, agent.voice) == (
        "agent_abc123",
        "Support Bot",
        "hosted",
        "11labs-Brian",
    )
    assert agent.begin_message == "Hi there! How can I help you today?"
    assert agent.numbers == []
    assert agent.created_at == "2025-01-15T10:30:00Z"
    assert agent.model_tier is None


async def test_the_newer_agent_is_read(read: Read) -> None:
    payload = {
        **ALL_FIELDS,
        "id": "agent_1",
        "numbers": [NUMBER],
        "customTools": None,
        "createdAt": "2025-01-15T10:30:00Z",
    }
    agent = await read(payload, lambda api: api.agents.get("agent_1"))
    assert [(number.id, number.phone_number) for number in agent.numbers] == [("num_1", "+14155551234")]
    assert AgentFields(**agent.model_dump(include=set(AgentFields.model_fields))).body() == ALL_FIELDS


@pytest.mark.parametrize(
    ("payload", "numbers"),
    [
        pytest.param({"id": "agent_1"}, None, id="an-id-alone"),
        pytest.param(
            dict.fromkeys(ALL_FIELDS) | {"id": "agent_1", "numbers": None, "createdAt": None}, None, id="nulls"
        ),
        pytest.param({"id": "agent_1", "fax": {"a": 1}, "phoneNumbers": [NUMBER]}, ["num_1"], id="unknown-fields"),
        pytest.param({"id": "agent_1", "voiceMode": "telepathy", "modelTier": "ultra"}, None, id="unknown-values"),
    ],
)
async def test_an_agent_with_gaps_and_novelties_is_read(read: Read, payload: Any, numbers: list[str] | None) -> None:
    agent = await read(payload, lambda api: api.agents.get("agent_1"))
    assert agent.id == "agent_1"
    assert (agent.numbers and [number.id for number in agent.numbers]) == numbers


@pytest.mark.parametrize(
    ("payload", "total", "has_more"),
    [
        pytest.param({"data": [SEEDS], "total": 1, "hasMore": False}, 1, False, id="full"),
        pytest.param({"data": [SEEDS], "total": 1}, 1, None, id="without-has-more"),
        pytest.param({"data": [SEEDS], "hasMore": True}, None, True, id="without-a-total"),
        pytest.param({"data": [SEEDS], "total": None, "hasMore": None}, None, None, id="nulls"),
        pytest.param({"items": [SEEDS], "total": 1}, 1, None, id="items"),
        pytest.param([SEEDS], None, None, id="bare-list"),
    ],
)
async def test_a_page_is_read_however_it_is_wrapped(read: Read, payload: Any, total: Any, has_more: Any) -> None:
    page = await read(payload, lambda api: api.agents.list())
    assert ([agent.id for agent in page.data], page.total, page.has_more) == (["agent_abc123"], total, has_more)


async def test_a_deleted_agent_is_read_in_both_versions(read: Read) -> None:
    seeds = {"success": True, "message": "Agent deleted", "unassignedNumbers": ["pn_xyz789"]}
    older = await read(seeds, lambda api: api.agents.delete("agent_1"))
    assert (older.success, older.unassigned_numbers, older.name) == (True, ["pn_xyz789"], None)
    newer = await read({"success": True, "id": "agent_1", "name": "One"}, lambda api: api.agents.delete("agent_1"))
    assert (newer.id, newer.name, newer.unassigned_numbers) == ("agent_1", "One", None)


async def test_an_attached_number_is_read(read: Read) -> None:
    payload = {"agentId": "agent_1", "number": NUMBER}
    attachment = await read(payload, lambda api: api.agents.attach_number("agent_1", "num_1"))
    assert (attachment.agent_id, attachment.number.phone_number) == ("agent_1", "+14155551234")


async def test_voices_are_read_in_both_versions(read: Read) -> None:
    payload = {
        "data": [
            {"voiceId": "11labs-Brian", "name": "Brian", "provider": "elevenlabs", "gender": "male"},
            {"voice_id": "nova", "voice_name": "Nova", "provider": "openai", "gender": None, "accent": "British"},
            {"voice_id": "mute", "voice_name": None, "provider": None, "preview_audio_url": None},
        ]
    }
    voices = (await read(payload, lambda api: api.agents.voices())).data
    assert [(voice.id, voice.name, voice.gender, voice.accent) for voice in voices] == [
        ("11labs-Brian", "Brian", "male", None),
        ("nova", "Nova", None, "British"),
        ("mute", None, None, None),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"max_silence_ms": 9_999}, id="silence-too-short"),
        pytest.param({"max_silence_ms": 3_600_001}, id="silence-too-long"),
        pytest.param({"voice_speed": 0.4}, id="too-slow"),
        pytest.param({"voice_speed": 2.1}, id="too-fast"),
        pytest.param({"interruption_sensitivity": 1.1}, id="too-sensitive"),
        pytest.param({"model_tier": "ultra"}, id="unknown-tier"),
        pytest.param({"voice_mode": "telepathy"}, id="unknown-mode"),
        pytest.param({"temperature": 1}, id="unknown-field"),
    ],
)
def test_a_setting_out_of_bounds_is_not_sent(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentFields(**wrong)
