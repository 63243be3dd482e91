"""Send and read texts and conversations."""

from typing import Annotated, Any

from pydantic import Field

from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.messages import Conversation, ConversationWithMessages, Message, SentMessage
from agentphone_mcp.api.numbers import PhoneNumber
from agentphone_mcp.api.provenance import Words, shown_as
from agentphone_mcp.features.context import AccountGate, ActivePolicy, Api, Prices
from agentphone_mcp.features.presentation.lists import (
    TOO_LONG,
    Listed,
    how_many_fit,
    listed,
    shortened,
    total_of_part,
    without,
)
from agentphone_mcp.features.presentation.quoting import Quote, in_short_and_whole
from agentphone_mcp.features.tools.agents import numbers_of
from agentphone_mcp.features.tools.approval import spending
from agentphone_mcp.features.tools.declaration import reads, spends, updates
from agentphone_mcp.features.tools.lookups import digest
from agentphone_mcp.features.tools.parameters import (
    AgentId,
    Confirm,
    ConversationId,
    NumberId,
    Offset,
    PageSize,
    Phone,
    Repeat,
    Text,
    WebUrl,
    without_default,
)
from agentphone_mcp.policy.actions import Action, Outcome
from agentphone_mcp.policy.errors import Refused
from agentphone_mcp.policy.pricing import Cost

# Only this list of the API returns more than 100 rows at once.
MessageLimit = Annotated[int, Field(ge=1, le=200, json_schema_extra=without_default)]
_NOT_REGISTERED = ("registration_required", "activating")


async def describe_text(
    to_number: str,
    body: str,
    agent_id: str | None,
    number_id: str | None,
    media_urls: list[str] | None,
    api: Api,
    prices: Prices,
    policy: ActivePolicy,
) -> Action:
    """Describe a text; refuse it if its number may not send texts."""
    if (agent_id is None) == (number_id is None):
        raise Refused("Nothing was sent: give agent_id or number_id, one of them, as the sender.")
    number, whose = await (_of_agent(api, agent_id) if agent_id else _of_number(api, number_id or ""))
    local_time = policy.destinations.local_time(to_number)

    def text(quote: Quote) -> str:
        pictures = f" with {', '.join(map(quote, media_urls))}" if media_urls else ""
        return (
            f"Text {to_number}, local time {local_time}, from {number.phone_number}{whose}: {quote(body)}{pictures} "
            f"({prices.message_price_text(body)})."
        )

    summary, whole = in_short_and_whole(text, api.secrets.redact)
    return Action(
        summary,
        whole=whole,
        verify_with="list_messages or list_conversations",
        next_step="Queued is not delivered: list_messages shows what became of it.",
        arguments={"agent_id": None, "number_id": number.id},
        to_number=to_number,
        local_time=local_time,
        cost=Cost.of(prices.message_cost(body)),
        match_on={"number_id": number.id, "body": digest(body)},
        resolved={"number_id": number.id},
    )


async def send_message(
    to_number: Phone,
    body: Text,
    action: Annotated[Action, spending("send_message", describe_text)],
    api: Api,
    gate: AccountGate,
    agent_id: AgentId | None = None,
    number_id: NumberId | None = None,
    media_urls: list[WebUrl] | None = None,
    confirm: Confirm = None,
    repeat: Repeat = False,
) -> Outcome[SentMessage]:
    """Text a person from agent_id or number_id, one of them."""
    return await gate.execute(
        action,
        confirm,
        lambda: api.messages.send(to_number, body, **action.resolved, media_urls=media_urls),
        repeat=repeat,
    )


