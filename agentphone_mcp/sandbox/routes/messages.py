"""Send texts, and show the conversations that they belong to."""

from collections.abc import Sequence
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox import rows
from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data import billing as money
from agentphone_mcp.sandbox.data.models import Conversation, Message, Number
from agentphone_mcp.sandbox.http.validation import (
    Field,
    e164,
    integer,
    mapping,
    paging,
    read_body,
    read_query,
    text,
    texts,
)
from agentphone_mcp.sandbox.responses import Json, RefusalError, invalid, ok, page, stamp

_MESSAGE_FIELDS = {
    "agent_id": Field(text(1)),
    "number_id": Field(text(1)),
    "from_number": Field(e164),
    "to_number": Field(e164, required=True),
    "body": Field(text(most=1_600)),
    "media_url": Field(text(1, 2_000)),
    "media_urls": Field(texts),
    "reply_to_message_id": Field(text(1)),
    "send_style": Field(text(1)),
}


def message_json(message: Message) -> Json:
    """Show a text, with the field names of both versions of the API."""
    return {
        "id": message.id,
        "conversationId": message.conversation_id,
        "from": message.from_number,
        "from_": message.from_number,
        "to": message.to_number,
        "fromNumber": message.from_number,
        "toNumber": message.to_number,
        "body": message.body,
        "direction": message.direction,
        "status": message.status,
        "channel": "sms",
        "mediaUrl": message.media_urls[0] if message.media_urls else None,
        "mediaUrls": message.media_urls,
        "senderIdentifier": message.from_number,
        "reactions": [],
        "receivedAt": stamp(message.at),
    }


def conversation_json(conversation: Conversation) -> Json:
    """Show a conversation as in lists."""
    last = conversation.messages[-1]
    return {
        "id": conversation.id,
        "agentId": conversation.agent_id,
        "phoneNumberId": conversation.number_id,
        "phoneNumber": conversation.phone_number,
        "participant": conversation.participant,
        "channel": "sms",
        "isGroup": False,
        "messageCount": len(conversation.messages),
        "lastMessageAt": stamp(last.at),
        "lastMessagePreview": last.body[:100],
        "metadata": conversation.metadata,
        "createdAt": stamp(conversation.created_at),
    }


def newest_conversations(context: SandboxContext) -> list[Conversation]:
    """Return all conversations, the one with the latest text first."""
    return sorted(context.account.conversations.values(), key=lambda each: each.messages[-1].at, reverse=True)


def _detail_json(conversation: Conversation, limit: int) -> Json:
    """Show a conversation with its latest texts, oldest first."""
    by_id = {message.id: message for message in conversation.messages}
    messages: list[Json] = []
    for message in conversation.messages[-limit:]:
        parent = by_id.get(message.reply_to or "")
        quoted = parent and {"messageId": parent.id, "message": parent.body, "mediaUrls": parent.media_urls}
        messages.append({**message_json(message), "replyTo": quoted})
    return {**conversation_json(conversation), "messages": messages}


async def send_message(request: Request) -> Response:
    """POST /v1/messages: send a text from one of the account's numbers."""
    context = context_of(request)
    body = await read_body(request, _MESSAGE_FIELDS)
    media: list[str] = list(body.get("media_urls") or [])
    if body.get("media_url"):
        media.append(body["media_url"])
    if not (body.get("body") or "").strip() and not media:
        raise invalid("body", "body", "body or media_urls is required", "missing")
    number = _sender(context, body)
    if number.outbound_sms != "enabled":
        raise RefusalError(
            403,
            f"{number.phone_number} cannot send texts before 10DLC registration (outboundSms: {number.outbound_sms}).",
            "SMS_REGISTRATION_REQUIRED",
        )
    reply_to = body.get("reply_to_message_id")
    conversation, message = record(
        context, number, "outbound", body["to_number"], body.get("body") or "", media, reply_to
    )
    context.webhook_events.message_sent(conversation, message)
    return ok(
        {
            "id": message.id,
            "status": message.status,
            "channel": "sms",
            "from_number": message.from_number,
            "to_number": message.to_number,
            "conversation_id": conversation.id,
            "media_urls": media,
            "reply_to_message_id": reply_to,
            "reply_parent_unresolved": reply_to is not None
            and all(reply_to != earlier.id for earlier in conversation.messages),
        }
    )


