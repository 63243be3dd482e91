"""Tests of `/v1/usage` and the paths below it: what is sent, and every shape that is read."""

from typing import Any

import pytest

from tests.api.conftest import Ask, Read, Sent, SentBy, sends

SEEDS = {
    "plan": {"name": "free", "numberLimit": 1},
    "numbers": {"used": 1, "limit": 1},
    "stats": {"messagesLast30d": 42, "callsLast30d": 15, "minutesLast30d": 67},
}
NEWER = {
    "plan": {
        "name": "pro",
        "limits": {
            "numbers": 10,
            "messagesPerMonth": 5000,
            "voiceMinutesPerMonth": 1000,
            "maxCallDurationMinutes": 60,
            "concurrentCalls": 5,
        },
    },
    "numbers": {"used": 3, "limit": 10, "remaining": 7},
    "stats": {
        "totalMessages": 900,
        "messagesLast24h": 3,
        "messagesLast7d": 20,
        "messagesLast30d": 42,
        "totalCalls": 200,
        "callsLast24h": 1,
        "callsLast7d": 4,
        "callsLast30d": 15,
        "totalWebhookDeliveries": 500,
        "successfulWebhookDeliveries": 490,
        "failedWebhookDeliveries": 10,
    },
    "periodStart": "2025-01-01T00:00:00Z",
    "periodEnd": "2025-02-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("ask", "documented"),
    [
        sends(lambda api: api.account.usage(), "GET /v1/usage", id="usage"),
        sends(lambda api: api.account.daily(7), "GET /v1/usage/daily", query={"days": "7"}, id="daily"),
        sends(lambda api: api.account.monthly(3), "GET /v1/usage/monthly", query={"months": "3"}, id="monthly"),
        sends(lambda api: api.account.by_number(), "GET /v1/usage/by-number", id="by-number"),
        sends(lambda api: api.account.by_agent(), "GET /v1/usage/by-agent", id="by-agent"),
    ],
)
async def test_each_method_asks_what_the_api_documents(sent_by: SentBy, ask: Ask, documented: Sent) -> None:
    assert await sent_by(ask) == documented


async def test_the_seeds_usage_is_read(read: Read) -> None:
    usage = await read(SEEDS, lambda api: api.account.usage())
    assert (usage.plan.name, usage.plan.number_limit) == ("free", 1)
    assert (usage.numbers.used, usage.numbers.limit, usage.numbers.remaining) == (1, 1, None)
    assert (usage.stats.messages_30d, usage.stats.calls_30d, usage.stats.minutes_30d) == (42, 15, 67)


async def test_the_newer_usage_is_read(read: Read) -> None:
    usage = await read(NEWER, lambda api: api.account.usage())
    assert (usage.plan.name, usage.plan.number_limit, usage.plan.concurrent_calls) == ("pro", 10, 5)
    assert (usage.plan.messages_per_month, usage.plan.voice_minutes_per_month, usage.plan.max_call_minutes) == (
        5000,
        1000,
        60,
    )
    assert usage.numbers.remaining == 7
    assert (usage.stats.messages_24h, usage.stats.messages_7d, usage.stats.messages_30d) == (3, 20, 42)
    assert (usage.stats.calls_24h, usage.stats.calls_7d, usage.stats.calls_30d) == (1, 4, 15)
    assert (usage.stats.total_messages, usage.stats.total_calls) == (900, 200)
    assert (usage.stats.total_webhook_deliveries, usage.stats.failed_webhook_deliveries) == (500, 10)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({"plan": {"name": "pro", "limits": None}, "numbers": None, "stats": None}, id="nulls"),
        pytest.param({"plan": {"name": "pro", "limits": {}}, "stats": {"faxes": 3}, "new": [1]}, id="unknown-fields"),
        pytest.param({"plan": {"name": "pro", "numberLimit": None}, "numbers": {"used": None}}, id="null-limit"),
    ],
)
async def test_a_usage_with_gaps_is_read(read: Read, answer: Any) -> None:
    usage = await read(answer, lambda api: api.account.usage())
    assert usage.plan.name == "pro"
    assert usage.plan.number_limit is None


async def test_days_are_read_in_both_versions(read: Read) -> None:
    rows = [
        {"date": "2025-01-15", "messages": 4, "calls": 2, "voiceMinutes": 3.5},
        {"date": "2025-01-16", "messages": 0, "calls": 0, "webhooks": 7},
    ]
    older, newer = (await read({"data": rows, "days": 2}, lambda api: api.account.daily(2))).data
    assert (older.date, older.messages, older.calls, older.voice_minutes, older.webhooks) == (
        "2025-01-15",
        4,
        2,
        3.5,
        None,
    )
    assert (newer.date, newer.webhooks, newer.voice_minutes) == ("2025-01-16", 7, None)


async def test_months_numbers_and_agents_are_read(read: Read) -> None:
    (month,) = (await read({"data": [{"month": "2025-01", "calls": 9}]}, lambda api: api.account.monthly(1))).data
    assert (month.month, month.calls, month.messages) == ("2025-01", 9, None)
    number = {"numberId": "num_1", "phoneNumber": "+14155551234", "country": "US", "agentId": None, "messages": 1}
    (by_number,) = (await read({"data": [number]}, lambda api: api.account.by_number())).data
    assert (by_number.number_id, by_number.phone_number, by_number.agent_id) == ("num_1", "+14155551234", None)
    agent = {"agentId": None, "agentName": "Gone", "messages": 1, "calls": 2, "totalSeconds": 90, "isOrphan": True}
    period = {"period": "30d", "periodStart": "2025-01-01T00:00:00.000Z", "periodEnd": "2025-01-31T00:00:00.000Z"}
    page = await read({"data": [agent], **period}, lambda api: api.account.by_agent())
    assert (page.period_start, page.period_end) == ("2025-01-01T00:00:00Z", "2025-01-31T00:00:00Z")
    (by_agent,) = page.data
    assert (by_agent.agent_name, by_agent.seconds) == ("Gone", 90)
