"""The account at a glance, and what it used."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import anyio
from pydantic import BaseModel, Field

from agentphone_mcp.api.account import Activity, Plan, Usage
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.models import Page
from agentphone_mcp.api.numbers import PhoneNumber
from agentphone_mcp.tools.agents import NO_AGENTS, AgentRow, agent_rows
from agentphone_mcp.tools.explain import Failed, explain
from agentphone_mcp.tools.injected import Api
from agentphone_mcp.tools.results import Cell, Listed, listed, table, without
from agentphone_mcp.tools.toolset import reads
from agentphone_mcp.tools.webhooks import WebhookInfo, webhook_info

_ROWS = 20
"""What the API gives of a list when it is not told."""
Period = Literal["summary", "daily", "monthly", "by_number", "by_agent"]


class Overview(BaseModel):
    """The account at a glance; a part that could not be had says why in its place."""

    agents: Listed[AgentRow] | Failed
    numbers: Listed[PhoneNumber] | Failed
    webhook: WebhookInfo | Failed
    usage: Usage | Failed
    next_step: str | None = None


class UsageReport(BaseModel):
    """The plan and the totals, or a row for each day, month, number or agent."""

    summary: Usage | None = None
    columns: list[str] | None = None
    rows: list[list[Cell]] | None = None


async def account_overview(api: Api) -> Overview:
    """Show agents, numbers, webhook, plan and usage at once. Start here."""
    agents, numbers, webhook, usage = await _at_once(
        api.agents.list, api.numbers.list, api.webhooks.get, api.account.usage
    )
    return Overview(
        agents=agents if isinstance(agents, Failed) else listed(agent_rows(agents, "description"), _ROWS),
        numbers=numbers if isinstance(numbers, Failed) else listed(_briefly(numbers), _ROWS),
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
            return UsageReport(summary=_once(await api.account.usage()))
        case "daily":
            page = await api.account.daily(days)
        case "monthly":
            page = await api.account.monthly(months)
        case "by_number":
            page = await api.account.by_number()
        case "by_agent":
            page = await api.account.by_agent()
    rows = table(page.data)
    return UsageReport(columns=rows.columns, rows=rows.rows)


def _once(usage: Usage) -> Usage:
    """Say the limit of numbers once; when the last 30 days were, the reader knows."""
    numbers, plan = usage.numbers, usage.plan
    if numbers and numbers.limit is not None:
        plan = plan and without(plan, "number_limit")
        # What is left can be told from the two others, where both are there.
        numbers = numbers if numbers.used is None else without(numbers, "remaining")
    return usage.model_copy(update={"numbers": numbers, "plan": plan, "period_start": None, "period_end": None})


def _at_a_glance(usage: Usage) -> Usage:
    """Leave the limits of the plan and shorter times to get_usage."""
    known = _once(usage)
    plan = known.plan and Plan.model_construct(name=known.plan.name)
    stats = known.stats and Activity.model_construct(
        messages_30d=known.stats.messages_30d, calls_30d=known.stats.calls_30d, minutes_30d=known.stats.minutes_30d
    )
    return known.model_copy(update={"plan": plan, "stats": stats})


def _briefly(numbers: Page[PhoneNumber]) -> Page[PhoneNumber]:
    """Leave to list_numbers what is known of each number besides."""
    rows = [without(one, "type", "country", "expires_at", "external_id", "created_at") for one in numbers.data]
    return numbers.model_copy(update={"data": rows})


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