def record(
    context: SandboxContext,
    number: Number,
    direction: Literal["inbound", "outbound"],
    participant: str,
    body: str,
    media_urls: Sequence[str] = (),
    reply_to: str | None = None,
) -> tuple[Conversation, Message]:
    """Charge a text, add it to its conversation, and publish it; answer 402 without money."""
    cost = money.text_charge(body)
    context.account.balance.require(cost, "a message")
    conversation = _conversation_of(context, number, participant)
    is_inbound = direction == "inbound"
    message = Message(
        id=context.account.ids.new("msg"),
        conversation_id=conversation.id,
        number_id=number.id,
        from_number=participant if is_inbound else number.phone_number,
        to_number=number.phone_number if is_inbound else participant,
        body=body,
        direction=direction,
        status="received" if is_inbound else "sent",
        at=context.clock.now(),
        media_urls=[*media_urls],
        reply_to=reply_to,
    )
    conversation.messages.append(message)
    context.account.balance.charge(cost, f"message {message.id}", message.at)
    context.event_stream.publish("message", rows.message(message) | {"conversation": rows.conversation(conversation)})
    return conversation, message


def _sender(context: SandboxContext, body: Json) -> Number:
    """Find the number to send from, by its id, by itself, or as the agent's first."""
    if body.get("number_id"):
        return context.number(body["number_id"])
    if body.get("from_number"):
        return context.number_at(body["from_number"])
    if not body.get("agent_id"):
        raise invalid("body", "agent_id", "one of agent_id, number_id and from_number is required", "missing")
    agent = context.agent(body["agent_id"])
    numbers = context.numbers_of(agent.id)
    if not numbers:
        raise RefusalError(400, f"Agent '{agent.id}' has no phone number to send from.", "VALIDATION_ERROR")
    return numbers[0]


def _conversation_of(context: SandboxContext, number: Number, participant: str) -> Conversation:
    """Find the conversation of two numbers, or begin it."""
    for conversation in context.account.conversations.values():
        if (conversation.number_id, conversation.participant) == (number.id, participant):
            return conversation
    conversation = Conversation(
        id=context.account.ids.new("conv"),
        agent_id=number.agent_id,
        number_id=number.id,
        phone_number=number.phone_number,
        participant=participant,
        created_at=context.clock.now(),
    )
    context.account.conversations[conversation.id] = conversation
    return conversation


async def list_conversations(request: Request) -> Response:
    """GET /v1/conversations, the latest first."""
    return ok(page(newest_conversations(context_of(request)), read_query(request, paging()), conversation_json))


async def get_conversation(request: Request) -> Response:
    """GET /v1/conversations/{id}, with its latest texts."""
    conversation = context_of(request).conversation(request.path_params["conversation_id"])
    query = read_query(request, {"messageLimit": Field(integer(1, 100)), "message_limit": Field(integer(1, 100))})
    return ok(_detail_json(conversation, query["messageLimit"] or query["message_limit"] or 50))


async def update_conversation(request: Request) -> Response:
    """PATCH /v1/conversations/{id}: replace the metadata; null clears it."""
    conversation = context_of(request).conversation(request.path_params["conversation_id"])
    given = await read_body(request, {"metadata": Field(mapping)})
    conversation.metadata = given.get("metadata", conversation.metadata)
    return ok(_detail_json(conversation, 50))


routes = [
    Route("/v1/messages", send_message, methods=["POST"]),
    Route("/v1/conversations", list_conversations, methods=["GET"]),
    Route("/v1/conversations/{conversation_id}", get_conversation, methods=["GET"]),
    Route("/v1/conversations/{conversation_id}", update_conversation, methods=["PATCH"]),
]
