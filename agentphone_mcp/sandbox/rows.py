"""Flatten the account's objects into rows, for the event stream, the terminal and the web page."""

import json
from decimal import Decimal

from agentphone_mcp.sandbox.data import models
from agentphone_mcp.sandbox.responses import Json, stamp, stamp_or_null

_LONGEST = 4_000
_OF_THE_PAGE = ("/__sandbox/view", "/__sandbox/events", "/__sandbox/page/")


def is_from_a_client(path: str) -> bool:
    """Tell whether a client sent the request, rather than the web page itself."""
    return path not in ("/", "/favicon.ico") and not path.startswith(_OF_THE_PAGE)


def request(logged: models.RecordedRequest) -> Json:
    """Show a request; one whose connection was dropped has no status."""
    query = "&".join(f"{name}={value}" for name, value in logged.query.items())
    body = logged.body if isinstance(logged.body, str) else json.dumps(logged.body, ensure_ascii=False, indent=1)
    return {
        "at": stamp(logged.at),
        "method": logged.method,
        "path": _truncate(f"{logged.path}?{query}" if query else logged.path),
        "body": None if logged.body is None else _truncate(body),
        "status": logged.status or None,
    }


def call(item: models.Call) -> Json:
    """Show a call without its turns."""
    return {
        "id": item.id,
        "at": stamp(item.ended_at or item.answered_at or item.started_at),
        "agentId": item.agent_id,
        "from": item.from_number,
        "to": item.to_number,
        "direction": item.direction,
        "mode": item.mode,
        "status": item.status,
        "isLive": item.is_live,
        "startedAt": stamp(item.started_at),
        "endedAt": stamp_or_null(item.ended_at),
        "seconds": item.seconds,
    }


def turn(item: models.Turn) -> Json:
    """Show one turn of a call."""
    return {"id": item.id, "at": stamp(item.at), "role": item.role, "content": _truncate(item.content)}


def message(item: models.Message) -> Json:
    """Show a text message."""
    return {
        "id": item.id,
        "at": stamp(item.at),
        "direction": item.direction,
        "from": item.from_number,
        "to": item.to_number,
        "body": _truncate(item.body),
        "mediaUrls": item.media_urls[:10],
        "status": item.status,
    }


def conversation(item: models.Conversation) -> Json:
    """Show a conversation without its texts."""
    return {"id": item.id, "agentId": item.agent_id, "number": item.phone_number, "participant": item.participant}


def delivery(item: models.Delivery) -> Json:
    """Show the delivery of one event to a webhook."""
    return {
        "id": item.id,
        "at": stamp(item.created_at),
        "agentId": item.agent_id,
        "event": item.event,
        "channel": item.channel,
        "success": item.success,
        "attempts": item.attempts,
        "nextRetryAt": stamp_or_null(item.next_retry_at),
        "statusCode": item.status_code,
        "milliseconds": item.response_ms,
        "error": item.error,
        "answer": item.response_body and _truncate(item.response_body),
    }


def mail(item: models.SignUp) -> Json:
    """Show the mail with the code for a sign-up."""
    return {
        "id": item.id,
        "at": stamp(item.created_at),
        "to": item.email,
        "body": f"Your AgentPhone verification code is {item.code}.",
    }


def webhook(item: models.Webhook | None) -> Json | None:
    """Show a webhook's URL and the last four characters of its secret."""
    return item and {"url": _truncate(item.url), "secret": f"…{item.secret[-4:]}"}


def dollars(amount: Decimal | None) -> str:
    """Format an amount in dollars and cents."""
    return f"${amount or 0:.2f}".replace("$-", "-$")


def _truncate(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
