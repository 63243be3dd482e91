"""Build the events for the account's webhooks: texts, turns of voice calls, beginnings and ends of calls."""

from typing import Any

from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.models import Account, Call, Conversation, Message
from agentphone_mcp.sandbox.http.api_versions import ApiVersion, call_status
from agentphone_mcp.sandbox.responses import Json, stamp, stamp_or_null
from agentphone_mcp.sandbox.webhooks.deliveries import WebhookDispatcher

_POSITIVE = ("thank you", "perfect", "sounds fine", "works for me")
_NEGATIVE = ("not interested", "don't call me", "can't hear anybody", "fine, be like that", "stop, stop")


class WebhookEvents:
    """Build each event as API.md has it ("Webhooks that AgentPhone sends") and pass it to the dispatcher.

    `call.started` is sent when an inbound call is answered, `call.ended` and `agent.call_ended` even if it was not.
    """

    def __init__(self, account: Account, clock: Clock, dispatcher: WebhookDispatcher, api_version: ApiVersion) -> None:
        self._api_version: ApiVersion = api_version
        self._account = account
        self._clock = clock
        self._dispatcher = dispatcher

    def call_started(self, call: Call) -> None:
        """Send that an inbound call was answered."""
        if call.direction == "inbound":
            self._send(call, "call.started", _call_data(call, self._api_version))

    def call_ended(self, call: Call) -> None:
        """Send that a call is over."""
        ended = {
            **_call_data(call, self._api_version),
            "durationSeconds": call.seconds,
            "endedAt": stamp_or_null(call.ended_at),
            "transferredTo": call.transferred_to,
            "transcript": [{"role": turn.role, "content": turn.content} for turn in call.turns],
        }
        self._send(call, "call.ended", ended)
        self._send(call, "agent.call_ended", {**ended, **_analysis(call)})

    def voice_turn(self, call: Call, heard: str, context_limit: int) -> Json:
        """Build the agent.message of a voice call: what the other party just said, and the history."""
        earlier = [*call.turns]
        if earlier and earlier[-1].content == heard:
            earlier.pop()
        turns = [
            _past(turn.content, "inbound" if turn.role == "user" else "outbound", "voice", stamp(turn.at))
            for turn in earlier
        ]
        conversation = self._conversation(call)
        texts = [message for message in conversation.messages if message.at <= call.started_at] if conversation else []
        data = {**_call_data(call, self._api_version), "transcript": heard}
        history = _last([*map(_past_text, texts), *turns], context_limit)
        return self._event("agent.message", "voice", call.agent_id, data, conversation, history)

    def message_received(self, conversation: Conversation, message: Message) -> None:
        """Send that a text came in and, if the number has an agent, ask the agent for an answer."""
        self._send_text("message.received", conversation, message)
        if self._agent_id(message):
            self._send_text("agent.message", conversation, message)

    def message_sent(self, conversation: Conversation, message: Message) -> None:
        """Send that a text went out."""
        self._send_text("message.sent", conversation, message)

    def _send_text(self, event: str, conversation: Conversation, message: Message) -> None:
        agent_id = self._agent_id(message)
        endpoint = self._dispatcher.endpoint(agent_id)
        if endpoint is None:
            return
        data: Json = {
            "messageId": message.id,
            "conversationId": conversation.id,
            "numberId": message.number_id,
            "from": message.from_number,
            "to": message.to_number,
            # Handlers of the older API read either.
            "message": message.body,
            "body": message.body,
            "mediaUrl": message.media_urls[0] if message.media_urls else None,
            "mediaUrls": message.media_urls,
            "direction": message.direction,
            "receivedAt": stamp(message.at),
        }
        before = conversation.messages[: conversation.messages.index(message)]
        history = _last([_past_text(earlier) for earlier in before], endpoint.webhook.context_limit)
        self._dispatcher.send(self._event(event, "sms", agent_id, data, conversation, history), message.id)

    def _agent_id(self, message: Message) -> str | None:
        """Return the agent that has the number now; a conversation may have begun under another."""
        number = self._account.numbers.get(message.number_id)
        return number.agent_id if number else None

    def _send(self, call: Call, event: str, data: Json) -> None:
        self._dispatcher.send(self._event(event, "voice", call.agent_id, data, self._conversation(call), []))

    def _event(
        self, event: str, channel: str, agent: str | None, data: Json, texts: Conversation | None, history: list[Json]
    ) -> Json:
        return {
            "event": event,
            "channel": channel,
            "timestamp": stamp(self._clock.now()),
            "agentId": agent,
            "data": data,
            "recentHistory": history,
            "conversationState": texts.metadata if texts else None,
        }

    def _conversation(self, call: Call) -> Conversation | None:
        """Find the texts between the two parties of the call."""
        other = call.from_number if call.direction == "inbound" else call.to_number
        for conversation in self._account.conversations.values():
            if (conversation.number_id, conversation.participant) == (call.number_id, other):
                return conversation
        return None


def _call_data(call: Call, api_version: ApiVersion) -> Json:
    return {
        "callId": call.id,
        "numberId": call.number_id,
        "from": call.from_number,
        "to": call.to_number,
        "direction": call.direction,
        "status": call_status(call.status, api_version),
        "startedAt": stamp(call.started_at),
    }


def _analysis(call: Call) -> dict[str, Any]:
    """Return a summary and a sentiment, judged by key words, if anything was said."""
    heard = " ".join(turn.content for turn in call.turns if turn.role == "user").lower()
    if not heard:
        return {}
    sentiment = "Neutral"
    if any(word in heard for word in _NEGATIVE):
        sentiment = "Negative"
    elif any(word in heard for word in _POSITIVE):
        sentiment = "Positive"
    summary = f"The call ended {call.status} after {len(call.turns)} turns in {call.seconds} s."
    return {"summary": summary, "userSentiment": sentiment}


def _past_text(message: Message) -> Json:
    return _past(message.body, message.direction, "sms", stamp(message.at))


def _past(content: str, direction: str, channel: str, at: str) -> Json:
    return {"content": content, "direction": direction, "channel": channel, "at": at}


def _last(history: list[Json], limit: int) -> list[Json]:
    return history[-limit:] if limit else []
