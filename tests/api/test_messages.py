"""Tests of `/v1/messages` and `/v1/conversations`: what is sent, and every shape that is read."""

from typing import Any

import pytest

from agentphone_mcp.api.errors import Forbidden
from tests.api.conftest import PAGE, Ask, Read, Sent, SentBy, sends

SEEDS_MESSAGE = {
    "id": "msg_abc123",
    "from": "+14155559999",
    "to": "+14155551234",
    "body": "Hey, what time is my appointment?",
    "direction": "inbound",
    "status": "received",
    "receivedAt": "2025-01-15T10:40:00.000Z",
}
SEEDS_CONVERSATION = {
    "id": "conv_xyz",
    "phoneNumber": "+14155551234",
    "participant": "+14155559999",
    "messageCount": 5,
    "lastMessageAt": "2025-01-15T10:45:00.000Z",
    "lastMessagePreview": "Sounds good, see you then!",
}
NEWER_CONVERSATION = {
    **SEEDS_CONVERSATION,
    "agentId": None,
    "phoneNumberId": "num_1",
    "isGroup": True,
    "groupName": "Family",
    "participants": [{"identifier": "+14155559999"}],
    "metadata": {"topic": "appointment", "tries": [1, 2]},
    "createdAt": "2025-01-15T10:00:00Z",
}


@pytest.mark.parametrize(
    ("ask", "documented"),
    [
        sends(
            lambda api: api.messages.send("+14155559999", "Hello!", agent_id="agent_1"),
            "POST /v1/messages",
            {"agent_id": "agent_1", "to_number": "+14155559999", "body": "Hello!"},
            id="send-from-an-agent",
        ),
        sends(
            lambda api: api.messages.send(
                "+14155559999", "Grüße 👋", number_id="num_1", media_urls=["https://x.example/a.png"]
            ),
            "POST /v1/messages",
            {
                "number_id": "num_1",
                "to_number": "+14155559999",
                "body": "Grüße 👋",
                "media_urls": ["https://x.example/a.png"],
            },
            id="send-from-a-number",
        ),
        sends(
            lambda api: api.messages.send("+14155559999", "", agent_id="agent_1"),
            "POST /v1/messages",
            {"agent_id": "agent_1", "to_number": "+14155559999", "body": ""},
            id="send-no-words",
        ),
        sends(
            lambda api: api.messages.of_number("num_1"),
            "GET /v1/numbers/num_1/messages",
            query={"limit": "50"},
            id="of",
        ),
        sends(
            lambda api: api.messages.of_number(
                "num_1", 200, before="2025-01-15T10:40:00+01:00", after="2025-01-01T00:00:00Z"
            ),
            "GET /v1/numbers/num_1/messages",
            query={"limit": "200", "before": "2025-01-15T10:40:00+01:00", "after": "2025-01-01T00:00:00Z"},
            id="of-between",
        ),
        sends(lambda api: api.messages.conversations(), "GET /v1/conversations", query=PAGE, id="conversations"),
        sends(
            lambda api: api.messages.conversations(agent_id="agent_1"),
            "GET /v1/agents/agent_1/conversations",
            query=PAGE,
            id="conversations-of-an-agent",
        ),
        sends(
            lambda api: api.messages.conversation("conv_1", 7),
            "GET /v1/conversations/conv_1",
            query={"messageLimit": "7", "message_limit": "7"},
            id="conversation-in-both-spellings",
        ),
        sends(
            lambda api: api.messages.set_metadata("conv_1", {"first_name": "Ada", "n": None}),
            "PATCH /v1/conversations/conv_1",
            {"metadata": {"first_name": "Ada", "n": None}},
            id="set-metadata",
        ),
        sends(
            lambda api: api.messages.set_metadata("conv_1", None),
            "PATCH /v1/conversations/conv_1",
            {"metadata": None},
            id="clear-metadata",
        ),
    ],
)
async def test_each_method_sends_what_the_api_documents(sent_by: SentBy, ask: Ask, documented: Sent) -> None:
    assert await sent_by(ask) == documented


@pytest.mark.parametrize(
    ("payload", "conversation_id"),
    [
        pytest.param({}, None, id="little"),
        pytest.param(
            {"conversation_id": "conv_1", "media_urls": [], "reply_parent_unresolved": False}, "conv_1", id="all"
        ),
        pytest.param({"conversation_id": None, "reply_to_message_id": None, "segments": 2}, None, id="nulls"),
    ],
)
async def test_a_sent_text_is_read(read: Read, payload: Any, conversation_id: str | None) -> None:
    ends = {"from_number": "+14155551234", "to_number": "+14155559999"}
    payload = {"id": "msg_1", "status": "queued", "channel": "sms", **ends, **payload}
    sent = await read(payload, lambda api: api.messages.send("+14155559999", "Hello!", agent_id="agent_1"))
    assert (sent.id, sent.status, sent.channel, sent.from_number, sent.to_number, sent.conversation_id) == (
        "msg_1",
        "queued",
        "sms",
        "+14155551234",
        "+14155559999",
        conversation_id,
    )


