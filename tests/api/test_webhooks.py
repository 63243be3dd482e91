"""Tests of `/v1/webhooks` and `/v1/agents/{id}/webhook`: what is sent, and every shape that is read."""

from typing import Any

import httpx
import pytest

from agentphone_mcp.api.errors import Forbidden
from tests.api.conftest import Ask, Read, Sent, SentBy, sends

URL = "https://your-server.com/webhook"

SEEDS = {"id": "wh_abc123", "url": URL, "secret": "whsec_...", "status": "active", "contextLimit": 10}
OLDER_DELIVERY = {
    "id": "del_1",
    "event": "agent.message",
    "success": False,
    "statusCode": 500,
    "deliveredAt": "2025-01-15T10:45:00.000Z",
}
NEWER_DELIVERY = {
    "id": "del_2",
    "messageId": None,
    "eventType": "agent.call_ended",
    "channel": "voice",
    "status": "pending",
    "httpStatus": None,
    "errorMessage": "timed out",
    "responseBody": None,
    "attemptCount": 2,
    "lastAttemptAt": "2025-01-15T10:45:00Z",
    "nextRetryAt": "2025-01-15T11:15:00Z",
    "createdAt": "2025-01-15T10:40:00Z",
}
LATEST = {"limit": "10", "offset": "0"}


@pytest.mark.parametrize(
    ("ask", "documented"),
    [
        sends(lambda api: api.webhooks.get(), "GET /v1/webhooks", id="get"),
        sends(lambda api: api.webhooks.get("a_1"), "GET /v1/agents/a_1/webhook", id="get-agents"),
        sends(lambda api: api.webhooks.set(URL), "POST /v1/webhooks", {"url": URL}, id="set"),
        sends(
            lambda api: api.webhooks.set(URL, "a_1", context_limit=0, answer_within=120),
            "POST /v1/agents/a_1/webhook",
            {"url": URL, "contextLimit": 0, "timeout": 120},
            id="set-agents",
        ),
        sends(lambda api: api.webhooks.delete(), "DELETE /v1/webhooks", id="delete"),
        sends(lambda api: api.webhooks.delete("a_1"), "DELETE /v1/agents/a_1/webhook", id="delete-agents"),
        sends(lambda api: api.webhooks.test(), "POST /v1/webhooks/test", id="test"),
        sends(lambda api: api.webhooks.test("a_1"), "POST /v1/agents/a_1/webhook/test", id="test-agents"),
        sends(lambda api: api.webhooks.deliveries(), "GET /v1/webhooks/deliveries", query=LATEST, id="deliveries"),
        sends(
            lambda api: api.webhooks.deliveries("a_1", limit=5, offset=5, hours=48),
            "GET /v1/agents/a_1/webhook/deliveries",
            query={"limit": "5", "offset": "5", "hours": "48"},
            id="deliveries-of-an-agent",
        ),
        sends(
            lambda api: api.webhooks.stats(hours=6),
            "GET /v1/webhooks/deliveries/stats",
            query={"hours": "6"},
            id="stats",
        ),
    ],
)
async def test_each_method_sends_what_the_api_documents(sent_by: SentBy, ask: Ask, documented: Sent) -> None:
    assert await sent_by(ask) == documented


async def test_the_seeds_webhook_is_read(read: Read) -> None:
    webhook = await read(SEEDS, lambda api: api.webhooks.set(URL))
    assert (webhook.id, webhook.url, webhook.secret, webhook.status, webhook.context_limit, webhook.timeout) == (
        "wh_abc123",
        URL,
        "whsec_...",
        "active",
        10,
        None,
    )


async def test_a_newer_webhook_is_read(read: Read) -> None:
    payload = {**SEEDS, "secret": None, "timeout": 30, "createdAt": "2025-01-15T10:00:00Z", "events": ["*"]}
    webhook = await read(payload, lambda api: api.webhooks.get("a_1"))
    assert (webhook.secret, webhook.timeout, webhook.created_at) == (None, 30, "2025-01-15T10:00:00Z")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(httpx.Response(200, content=b"null"), id="null"),
        pytest.param(httpx.Response(200, json={}), id="empty-object"),
        pytest.param(httpx.Response(404, json={"detail": "No webhook configured."}), id="not-found"),
        pytest.param(httpx.Response(204), id="no-body"),
    ],
)
@pytest.mark.parametrize("agent_id", [pytest.param(None, id="project"), pytest.param("a_1", id="agent")])
async def test_no_webhook_is_none(read: Read, answer: httpx.Response, agent_id: str | None) -> None:
    assert await read(lambda _: answer, lambda api: api.webhooks.get(agent_id)) is None


