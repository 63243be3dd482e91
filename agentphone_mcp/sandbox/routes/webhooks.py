"""Manage and test the webhooks of the project and of agents, and list their deliveries."""

import secrets
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data.models import Account, Agent, Delivery, Webhook
from agentphone_mcp.sandbox.http.validation import Field, integer, paging, read_body, read_query, webhook_url
from agentphone_mcp.sandbox.responses import Json, RefusalError, ok, page, stamp, stamp_or_null

_WEBHOOK_FIELDS = {
    "url": Field(webhook_url, required=True),
    "contextLimit": Field(integer(0, 50)),
    "timeout": Field(integer(5, 120)),
}
_HOURS = integer(1, 24 * 90)


def _webhook_json(webhook: Webhook) -> Json:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "secret": webhook.secret,
        "status": "active",
        "contextLimit": webhook.context_limit,
        "timeout": webhook.timeout,
        "createdAt": stamp(webhook.created_at),
    }


def _delivery_json(delivery: Delivery) -> Json:
    event, status_code = delivery.event, delivery.status_code
    return {
        "id": delivery.id,
        "messageId": delivery.message_id,
        "eventType": event,
        "event": event,
        "channel": delivery.channel,
        "status": delivery.status,
        "success": delivery.success,
        "httpStatus": status_code,
        "statusCode": status_code,
        "errorMessage": delivery.error,
        "responseBody": delivery.response_body,
        "attemptCount": delivery.attempts,
        "lastAttemptAt": stamp_or_null(delivery.last_attempt_at),
        "nextRetryAt": stamp_or_null(delivery.next_retry_at),
        "createdAt": stamp(delivery.created_at),
        "deliveredAt": stamp_or_null(delivery.delivered_at),
    }


def _owner(request: Request) -> tuple[SandboxContext, Account | Agent, str | None]:
    """Find the owner of the webhook by the path: the project, or an agent."""
    context = context_of(request)
    agent_id = request.path_params.get("agent_id")
    return context, context.agent(agent_id) if agent_id else context.account, agent_id


def _webhook_of(owner: Account | Agent) -> Webhook:
    if owner.webhook is None:
        raise RefusalError(404, "No webhook configured.", "WEBHOOK_NOT_FOUND")
    return owner.webhook


async def get_webhook(request: Request) -> Response:
    """GET: show the webhook, or null if none is set."""
    _, owner, _ = _owner(request)
    return ok(_webhook_json(owner.webhook) if owner.webhook else None)


async def set_webhook(request: Request) -> Response:
    """POST: create or replace the webhook, with a new secret."""
    context, owner, _ = _owner(request)
    body = await read_body(request, _WEBHOOK_FIELDS)
    context_limit, timeout = body.get("contextLimit"), body.get("timeout")
    owner.webhook = Webhook(
        id=context.account.ids.new("wh"),
        url=body["url"],
        secret=f"whsec_{secrets.token_hex(24)}",
        context_limit=10 if context_limit is None else context_limit,
        timeout=30 if timeout is None else timeout,
        created_at=context.clock.now(),
    )
    return ok(_webhook_json(owner.webhook))


async def delete_webhook(request: Request) -> Response:
    """DELETE: remove the webhook; an agent's events then go to the project's."""
    _, owner, _ = _owner(request)
    deleted = _webhook_of(owner)
    owner.webhook = None
    return ok({"success": True, "id": deleted.id})


async def test_webhook(request: Request) -> Response:
    """POST …/test: send one synthetic event, now."""
    context, owner, agent_id = _owner(request)
    text = "This is a test of your webhook."
    event: Json = {
        "event": "agent.message",
        "channel": "sms",
        "timestamp": stamp(context.clock.now()),
        "agentId": agent_id,
        "data": {"from": "+14155550142", "to": "+14155550100", "message": text, "body": text},
        "recentHistory": [],
        "conversationState": None,
        "test": True,
    }
    delivery = await context.dispatcher.deliver(_webhook_of(owner), agent_id, event)
    return ok(
        {
            "success": delivery.success,
            "statusCode": delivery.status_code,
            "responseMs": delivery.response_ms,
            "error": delivery.error,
        }
    )


