"""Send and read texts and conversations: `/v1/messages`, `/v1/conversations`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from agentphone_mcp.api.models import ApiModel, ExactUtcTime, Page, UtcTime
from agentphone_mcp.api.provenance import IdText, NumberText, StrangersText, Words, WordsBy, WordText
from agentphone_mcp.api.transport import Endpoints


class SentMessage(ApiModel):
    """Confirms that the API accepted a text; `status` says how far it is, and queued is not delivered."""

    id: IdText
    status: WordText | None = None
    channel: WordText | None = None
    from_number: NumberText | None = None
    to_number: NumberText | None = None
    conversation_id: IdText | None = None


def _list_of_urls(urls: Any) -> Any:
    return [urls] if isinstance(urls, str) else urls or None


def _of_sender(text: "Message") -> Words:
    """Return whose words a text is: a stranger's unless it certainly went out from the account."""
    return Words.OURS if text.direction == "outbound" else Words.STRANGER


class Message(ApiModel):
    """Describes one text of a number or a conversation."""

    id: IdText
    direction: WordText | None = None
    from_number: Annotated[NumberText | None, Field(validation_alias=AliasChoices("fromNumber", "from", "from_"))] = (
        None
    )
    to_number: Annotated[NumberText | None, Field(validation_alias=AliasChoices("toNumber", "to"))] = None
    body: Annotated[str | None, Field(validation_alias=AliasChoices("body", "message")), WordsBy(_of_sender)] = None
    channel: WordText | None = None
    status: WordText | None = None
    media_urls: Annotated[
        list[str] | None,
        Field(validation_alias=AliasChoices("mediaUrls", "mediaUrl")),
        BeforeValidator(_list_of_urls),
        WordsBy(_of_sender),
    ] = None
    at: Annotated[ExactUtcTime, Field(validation_alias=AliasChoices("receivedAt", "createdAt"))] = None


class Conversation(ApiModel):
    """Describes the texts between one number of the account and one participant, both E.164."""

    id: IdText
    phone_number: NumberText | None = None
    participant: NumberText | None = None
    agent_id: IdText | None = None
    message_count: int | None = None
    last_message_at: UtcTime = None
    last_message_preview: StrangersText | None = None
    group_name: StrangersText | None = None
    metadata: Annotated[dict[str, Any] | None, Words.STRANGER] = None
    """Counts as a stranger's: webhooks write into it what callers and texters say."""


class ConversationWithMessages(Conversation):
    """Describes a conversation with its latest messages."""

    messages: list[Message] | None = None


class MessagesApi(Endpoints):
    """Calls `/v1/messages`, `/v1/conversations`, and the messages of a number."""

    async def send(
        self,
        to_number: str,
        body: str,
        *,
        agent_id: str | None = None,
        number_id: str | None = None,
        media_urls: Sequence[str] | None = None,
    ) -> SentMessage:
        """Send a text from an agent or a number; this endpoint takes snake_case.

        Raises:
            Forbidden: if a US number is not registered for 10DLC.
            OutcomeUnknown: also for the API's own `DELIVERY_UNCONFIRMED`.
        """
        sender = {"agent_id": agent_id, "number_id": number_id}
        fields = {**sender, "to_number": to_number, "body": body, "media_urls": media_urls}
        given = {name: value for name, value in fields.items() if value is not None}
        return await self._transport.post("/v1/messages", SentMessage, given)

    async def of_number(
        self, number_id: str, limit: int = 50, *, before: str | None = None, after: str | None = None
    ) -> Page[Message]:
        """Return the texts of one number; `before` and `after` are timestamps (ISO 8601)."""
        query = {"limit": limit, "before": before, "after": after}
        return await self._transport.get("/v1/numbers/{number_id}/messages", Page[Message], query, number_id=number_id)

    async def conversations(
        self, limit: int = 20, offset: int = 0, *, agent_id: str | None = None
    ) -> Page[Conversation]:
        """Return one page of conversations, latest first; of one agent where an id is given."""
        query = {"limit": limit, "offset": offset}
        if agent_id is not None:
            path = "/v1/agents/{agent_id}/conversations"
            return await self._transport.get(path, Page[Conversation], query, agent_id=agent_id)
        return await self._transport.get("/v1/conversations", Page[Conversation], query)

    async def conversation(self, conversation_id: str, message_limit: int = 50) -> ConversationWithMessages:
        """Return a conversation and up to `message_limit` (1 to 100) of its latest messages."""
        path = "/v1/conversations/{conversation_id}"
        # API.md and the vendor's newer client spell it differently.
        query = {"messageLimit": message_limit, "message_limit": message_limit}
        return await self._transport.get(path, ConversationWithMessages, query, conversation_id=conversation_id)

    async def set_metadata(self, conversation_id: str, metadata: Mapping[str, Any] | None) -> Conversation:
        """Replace the metadata of a conversation; None clears it. Webhooks get it as `conversationState`."""
        path = "/v1/conversations/{conversation_id}"
        return await self._transport.patch(path, Conversation, {"metadata": metadata}, conversation_id=conversation_id)