async def test_a_text_without_a_registration_is_forbidden(read: Read) -> None:
    payload = {"detail": "10DLC registration required"}
    with pytest.raises(Forbidden) as refused:
        await read(payload, lambda api: api.messages.send("+14155559999", "Hello!", agent_id="agent_1"), status=403)
    assert refused.value.detail == "10DLC registration required"


async def test_the_seeds_messages_are_read(read: Read) -> None:
    (message,) = (await read({"data": [SEEDS_MESSAGE], "total": 1}, lambda api: api.messages.of_number("num_1"))).data
    assert (message.id, message.from_number, message.to_number) == ("msg_abc123", "+14155559999", "+14155551234")
    assert (message.body, message.direction, message.status) == (
        "Hey, what time is my appointment?",
        "inbound",
        "received",
    )
    assert message.at == "2025-01-15T10:40:00Z"
    assert message.media_urls is None


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param({"from_": "+1415", "to": "+1416"}, id="underscore"),
        pytest.param({"fromNumber": "+1415", "toNumber": "+1416"}, id="camel-case"),
        pytest.param({"from_number": "+1415", "to_number": "+1416"}, id="snake-case"),
        pytest.param({"from": "+1415", "from_": "+1415", "fromNumber": "+1415", "toNumber": "+1416"}, id="union"),
    ],
)
async def test_a_newer_message_is_read_however_its_ends_are_called(read: Read, ends: dict[str, str]) -> None:
    row = {"id": "msg_1", "body": "Hi", "channel": "imessage", "mediaUrls": ["https://x.example/a.png"], **ends}
    ((message,)) = (await read({"data": [row], "hasMore": True}, lambda api: api.messages.of_number("num_1"))).data
    assert (message.from_number, message.to_number, message.channel) == ("+1415", "+1416", "imessage")
    assert message.media_urls == ["https://x.example/a.png"]


async def test_a_message_full_of_nulls_is_read(read: Read) -> None:
    names = ("body", "fromNumber", "toNumber", "direction", "channel", "mediaUrls", "receivedAt", "status", "replyTo")
    (message,) = (await read([dict.fromkeys(names) | {"id": 7}], lambda api: api.messages.of_number("num_1"))).data
    assert (message.id, message.body, message.media_urls, message.at) == ("7", None, None, None)


async def test_the_only_picture_of_a_message_is_kept(read: Read) -> None:
    """WIRE.md has `mediaUrl` beside `mediaUrls`, and either may be absent."""
    row = {"id": "msg_1", "mediaUrl": "https://x.example/a.png"}
    (message,) = (await read([row], lambda api: api.messages.of_number("num_1"))).data
    assert message.media_urls == ["https://x.example/a.png"]


async def test_the_seeds_conversations_are_read(read: Read) -> None:
    page = await read({"data": [SEEDS_CONVERSATION], "total": 1}, lambda api: api.messages.conversations())
    (conversation,) = page.data
    assert (conversation.id, conversation.phone_number, conversation.participant) == (
        "conv_xyz",
        "+14155551234",
        "+14155559999",
    )
    assert (conversation.message_count, conversation.last_message_at, conversation.last_message_preview) == (
        5,
        "2025-01-15T10:45:00Z",
        "Sounds good, see you then!",
    )
    assert conversation.metadata is None


async def test_a_newer_conversation_has_its_messages_and_metadata(read: Read) -> None:
    """The keys inside metadata are the user's own and stay as they are."""
    payload = {**NEWER_CONVERSATION, "messages": [SEEDS_MESSAGE], "hasMoreMessages": True}
    conversation = await read(payload, lambda api: api.messages.conversation("conv_xyz"))
    assert [message.id for message in conversation.messages] == ["msg_abc123"]
    assert conversation.metadata == {"topic": "appointment", "tries": [1, 2]}
    assert (conversation.group_name, conversation.agent_id) == ("Family", None)


@pytest.mark.parametrize("metadata", [pytest.param({"a": 1}, id="set"), pytest.param(None, id="cleared")])
async def test_changed_metadata_is_read_back(read: Read, metadata: Any) -> None:
    payload = {**SEEDS_CONVERSATION, "metadata": metadata}
    assert (await read(payload, lambda api: api.messages.set_metadata("conv_xyz", metadata))).metadata == metadata
