"""Model the account, and the log of its requests, as plain data."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agentphone_mcp.sandbox.data.billing import Balance

CallStatus = Literal["ringing", "in-progress", "completed", "failed", "busy", "no-answer"]
Direction = Literal["inbound", "outbound", "web"]
Role = Literal["agent", "user"]
DeliveryStatus = Literal["pending", "success", "failed"]

_SPREAD = 0x9E3779B97F
_SPACE = 1 << 40


@dataclass
class Webhook:
    """Describe where events go, for the project or for one agent."""

    id: str
    url: str
    secret: str
    context_limit: int
    timeout: int
    created_at: datetime


@dataclass
class Delivery:
    """Record the delivery of one event; `agent_id` is set if it goes to an agent's own webhook.

    Its id is the X-Webhook-ID of every attempt. It is pending, with `next_retry_at` and `payload`, until it succeeds
    or the attempts are used up. Tests and turns of voice calls have one attempt only.
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
        """Tell whether the webhook accepted the event."""
        return self.status == "success"


@dataclass
class Agent:
    """Describe an AI persona. `settings` holds what POST and PATCH may set, under the API's own names."""

    id: str
    settings: dict[str, Any]
    created_at: datetime
    webhook: Webhook | None = None

    @property
    def name(self) -> str:
        """Return the display name."""
        return self.settings["name"]

    @property
    def denoises(self) -> bool:
        """Tell whether its calls have the aggressive denoising, which costs more."""
        return self.settings["denoisingMode"] == "noise-and-background-speech-cancellation"


@dataclass
class Number:
    """Describe a phone number of the account, attached to at most one agent."""

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
        """Attach the number to an agent, or with None to no agent."""
        self.agent_id = agent_id
        self.attached_at = at


@dataclass
class Turn:
    """Record what one party said, and whether the other interrupted."""

    id: str
    role: Role
    content: str
    at: datetime
    confidence: float = 0.95
    is_interrupted: bool = False


@dataclass
class Call:
    """Record a call and its turns. `mode` decides what speaks for the agent, and the price."""

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
        """Return the price category, a key of `VOICE_PER_MINUTE`."""
        return f"{self.mode}+denoising" if self.is_denoised else self.mode

    @property
    def is_live(self) -> bool:
        """Tell whether the call has not ended."""
        return self.ended_at is None

    @property
    def seconds(self) -> int | None:
        """Whole seconds between answer and end; 0 if nobody answered, None before the end."""
        if self.ended_at is None:
            return None
        return 0 if self.answered_at is None else round((self.ended_at - self.answered_at).total_seconds())

    @property
    def has_recording(self) -> bool:
        """Tell whether there is audio to fetch."""
        return self.records and not self.is_live and self.answered_at is not None


@dataclass
class Message:
    """Record one text message."""

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
    """Hold the texts between one number of the account and one other number."""

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
    """Describe a person in the address book."""

    id: str
    phone_number: str
    name: str
    email: str | None
    notes: str | None
    created_at: datetime
    updated_at: datetime


@dataclass
class SignUp:
    """Record a sign-up: the mailed code, and the agent that was created once the code was verified."""

    id: str
    email: str
    agent_name: str
    code: str
    created_at: datetime
    expires_at: datetime
    tries_left: int
    agent_id: str | None = None


@dataclass
class Ids:
    """Generate ids such as `call_9e3779b97f`: they look random, never collide, and are the same in every run."""

    issued: int = 0

    def new(self, prefix: str) -> str:
        """Return the next id, with the prefix and underscore of its kind, e.g. `agt`."""
        self.issued += 1
        # An odd factor permutes the numbers below a power of two, so no two ids are alike.
        return f"{prefix}_{self.issued * _SPREAD % _SPACE:010x}"


@dataclass
class Account:
    """Hold everything that the key gives access to. Dicts are keyed by id, in order of creation.

    `released` holds the released phone numbers, which are never sold again.
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
        """Return all texts of all conversations."""
        return [message for conversation in self.conversations.values() for message in conversation.messages]


@dataclass
class RecordedRequest:
    """Record a request as it arrived. `at` is the sandbox's time, `size` the body's in bytes.

    `status` is 0 until the answer, `is_dropped` if there was none; `request_id` is the answer's `X-Request-Id`.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    authorized: bool
    at: datetime
    sub_account: str | None = None
    size: int = 0
    is_dropped: bool = False
    request_id: str = field(default_factory=lambda: f"req_{secrets.token_hex(8)}")
