"""Create the small account that a sandbox starts with."""

from datetime import datetime, timedelta
from typing import Literal

from agentphone_mcp.sandbox.data.models import Account, Agent, Call, Contact, Conversation, Message, Number, Role, Turn
from agentphone_mcp.sandbox.http.agent_settings import DEFAULTS

FRONT_DESK_NUMBER = "+14155550100"
ADA_NUMBER = "+14155550142"

_PAST_TURNS: tuple[tuple[Role, str], ...] = (
    ("agent", "Hello, this is the front desk of Lakeside Dental. How can I help you?"),
    ("user", "Hi, this is Ada Byron. I would like to move my appointment on Thursday."),
    ("agent", "Of course, Ada. Would Friday at ten in the morning suit you?"),
    ("user", "Friday at ten is perfect."),
    ("agent", "Then I have moved it to Friday at ten. Is there anything else?"),
    ("user", "No, that is all. Thank you, goodbye!"),
    ("agent", "Thank you for calling. Goodbye!"),
)

_PAST_TEXTS: tuple[tuple[Literal["inbound", "outbound"], str], ...] = (
    ("inbound", "Hi, what time is my appointment on Friday?"),
    ("outbound", "It is at 10:00 on Friday, Ada. See you then!"),
    ("inbound", "Sounds good, see you then!"),
)


def seeded_account(now: datetime) -> Account:
    """Create an account with two agents, a number, a contact, a past call and past texts."""
    # Times of the past have no fractions of a second, however long the start took.
    now = now.replace(microsecond=0)
    account = Account()
    _add_agents(account, now)
    _add_call(account, now - timedelta(days=2))
    _add_texts(account, now - timedelta(days=1))
    ada = Contact("con_ada", ADA_NUMBER, "Ada Byron", "ada@example.com", "Prefers mornings.", now, now)
    ada.created_at = ada.updated_at = now - timedelta(days=12)
    account.contacts[ada.id] = ada
    return account


def _add_agents(account: Account, now: datetime) -> None:
    desk = Agent(
        "agt_frontdesk",
        DEFAULTS
        | {
            "name": "Front Desk",
            "description": "Answers the phone of a dental practice.",
            "voiceMode": "hosted",
            "systemPrompt": "You are the front desk of Lakeside Dental. Help callers to make and move appointments.",
            "beginMessage": "Hello, this is the front desk of Lakeside Dental.",
            "voicemailMessage": "This is Lakeside Dental. Please call us back at your convenience.",
        },
        now - timedelta(days=14),
    )
    orders = Agent(
        "agt_orderline",
        DEFAULTS | {"name": "Order Line", "description": "Takes orders; a webhook decides what it says."},
        now - timedelta(days=13),
    )
    account.agents |= {desk.id: desk, orders.id: orders}
    number = Number("num_frontdesk", FRONT_DESK_NUMBER, "US", "enabled", now - timedelta(days=14), desk.id)
    account.numbers[number.id] = number


def _add_call(account: Account, at: datetime) -> None:
    call = Call(
        id="call_past01",
        agent_id="agt_frontdesk",
        number_id="num_frontdesk",
        phone_number=FRONT_DESK_NUMBER,
        from_number=ADA_NUMBER,
        to_number=FRONT_DESK_NUMBER,
        direction="inbound",
        mode="hosted",
        started_at=at,
        status="completed",
        answered_at=at + timedelta(seconds=2),
        ended_at=at + timedelta(seconds=44),
    )
    call.turns = [
        Turn(f"tr_past{index:02}", role, content, at + timedelta(seconds=6 * index))
        for index, (role, content) in enumerate(_PAST_TURNS, start=1)
    ]
    account.calls[call.id] = call


def _add_texts(account: Account, at: datetime) -> None:
    conversation = Conversation(
        "conv_past01", "agt_frontdesk", "num_frontdesk", FRONT_DESK_NUMBER, ADA_NUMBER, at, {"topic": "appointment"}
    )
    for index, (direction, body) in enumerate(_PAST_TEXTS, start=1):
        inbound = direction == "inbound"
        message = Message(
            id=f"msg_past{index:02}",
            conversation_id=conversation.id,
            number_id="num_frontdesk",
            from_number=ADA_NUMBER if inbound else FRONT_DESK_NUMBER,
            to_number=FRONT_DESK_NUMBER if inbound else ADA_NUMBER,
            body=body,
            direction=direction,
            status="received" if inbound else "sent",
            at=at + timedelta(minutes=index),
        )
        conversation.messages.append(message)
    account.conversations[conversation.id] = conversation