async def list_messages(
    number_id: NumberId,
    api: Api,
    limit: MessageLimit = 50,
    before: Annotated[str | None, Field(description="ISO 8601")] = None,
    after: Annotated[str | None, Field(description="ISO 8601")] = None,
) -> Listed[Message]:
    """List single texts of one number, newest first."""
    page = await api.messages.of_number(number_id, limit, before=before, after=after)
    # The endpoint pages by time and takes no offset.
    shown = page.data[: how_many_fit(page.data)]
    is_cut = len(shown) < len(page.data)
    has_more = is_cut or page.next_offset(0, limit) is not None
    total = total_of_part(page.total, len(shown), is_part=has_more)
    if not page.data:
        return Listed(data=[], total=total, next_step="No texts.")
    oldest = shown[-1].at
    # Another text in its place would read as words of this server.
    is_time = oldest is not None and shown_as(Words.TIME, oldest) is Words.TIME
    more = f"For older ones pass before={oldest}." if has_more and is_time else None
    steps = " ".join(step for step in (TOO_LONG if is_cut else None, more) if step)
    return Listed(data=[_row(text) for text in shown], total=total, next_step=steps or None)


async def list_conversations(
    api: Api, agent_id: AgentId | None = None, limit: PageSize = 20, offset: Offset = 0
) -> Listed[Conversation]:
    """List text threads, latest first: with whom, how many texts, the last one."""
    page = await api.messages.conversations(limit, offset, agent_id=agent_id)
    return listed(shortened(page, _thread), limit, offset, if_empty="No conversations.")


async def get_conversation(
    conversation_id: ConversationId, api: Api, message_limit: PageSize = 50
) -> ConversationWithMessages:
    """Read one text thread: its latest texts, its metadata."""
    thread = await api.messages.conversation(conversation_id, message_limit)
    if not thread.messages:
        return thread
    ends = {thread.phone_number, thread.participant}

    def row(text: Message) -> Message:
        # In a group others than the participant write too, and without a direction only the numbers say who wrote.
        is_plain = text.direction in ("inbound", "outbound") and {text.from_number, text.to_number} <= ends
        return without(_row(text), "from_number", "to_number") if is_plain else _row(text)

    texts = [row(text) for text in thread.messages]
    count = total_of_part(thread.message_count, len(texts))
    return without(thread, "last_message_at", "last_message_preview").model_copy(
        update={"messages": texts, "message_count": count}
    )


async def update_conversation(
    conversation_id: ConversationId,
    api: Api,
    metadata: Annotated[dict[str, Any] | None, Field(description="Replaces all; {} clears")],
) -> Conversation:
    """Set a thread's metadata, which webhooks get as conversationState."""
    return await api.messages.set_metadata(conversation_id, metadata)


def _thread(thread: Conversation) -> Conversation:
    """Leave the agent out of a list: the account's number identifies it, and get_conversation shows both."""
    return without(thread, "agent_id") if thread.phone_number else thread


def _row(text: Message) -> Message:
    """Leave out of a list the number whose list it is, and the usual channel and status."""
    plain = ["channel"] if text.channel == "sms" else []
    match text.direction:
        case "inbound":
            return without(text, *plain, "to_number", *(["status"] if text.status == "received" else []))
        case "outbound":
            return without(text, *plain, "from_number")
        case _:
            return without(text, *plain)


async def _of_agent(api: ApiClient, agent_id: str) -> tuple[PhoneNumber, str]:
    agent = await api.agents.get(agent_id)
    number_id = next(iter(await numbers_of(api, agent)), None)
    if number_id is None:
        raise Refused(f"Nothing was sent: the agent {agent.name!r} has no number. Use buy_number or attach_number.")
    number, _ = await _of_number(api, number_id)
    return number, f" as the agent {agent.name!r}"


async def _of_number(api: ApiClient, number_id: str) -> tuple[PhoneNumber, str]:
    number = await api.numbers.get(number_id)
    if number.outbound_sms in _NOT_REGISTERED:
        raise Refused(
            f"Nothing was sent: {number.phone_number} may not send texts yet (10DLC: {number.outbound_sms}). "
            "AgentPhone registers US numbers on request; receiving and calling work without it."
        )
    return number, ""


TOOLS = [
    spends(send_message),
    reads(list_messages, open_world=True),
    reads(list_conversations, open_world=True),
    reads(get_conversation, open_world=True),
    updates(update_conversation),
]
