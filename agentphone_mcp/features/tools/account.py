"""Show the account at a glance, and what it has used."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import anyio
from pydantic import BaseModel, Field

from agentphone_mcp.api.account import Activity, NumbersUsed, Plan, Usage
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.provenance import AccountText, ServerText, TimeText, WordText
from agentphone_mcp.features.context import Api
from agentphone_mcp.features.presentation.error_messages import Failed, explain
from agentphone_mcp.features.presentation.lists import Cell, Listed, ListedTable, in_columns, listed, table, without
from agentphone_mcp.features.tools.agents import NO_AGENTS, AgentRow, agent_rows
from agentphone_mcp.features.tools.declaration import reads
from agentphone_mcp.features.tools.numbers import number_rows
from agentphone_mcp.features.tools.webhooks import WebhookInfo, webhook_info

_ROWS = 20
"""Rows that the API returns of a list when no limit is given."""
Period = Literal["summary", "daily", "monthly", "by_number", "by_agent"]
Span = Literal["24h", "7d", "30d", "all"]
Counts = dict[Span, int]
"""Totals of the last 24 hours, 7 days and 30 days, and of all time."""


class PlanLimits(BaseModel):
    """List what the plan allows."""

    numbers: int | None = None
    messages_per_month: int | None = None
    voice_minutes_per_month: int | None = None
    max_call_minutes: int | None = None
    concurrent_calls: int | None = None


class Used(BaseModel):
    """Report the plan and what was used of it, flatter than the API does: each fact once."""

    plan: AccountText | None = None
    limits: PlanLimits | None = None
    numbers_used: int | None = None
    numbers_remaining: int | None = None
    messages: Counts | None = None
    calls: Counts | None = None
    minutes_30d: float | None = None
    webhook_deliveries: int | None = None
    failed_webhook_deliveries: int | None = None


class Overview(BaseModel):
    """Sum up the account; a part that could not be fetched is replaced by the reason."""

    agents: Listed[AgentRow] | Failed
    numbers: ListedTable | Failed
    webhook: WebhookInfo | Failed
    usage: Used | Failed
    next_step: ServerText | None = None


class UsageReport(Used):
    """Report the plan and the totals, or a row for each day, month, number or agent."""

    columns: list[WordText] | None = None
    rows: list[list[Cell]] | None = None
    since: TimeText | None = None
    until: TimeText | None = None


async def account_overview(api: Api) -> Overview:
    """Show agents, numbers, webhook, plan and usage at once. Start here."""
    agents, numbers, webhook, usage = await _fetch_all(
        api.agents.list, api.numbers.list, api.webhooks.get, api.account.usage
    )
    # Columns that an overview does not need; list_numbers has them.
    left_out = ("country", "expires_at", "external_id", "created_at")
    return Overview(
        agents=agents if isinstance(agents, Failed) else listed(agent_rows(agents, "description"), _ROWS),
        numbers=numbers if isinstance(numbers, Failed) else in_columns(listed(number_rows(numbers, *left_out), _ROWS)),
        webhook=webhook if isinstance(webhook, Failed) else without(webhook_info(webhook), "next_step"),
        usage=usage if isinstance(usage, Failed) else _summary(usage),
        next_step=_next_step(agents, numbers),
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
    """Flatten the API's answer, and drop what follows from the rest."""
    plan, numbers, stats = usage.plan or Plan(), usage.numbers or NumbersUsed(), usage.stats or Activity()
    number_limit = plan.number_limit if numbers.limit is None else numbers.limit
    limits = PlanLimits.model_validate(dict(plan) | {"numbers": number_limit})
    # With a limit and a count, the remaining ones need no field of their own.
    is_derivable = numbers.used is not None and limits.numbers is not None
    # Without deliveries there are no failures; get_webhook_stats explains why none was sent.
    had_deliveries = stats.total_webhook_deliveries or stats.failed_webhook_deliveries
    return Used(
        plan=plan.name,
        limits=None if limits == PlanLimits() else limits,
        numbers_used=numbers.used,
        numbers_remaining=None if is_derivable else numbers.remaining,
        messages=_counts(stats, "messages"),
        calls=_counts(stats, "calls"),
        minutes_30d=stats.minutes_30d,
        webhook_deliveries=stats.total_webhook_deliveries if had_deliveries else None,
        failed_webhook_deliveries=stats.failed_webhook_deliveries if had_deliveries else None,
    )


def _counts(stats: Activity, kind: Literal["messages", "calls"]) -> Counts | None:
    """Collect the totals of one kind, without those that the API left out."""
    fields: dict[Span, str] = {"24h": f"{kind}_24h", "7d": f"{kind}_7d", "30d": f"{kind}_30d", "all": f"total_{kind}"}
    return {span: total for span, name in fields.items() if (total := getattr(stats, name)) is not None} or None


def _summary(usage: Usage) -> Used:
    """Keep only the limit of numbers and the totals of 30 days; get_usage has the rest."""
    plan = usage.plan and Plan.model_construct(name=usage.plan.name, number_limit=usage.plan.number_limit)
    stats = usage.stats and Activity.model_construct(
        messages_30d=usage.stats.messages_30d, calls_30d=usage.stats.calls_30d, minutes_30d=usage.stats.minutes_30d
    )
    return _used(usage.model_copy(update={"plan": plan, "stats": stats}))


async def _fetch_all(*parts: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Fetch all parts concurrently; a part that fails becomes its explanation, unless all fail."""
    results: list[Any] = [None] * len(parts)
    errors: list[ApiError] = []

    async def fetch(index: int, part: Callable[[], Awaitable[Any]]) -> None:
        try:
            results[index] = await part()
        except ApiError as exc:
            errors.append(exc)
            results[index] = Failed(error=explain(exc))

    async with anyio.create_task_group() as tasks:
        for index, part in enumerate(parts):
            tasks.start_soon(fetch, index, part)
    if len(errors) == len(parts):
        raise errors[0]
    return results


def _next_step(agents: Any, numbers: Any) -> str | None:
    if not isinstance(agents, Failed) and not agents.data:
        return NO_AGENTS
    if not isinstance(numbers, Failed) and not numbers.data:
        return "No phone number yet: find_available_numbers, then buy_number with an agent_id."
    return None


TOOLS = [reads(account_overview), reads(get_usage)]
