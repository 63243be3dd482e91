"""Give request handlers the account, the clock, the call simulator, and look-ups that answer 404."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

from starlette.requests import Request

from agentphone_mcp.sandbox.calls.simulator import CallSimulator
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.models import Account, Agent, Call, Contact, Conversation, Number
from agentphone_mcp.sandbox.event_stream import EventStream
from agentphone_mcp.sandbox.http.api_versions import ApiVersion
from agentphone_mcp.sandbox.responses import RefusalError
from agentphone_mcp.sandbox.webhooks.deliveries import WebhookDispatcher
from agentphone_mcp.sandbox.webhooks.events import WebhookEvents

T = TypeVar("T")
REGISTRATION_TAKES = timedelta(minutes=1)


@dataclass
class SandboxContext:
    """Hold one sandbox's account and everything that acts on it. `heartbeat` is in real seconds."""

    account: Account
    clock: Clock
    simulator: CallSimulator
    dispatcher: WebhookDispatcher
    webhook_events: WebhookEvents
    event_stream: EventStream
    api_version: ApiVersion
    heartbeat: float = 15.0

    def agent(self, agent_id: str) -> Agent:
        """Return the agent with that id, or answer 404."""
        return _get_or_404(self.account.agents, agent_id, "Agent", "AGENT_NOT_FOUND")

    def number(self, number_id: str) -> Number:
        """Return the number with that id, or answer 404, as for released and expired ones."""
        self.release_expired()
        return _get_or_404(self.account.numbers, number_id, "Phone number", "PHONE_NUMBER_NOT_FOUND")

    def number_at(self, phone_number: str) -> Number:
        """Return the account's number with that phone number in E.164, or answer 404."""
        self.release_expired()
        for number in self.account.numbers.values():
            if number.phone_number == phone_number:
                return number
        raise RefusalError(404, f"Phone number '{phone_number}' not found.", "PHONE_NUMBER_NOT_FOUND")

    def call(self, call_id: str) -> Call:
        """Return the call with that id, or answer 404."""
        return _get_or_404(self.account.calls, call_id, "Call", "CALL_NOT_FOUND")

    def conversation(self, conversation_id: str) -> Conversation:
        """Return the conversation with that id, or answer 404."""
        return _get_or_404(self.account.conversations, conversation_id, "Conversation", "CONVERSATION_NOT_FOUND")

    def contact(self, contact_id: str) -> Contact:
        """Return the contact with that id, or answer 404."""
        return _get_or_404(self.account.contacts, contact_id, "Contact", "CONTACT_NOT_FOUND")

    def numbers_of(self, agent_id: str) -> list[Number]:
        """Return an agent's numbers in the order of attachment; the first is its caller ID."""
        self.release_expired()
        attached = [number for number in self.account.numbers.values() if number.agent_id == agent_id]
        return sorted(attached, key=lambda number: number.attached_at or number.created_at)

    def release_expired(self) -> None:
        """Release the numbers whose `expiresAt` has passed, and enable texts on those now registered."""
        now = self.clock.now()
        for number in list(self.account.numbers.values()):
            if number.registered_at and now - number.registered_at >= REGISTRATION_TAKES:
                number.outbound_sms = "enabled"
            if number.expires_at and number.expires_at <= now:
                self.release(number)

    def release(self, number: Number) -> None:
        """Return a number to the carriers; it can never be bought again."""
        del self.account.numbers[number.id]
        self.account.released.add(number.phone_number)


def context_of(request: Request) -> SandboxContext:
    """Return the context of the sandbox that got the request."""
    return cast(SandboxContext, request.app.state.context)


def _get_or_404(things: Mapping[str, T], thing_id: str, kind: str, code: str) -> T:
    if thing_id not in things:
        raise RefusalError(404, f"{kind} '{thing_id}' not found.", code)
    return things[thing_id]
