"""The account's things as one flat row each, for the event stream, the terminal and the web page."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from agentphone_mcp.sandbox.data.models import Call, Conversation, Delivery, Message, SignUp, Turn, Webhook
from agentphone_mcp.sandbox.responses import Json, stamp, stamp_or_null

_LONGEST = 4_000
_OF_THE_PAGE = ("/__sandbox/view", "/__sandbox/events", "/__sandbox/page/")


class Asked(Protocol):
    """A request of the log."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    at: datetime


def is_from_a_client(path: str) -> bool:
    """Whether a request is worth showing: those of the page itself would only show that somebody looks."""
    return path not in ("/", "/favicon.ico") and not path.startswith(_OF_THE_PAGE)


def request(asked: Asked) -> Json:
    """A request that was answered, or whose connection was dropped: that has no status."""
    query = "&".join(f"{name}={value}" for name, value in asked.query.items())
    body = asked.body if isinstance(asked.body, str) else json.dumps(asked.body, ensure_ascii=False, indent=1)
    return {
        "at": stamp(asked.at),
        "method": asked.method,
        "path": _cut(f"{asked.path}?{query}" if query else asked.path),
        "body": None if asked.body is None else _cut(body),
        "status": asked.status or None,
    }


def call(one: Call) -> Json:
    """A call without its turns."""
    return {
        "id": one.id,
        "at": stamp(one.ended_at or one.answered_at or one.started_at),
        "agentId": one.agent_id,
        "from": one.from_number,
        "to": one.to_number,
        "direction": one.direction,
        "mode": one.mode,
        "status": one.status,
        "isLive": one.is_live,
        "startedAt": stamp(one.started_at),
        "endedAt": stamp_or_null(one.ended_at),
        "seconds": one.seconds,
    }


def turn(one: Turn) -> Json:
    """What was said."""
    return {"id": one.id, "at": stamp(one.at), "role": one.role, "content": _cut(one.content)}


def message(one: Message) -> Json:
    """A text."""
    return {
        "id": one.id,
        "at": stamp(one.at),
        "direction": one.direction,
        "from": one.from_number,
        "to": one.to_number,
        "body": _cut(one.body),
        "mediaUrls": one.media_urls[:10],
        "status": one.status,
    }


def conversation(one: Conversation) -> Json:
    """A conversation without its texts."""
    return {"id": one.id, "agentId": one.agent_id, "number": one.phone_number, "participant": one.participant}


def delivery(one: Delivery) -> Json:
    """One event on its way to a webhook."""
    return {
        "id": one.id,
        "at": stamp(one.created_at),
        "agentId": one.agent_id,
        "event": one.event,
        "channel": one.channel,
        "success": one.success,
        "attempts": one.attempts,
        "nextRetryAt": stamp_or_null(one.next_retry_at),
        "statusCode": one.status_code,
        "milliseconds": one.response_ms,
        "error": one.error,
        "answer": one.response_body and _cut(one.response_body),
    }


def mail(one: SignUp) -> Json:
    """What is mailed to somebody who signs up."""
    return {
        "id": one.id,
        "at": stamp(one.created_at),
        "to": one.email,
        "body": f"Your AgentPhone verification code is {one.code}.",
    }


def webhook(one: Webhook | None) -> Json | None:
    """Where events go, with no more of the secret than tells it from another."""
    return one and {"url": _cut(one.url), "secret": f"…{one.secret[-4:]}"}


def dollars(amount: Decimal | None) -> str:
    """In dollars and cents."""
    return f"${amount or 0:.2f}".replace("$-", "-$")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
