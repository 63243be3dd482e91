"""The account as the sandbox holds it: plain data, nothing of HTTP."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agentphone_mcp.sandbox.data.billing import Balance
from agentphone_mcp.sandbox.data.ids import Ids

CallStatus = Literal["ringing", "in-progress", "completed", "failed", "busy", "no-answer"]
Direction = Literal["inbound", "outbound", "web"]
Role = Literal["agent", "user"]
DeliveryStatus = Literal["pending", "success", "failed"]


@dataclass
class Webhook:
    """Where events go; of the project, or of one agent."""

    id: str
    url: str
    secret: str
    context_limit: int
    timeout: int
    created_at: datetime


@dataclass
class Delivery:
    """One event sent to a webhook; `agent_id` is set when it went to an agent's own webhook.

    Its id is the X-Webhook-ID of every attempt. It stays pending, with `next_retry_at`, until it is taken or given up;
    its `payload` is kept that long. Tests and turns of voice calls have one attempt only.
    """

    id: str
    agent_id: str | None
    event: str
    channel: str
    created_at: datetime
    payload: dict[str, Any]
    status: DeliveryStatus = "pending"
    status_code: int | None = None
    response_body: str | None = None
    response_ms: int = 0
    error: str | None = None
    attempts: int = 0
    last_attempt_at: datetime | None = None
    next_retry_at: datetime | None = None
    delivered_at: datetime | None = None
    message_id: str | None = None
    is_last_attempt: bool = False

    @property
    def success(self) -> bool:
        """Whether the webhook took it."""
        return self.status == "success"


@dataclass
class Agent:
    """An AI persona. `settings` holds what POST and PATCH may set, under the API's own names."""

    id: str
    settings: dict[str, Any]
    created_at: datetime
    webhook: Webhook | None = None

    @property
    def name(self) -> str:
        """The name a person gave it."""
        return self.settings["name"]

    @property
    def denoises(self) -> bool:
        """Whether its calls have the aggressive denoising, which costs more."""
        return self.settings["denoisingMode"] == "noise-and-background-speech-cancellation"


@dataclass
class Number:
    """A phone number of the account, attached to at most one agent."""

    id: str
    phone_number: str
    country: str
    outbound_sms: str
    created_at: datetime
    agent_id: str | None = None
    attached_at: datetime | None = None
    external_id: str | None = None
    expires_at: datetime | None = None
    registered_at: datetime | None = None

    def attach(self, agent_id: str | None, at: datetime) -> None:
        """Give the number to an agent, or to nobody."""
        self.agent_id = agent_id
        self.attached_at = at


@dataclass
class Turn:
    """What one party said, once; `is_interrupted` when the other interrupted."""

    id: str
    role: Role
    content: str
    at: datetime
    confidence: float = 0.95
    is_interrupted: bool = False


@dataclass
class Call:
    """A call and what was said in it. `mode` decides who speaks for the agent, and the rate."""

    id: str
    agent_id: str
    number_id: str | None
    phone_number: str | None
    from_number: str
    to_number: str
    direction: Direction
    mode: Literal["webhook", "hosted"]
    started_at: datetime
    status: CallStatus = "ringing"
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    greeting: str | None = None
    prompt: str = ""
    voicemail_message: str | None = None
    transfer_number: str | None = None
    metadata: dict[str, Any] | None = None
    records: bool = True
    is_denoised: bool = False
    transferred_to: str | None = None
    turns: list[Turn] = field(default_factory=list[Turn])

    @property
    def tariff(self) -> str:
        """What the call is billed as."""
        return f"{self.mode}+denoising" if self.is_denoised else self.mode

    @property
    def is_live(self) -> bool:
        """Whether somebody could still hang up."""
        return self.ended_at is None

    @property
    def seconds(self) -> int | None:
        """Whole seconds between answer and end; 0 if nobody answered, None before the end."""
        if self.ended_at is None:
            return None
        return 0 if self.answered_at is None else round((self.ended_at - self.answered_at).total_seconds())

    @property
    def has_recording(self) -> bool:
        """Whether there is audio to fetch."""
        return self.records and not self.is_live and self.answered_at is not None


@dataclass
class Message:
    """One text."""

    id: str
    conversation_id: str
    number_id: str
    from_number: str
    to_number: str
    body: str
    direction: Literal["inbound", "outbound"]
    status: str
    at: datetime
    media_urls: list[str] = field(default_factory=list[str])
    reply_to: str | None = None


@dataclass
class Conversation:
    """The thread between one number of the account and one other."""

    id: str
    agent_id: str | None
    number_id: str
    phone_number: str
    participant: str
    created_at: datetime
    metadata: dict[str, Any] | None = None
    messages: list[Message] = field(default_factory=list[Message])


@dataclass
class Contact:
    """A person in the address book."""

    id: str
    phone_number: str
    name: str
    email: str | None
    notes: str | None
    created_at: datetime
    updated_at: datetime


@dataclass
class SignUp:
    """Somebody who wants an account: the code that was mailed, and the agent that came of it once it was verified."""

    id: str
    email: str
    agent_name: str
    code: str
    created_at: datetime
    expires_at: datetime
    tries_left: int
    agent_id: str | None = None


@dataclass
class Account:
    """Everything the key gives access to. Dicts are keyed by id and keep the order of creation.

    `released` holds the phone numbers given back, which nobody gets a second time.
    """

    ids: Ids = field(default_factory=Ids)
    balance: Balance = field(default_factory=Balance)
    webhook: Webhook | None = None
    agents: dict[str, Agent] = field(default_factory=dict[str, Agent])
    numbers: dict[str, Number] = field(default_factory=dict[str, Number])
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    released: set[str] = field(default_factory=set[str])
    conversations: dict[str, Conversation] = field(default_factory=dict[str, Conversation])
    contacts: dict[str, Contact] = field(default_factory=dict[str, Contact])
    deliveries: list[Delivery] = field(default_factory=list[Delivery])
    sign_ups: dict[str, SignUp] = field(default_factory=dict[str, SignUp])

    @property
    def messages(self) -> list[Message]:
        """Every text of every conversation."""
        return [message for conversation in self.conversations.values() for message in conversation.messages]