async def test_a_refusal_is_not_taken_for_no_webhook(read: Read) -> None:
    with pytest.raises(Forbidden):
        await read({"detail": "no"}, lambda api: api.webhooks.get(), status=403)


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        pytest.param(
            {"success": True, "statusCode": 200, "responseMs": 87, "error": None}, (True, 200, 87, None), id="answered"
        ),
        pytest.param(
            {"success": False, "statusCode": None, "responseMs": None, "error": "timed out"},
            (False, None, None, "timed out"),
            id="silent",
        ),
        pytest.param({"success": False, "statusCode": 500, "hint": "x"}, (False, 500, None, None), id="gaps"),
    ],
)
async def test_a_webhooks_test_is_read(read: Read, payload: Any, result: Any) -> None:
    test = await read(payload, lambda api: api.webhooks.test())
    assert (test.success, test.status_code, test.response_ms, test.error) == result


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda rows: rows, id="bare-list"),
        pytest.param(lambda rows: {"data": rows}, id="data"),
        pytest.param(lambda rows: {"items": rows, "total": 2, "offset": 0, "limit": 10}, id="items"),
        pytest.param(lambda rows: {"data": rows, "items": rows, "total": 2, "hasMore": False}, id="both"),
    ],
)
async def test_deliveries_are_read_in_every_shape(read: Read, wrap: Any) -> None:
    older, newer = (await read(wrap([OLDER_DELIVERY, NEWER_DELIVERY]), lambda api: api.webhooks.deliveries())).data
    assert (older.event, older.status, older.http_status, older.attempts) == ("agent.message", "failed", 500, None)
    assert older.at == "2025-01-15T10:45:00Z"
    assert (newer.event, newer.status, newer.http_status, newer.attempts) == ("agent.call_ended", "pending", None, 2)
    assert (newer.error, newer.channel) == ("timed out", "voice")
    assert (newer.at, newer.next_retry_at) == ("2025-01-15T10:40:00Z", "2025-01-15T11:15:00Z")


async def test_a_delivery_that_says_status_and_success_keeps_its_status(read: Read) -> None:
    row = {"id": "del_1", "status": "retrying", "success": False}
    assert (await read([row], lambda api: api.webhooks.deliveries())).data[0].status == "retrying"


async def test_a_null_status_is_filled_from_success(read: Read) -> None:
    row = {"id": "del_1", "status": None, "success": True}
    assert (await read([row], lambda api: api.webhooks.deliveries())).data[0].status == "success"


async def test_the_projects_figures_are_the_apis(read: Read) -> None:
    counts = {"total": 10, "success": 8, "failed": 1, "pending": 1, "successRate": 80.0}
    plain = await read(counts, lambda api: api.webhooks.stats())
    assert (plain.total, plain.success, plain.failed, plain.pending, plain.success_rate) == (10, 8, 1, 1, 80.0)
    assert plain.by_event_type is plain.counted is None
    payload = {**counts, "byEventType": {"agent.message": {"total": 10}}, "byHour": [{"hour": "2025-01-15T10:00:00Z"}]}
    assert (await read(payload, lambda api: api.webhooks.stats())).by_event_type == {"agent.message": {"total": 10}}


async def test_an_agents_figures_are_counted_here(answering: Any, api_over: Any) -> None:
    """The API has statistics of the project only."""
    rows = [{"id": f"d_{index}", "eventType": "agent.message", "status": "success"} for index in range(3)]
    network = answering([*rows, OLDER_DELIVERY, NEWER_DELIVERY])
    async with api_over(network) as api:
        stats = await api.webhooks.stats("a_1", hours=6)
    assert (stats.total, stats.success, stats.failed, stats.pending) == (5, 3, 1, 1)
    assert stats.by_event_type == {"agent.message": 4, "agent.call_ended": 1}
    assert stats.counted is None
    assert network.lines == [
        "GET https://api.agentphone.to/v1/agents/a_1/webhook/deliveries?limit=100&offset=0&hours=6"
    ]


async def test_an_agent_without_deliveries_has_no_rate(read: Read) -> None:
    stats = await read([], lambda api: api.webhooks.stats("a_1"))
    assert (stats.total, stats.success_rate, stats.by_event_type) == (0, None, None)


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda rows: rows, id="bare-list"),
        pytest.param(lambda rows: {"data": rows, "hasMore": True}, id="has-more"),
        pytest.param(lambda rows: {"items": rows, "total": 2000}, id="total"),
    ],
)
async def test_a_count_of_a_full_page_says_that_it_is_one(read: Read, wrap: Any) -> None:
    rows = [{"id": f"d_{index}", "status": "success"} for index in range(100)]
    assert (await read(wrap(rows), lambda api: api.webhooks.stats("a_1"))).counted == "the latest 100 deliveries"
