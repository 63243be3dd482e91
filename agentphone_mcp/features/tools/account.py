"""The account at a glance, and what it used."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import anyio
from pydantic import BaseModel, Field

from agentphone_mcp.api.account import Activity, NumbersUsed, Plan, Usage
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.models import Page
from agentphone_mcp.api.numbers import PhoneNumber
from agentphone_mcp.features.context import Api
from agentphone_mcp.features.presentation.error_messages import Failed, explain
from agentphone_mcp.features.presentation.lists import (
    Cell,
    Listed,
    ListedTable,
    in_columns,
    listed,
    shortened,
    table,
    without,
)
from agentphone_mcp.features.tools.agents import NO_AGENTS, AgentRow, agent_rows
from agentphone_mcp.features.tools.declaration import reads
from agentphone_mcp.features.tools.numbers import number_row
from agentphone_mcp.features.tools.webhooks import WebhookInfo, webhook_info

_ROWS = 20
"""What the API gives of a list when it is not told."""
Period = Literal["summary", "daily", "monthly", "by_number", "by_agent"]
Span = Literal["24h", "7d", "30d", "all"]
Counts = dict[Span, int]
"""How many there were in the last 24 hours, 7 days and 30 days, and in all."""


class Limits(BaseModel):
    """What the plan allows."""

    numbers: int | None = None
    messages_per_month: int | None = None
    voice_minutes_per_month: int | None = None
    max_call_minutes: int | None = None
    concurrent_calls: int | None = None


class Used(BaseModel):
    """The plan, and what was used of it."""

    plan: str | None = None
    limits: Limits | None = None
    numbers_used: int | None = None
    numbers_remaining: int | None = None
    messages: Counts | None = None
    calls: Counts | None = None
    minutes_30d: float | None = None
    webhook_deliveries: int | None = None
    failed_webhook_deliveries: int | None = None


class Overview(BaseModel):
    """The account at a glance; a part that could not be had says why in its place."""

    agents: Listed[AgentRow] | Failed
    numbers: ListedTable | Failed
    webhook: WebhookInfo | Failed
    usage: Used | Failed
    next_step: str | None = None


class UsageReport(Used):
    """The plan and the totals, or a row for each day, month, number or agent."""

    columns: list[str] | None = None
    rows: list[list[Cell]] | None = None
    since: str | None = None
    until: str | None = None


async def account_overview(api: Api) -> Overview:
    """Show agents, numbers, webhook, plan and usage at once. Start here."""
    agents, numbers, webhook, usage = await _at_once(
        api.agents.list, api.numbers.list, api.webhooks.get, api.account.usage
    )
    return Overview(
        agents=agents if isinstance(agents, Failed) else listed(agent_rows(agents, "description"), _ROWS),
        numbers=numbers if isinstance(numbers, Failed) else in_columns(listed(_briefly(numbers), _ROWS)),
        webhook=webhook if isinstance(webhook, Failed) else without(webhook_info(webhook), "next_step"),
        usage=usage if isinstance(usage, Failed) else _at_a_glance(usage),
        next_step=_what_is_missing(agents, numbers),
    )


async def get_usage(
    api: Api,
    period: Period = "summary",
    days: Annotated[int, Field(ge=1, le=365)] = 7,
    months: Annotated[int, Field(ge=1, le=24)] = 3,
) -> UsageReport:
    """Show plan limits and activity, not dollars: totals, or a row for each day, month, number or agent."""
    match period:
        case "summary":
            return UsageReport(**dict(_used(await api.account.usage())))
        case "daily":
            page = await api.account.daily(days)
        case "monthly":
            page = await api.account.monthly(months)
        case "by_number":
            page = await api.account.by_number()
        case "by_agent":
            page = await api.account.by_agent()
    rows = table(page.data)
    return UsageReport(columns=rows.columns, rows=rows.rows, since=page.period_start, until=page.period_end)


def _used(usage: Usage) -> Used:
    """Say each thing once; when the last 30 days were, the reader knows."""
    plan, numbers, stats = usage.plan or Plan(), usage.numbers or NumbersUsed(), usage.stats or Activity()
    limits = Limits(
        numbers=plan.number_limit if numbers.limit is None else numbers.limit,
        messages_per_month=plan.messages_per_month,
        voice_minutes_per_month=plan.voice_minutes_per_month,
        max_call_minutes=plan.max_call_minutes,
        concurrent_calls=plan.concurrent_calls,
    )
    # What is left can be told from the two others, where both are there.
    is_clear = numbers.used is not None and limits.numbers is not None
    # Of none, none failed; get_webhook_stats says more of why none was sent.
    had_deliveries = stats.total_webhook_deliveries or stats.failed_webhook_deliveries
    return Used(
        plan=plan.name,
        limits=None if limits == Limits() else limits,
        numbers_used=numbers.used,
        numbers_remaining=None if is_clear else numbers.remaining,
        messages=_counts(stats.messages_24h, stats.messages_7d, stats.messages_30d, stats.total_messages),
        calls=_counts(stats.calls_24h, stats.calls_7d, stats.calls_30d, stats.total_calls),
        minutes_30d=stats.minutes_30d,
        webhook_deliveries=stats.total_webhook_deliveries if had_deliveries else None,
        failed_webhook_deliveries=stats.failed_webhook_deliveries if had_deliveries else None,
    )


def _counts(day: int | None, week: int | None, month: int | None, ever: int | None) -> Counts | None:
    """Leave out what the API does not say."""
    found: dict[Span, int | None] = {"24h": day, "7d": week, "30d": month, "all": ever}
    return {span: count for span, count in found.items() if count is not None} or None


def _at_a_glance(usage: Usage) -> Used:
    """Leave all limits but that of numbers, and all times but a month, to get_usage."""
    plan = usage.plan and Plan.model_construct(name=usage.plan.name, number_limit=usage.plan.number_limit)
    stats = usage.stats and Activity.model_construct(
        messages_30d=usage.stats.messages_30d, calls_30d=usage.stats.calls_30d, minutes_30d=usage.stats.minutes_30d
    )
    return _used(usage.model_copy(update={"plan": plan, "stats": stats}))


def _briefly(numbers: Page[PhoneNumber]) -> Page[PhoneNumber]:
    """Leave to list_numbers what is known of each number besides."""
    return shortened(numbers, lambda number: number_row(number, "country", "expires_at", "external_id", "created_at"))


async def _at_once(*parts: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Ask for every part in the time of one; a part that fails becomes its explanation, unless all do."""
    found: list[Any] = [None] * len(parts)
    problems: list[ApiError] = []

    async def ask(index: int, part: Callable[[], Awaitable[Any]]) -> None:
        try:
            found[index] = await part()
        except ApiError as problem:
            problems.append(problem)
            found[index] = Failed(error=explain(problem))

    async with anyio.create_task_group() as tasks:
        for index, part in enumerate(parts):
            tasks.start_soon(ask, index, part)
    if len(problems) == len(parts):
        raise problems[0]
    return found


def _what_is_missing(agents: Any, numbers: Any) -> str | None:
    if not isinstance(agents, Failed) and not agents.data:
        return NO_AGENTS
    if not isinstance(numbers, Failed) and not numbers.data:
        return "No phone number yet: find_available_numbers, then buy_number with an agent_id."
    return None


TOOLS = [reads(account_overview), reads(get_usage)]