def _since(context: SandboxContext, hours: int | None) -> list[Delivery]:
    """Return the deliveries of the last hours, newest first."""
    if hours is None:
        return context.account.deliveries[::-1]
    start = context.clock.now() - timedelta(hours=hours)
    return [delivery for delivery in context.account.deliveries[::-1] if delivery.created_at >= start]


async def list_deliveries(request: Request) -> Response:
    """GET /v1/webhooks/deliveries, of the project's and all agents' webhooks."""
    context = context_of(request)
    query = read_query(request, {**paging(10), "hours": Field(_HOURS)})
    deliveries = page(_since(context, query["hours"]), query, _delivery_json)
    return ok({**deliveries, "items": deliveries["data"], "offset": query["offset"], "limit": query["limit"]})


async def list_agent_deliveries(request: Request) -> Response:
    """GET /v1/agents/{id}/webhook/deliveries: a bare list, as the vendor's Python client reads it."""
    context, _, agent_id = _owner(request)
    query = read_query(request, {**paging(10), "hours": Field(_HOURS)})
    deliveries = [delivery for delivery in _since(context, query["hours"]) if delivery.agent_id == agent_id]
    return ok(page(deliveries, query, _delivery_json)["data"])


async def delivery_stats(request: Request) -> Response:
    """GET …/deliveries/stats, of all webhooks or of one agent's; `successRate` is in percent."""
    context, _, agent_id = _owner(request)
    query = read_query(request, {"hours": Field(_HOURS, default=24)})
    deliveries = [each for each in _since(context, query["hours"]) if agent_id in (None, each.agent_id)]
    by_event: dict[str, list[Delivery]] = {}
    by_hour: dict[str, list[Delivery]] = {}
    for delivery in reversed(deliveries):
        by_event.setdefault(delivery.event, []).append(delivery)
        by_hour.setdefault(stamp(delivery.created_at.replace(minute=0, second=0, microsecond=0)), []).append(delivery)
    counts = _counts(deliveries)
    rate = 100 * counts["success"] / counts["total"] if deliveries else 0
    return ok(
        {
            **counts,
            "successRate": round(rate, 2),
            "byEventType": {event: _counts(some) for event, some in by_event.items()},
            "byHour": [{"hour": hour, **_counts(some)} for hour, some in by_hour.items()],
        }
    )


def _counts(deliveries: Iterable[Delivery]) -> dict[str, int]:
    counted = Counter(delivery.status for delivery in deliveries)
    return {"total": counted.total(), **{status: counted[status] for status in ("success", "failed", "pending")}}


routes = [
    Route("/v1/webhooks", get_webhook, methods=["GET"]),
    Route("/v1/webhooks", set_webhook, methods=["POST"]),
    Route("/v1/webhooks", delete_webhook, methods=["DELETE"]),
    Route("/v1/webhooks/test", test_webhook, methods=["POST"]),
    Route("/v1/webhooks/deliveries", list_deliveries, methods=["GET"]),
    Route("/v1/webhooks/deliveries/stats", delivery_stats, methods=["GET"]),
    Route("/v1/agents/{agent_id}/webhook", get_webhook, methods=["GET"]),
    Route("/v1/agents/{agent_id}/webhook", set_webhook, methods=["POST"]),
    Route("/v1/agents/{agent_id}/webhook", delete_webhook, methods=["DELETE"]),
    Route("/v1/agents/{agent_id}/webhook/test", test_webhook, methods=["POST"]),
    Route("/v1/agents/{agent_id}/webhook/deliveries", list_agent_deliveries, methods=["GET"]),
    Route("/v1/agents/{agent_id}/webhook/deliveries/stats", delivery_stats, methods=["GET"]),
]
