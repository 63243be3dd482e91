"""Report the account's usage: counts by period, number and agent."""

from collections.abc import Callable
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.context import context_of
from agentphone_mcp.sandbox.data.models import Account
from agentphone_mcp.sandbox.http.validation import Field, integer, one_of, read_query
from agentphone_mcp.sandbox.responses import Json, ok, stamp
from agentphone_mcp.sandbox.routes.numbers import NUMBER_LIMIT, attached_json

_PERIODS = {"24h": 1, "7d": 7, "30d": 30, "90d": 90}
_PLAN: Json = {
    "name": "free",
    "numberLimit": NUMBER_LIMIT,
    "limits": {
        "numbers": NUMBER_LIMIT,
        "messagesPerMonth": 1000,
        "voiceMinutesPerMonth": 500,
        "maxCallDurationMinutes": 30,
        "concurrentCalls": 5,
    },
}


def _counts(account: Account, counts_at: Callable[[datetime], bool]) -> Json:
    """Count messages, calls, webhook deliveries and voice minutes at the given times."""
    calls = [call for call in account.calls.values() if counts_at(call.started_at)]
    seconds = sum(call.seconds or 0 for call in calls)
    return {
        "messages": sum(counts_at(message.at) for message in account.messages),
        "calls": len(calls),
        "webhooks": sum(counts_at(delivery.created_at) for delivery in account.deliveries),
        "voiceMinutes": round(seconds / 60, 2),
    }


async def get_usage(request: Request) -> Response:
    """GET /v1/usage."""
    context = context_of(request)
    context.release_expired()
    account, now = context.account, context.clock.now()
    used = len(account.numbers)
    day, week, month = (
        _counts(account, lambda at, start=now - timedelta(days=days): at > start) for days in (1, 7, 30)
    )
    successes = sum(delivery.success for delivery in account.deliveries)
    return ok(
        {
            "plan": _PLAN,
            "numbers": {"used": used, "limit": NUMBER_LIMIT, "remaining": NUMBER_LIMIT - used},
            "stats": {
                "totalMessages": len(account.messages),
                "messagesLast24h": day["messages"],
                "messagesLast7d": week["messages"],
                "messagesLast30d": month["messages"],
                "totalCalls": len(account.calls),
                "callsLast24h": day["calls"],
                "callsLast7d": week["calls"],
                "callsLast30d": month["calls"],
                "minutesLast30d": month["voiceMinutes"],
                "totalWebhookDeliveries": len(account.deliveries),
                "successfulWebhookDeliveries": successes,
                "failedWebhookDeliveries": sum(delivery.status == "failed" for delivery in account.deliveries),
            },
            "periodStart": stamp(now - timedelta(days=30)),
            "periodEnd": stamp(now),
        }
    )


async def get_daily_usage(request: Request) -> Response:
    """GET /v1/usage/daily: one row a day, the oldest first, today last."""
    context = context_of(request)
    days: int = read_query(request, {"days": Field(integer(1, 365), default=7)})["days"]
    today = context.clock.now().date()
    dates = [today - timedelta(days=ago) for ago in reversed(range(days))]
    data = [
        {"date": date.isoformat(), **_counts(context.account, lambda at, date=date: at.date() == date)}
        for date in dates
    ]
    return ok({"data": data, "days": days})


async def get_monthly_usage(request: Request) -> Response:
    """GET /v1/usage/monthly: one row a month, the oldest first, this month last."""
    context = context_of(request)
    months: int = read_query(request, {"months": Field(integer(1, 24), default=3)})["months"]
    now = context.clock.now()
    this_month = now.year * 12 + now.month - 1
    names = [f"{count // 12}-{count % 12 + 1:02}" for count in range(this_month - months + 1, this_month + 1)]
    data = [
        {"month": name, **_counts(context.account, lambda at, name=name: at.strftime("%Y-%m") == name)}
        for name in names
    ]
    return ok({"data": data, "months": months})


async def get_usage_by_number(request: Request) -> Response:
    """GET /v1/usage/by-number: all-time counts of each number the account has."""
    context = context_of(request)
    context.release_expired()
    account = context.account
    names = {agent.id: agent.name for agent in account.agents.values()}
    data = [
        {
            "numberId": number.id,
            "phoneNumber": number.phone_number,
            "country": number.country,
            "status": attached_json(number)["status"],
            "agentId": number.agent_id,
            "agentName": names.get(number.agent_id or ""),
            "messages": sum(message.number_id == number.id for message in account.messages),
            "calls": sum(call.number_id == number.id for call in account.calls.values()),
        }
        for number in account.numbers.values()
    ]
    return ok({"data": data})


async def get_usage_by_agent(request: Request) -> Response:
    """GET /v1/usage/by-agent: counts of a period (30 days by default), deleted agents' marked as orphans."""
    context = context_of(request)
    period: str = read_query(request, {"period": Field(one_of(*_PERIODS), default="30d")})["period"]
    now = context.clock.now()
    start = now - timedelta(days=_PERIODS[period])
    data = _by_agent(context.account, start)
    return ok({"data": data, "period": period, "periodStart": stamp(start), "periodEnd": stamp(now)})


def _by_agent(account: Account, start: datetime) -> list[Json]:
    calls = [call for call in account.calls.values() if call.started_at > start]
    texted = [
        conversation.agent_id
        for conversation in account.conversations.values()
        for message in conversation.messages
        if message.at > start and conversation.agent_id
    ]
    agent_ids = dict.fromkeys([*account.agents, *texted, *(call.agent_id for call in calls)])
    return [
        {
            "agentId": agent_id,
            "agentName": account.agents[agent_id].name if agent_id in account.agents else "Deleted agent",
            "messages": texted.count(agent_id),
            "calls": sum(call.agent_id == agent_id for call in calls),
            "totalSeconds": sum(call.seconds or 0 for call in calls if call.agent_id == agent_id),
            "isOrphan": agent_id not in account.agents,
        }
        for agent_id in agent_ids
    ]


routes = [
    Route("/v1/usage", get_usage, methods=["GET"]),
    Route("/v1/usage/daily", get_daily_usage, methods=["GET"]),
    Route("/v1/usage/monthly", get_monthly_usage, methods=["GET"]),
    Route("/v1/usage/by-number", get_usage_by_number, methods=["GET"]),
    Route("/v1/usage/by-agent", get_usage_by_agent, methods=["GET"]),
]
