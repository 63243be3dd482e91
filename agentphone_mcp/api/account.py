"""Read what the account has used and may use: `/v1/usage`. It counts activity, not dollars."""

from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, Field

from agentphone_mcp.api.models import ApiModel, Page, UtcTime
from agentphone_mcp.api.provenance import AccountText, IdText, NumberText, TimeText
from agentphone_mcp.api.transport import Endpoints


class Plan(ApiModel):
    """Describes the account's plan, from either API version: `{numberLimit}` or `{limits: {…}}`."""

    name: AccountText | None = None
    number_limit: int | None = Field(
        default=None, validation_alias=AliasChoices("numberLimit", AliasPath("limits", "numbers"))
    )
    messages_per_month: int | None = Field(default=None, validation_alias=AliasPath("limits", "messagesPerMonth"))
    voice_minutes_per_month: int | None = Field(
        default=None, validation_alias=AliasPath("limits", "voiceMinutesPerMonth")
    )
    max_call_minutes: int | None = Field(default=None, validation_alias=AliasPath("limits", "maxCallDurationMinutes"))
    concurrent_calls: int | None = Field(default=None, validation_alias=AliasPath("limits", "concurrentCalls"))


class NumbersUsed(ApiModel):
    """Counts the phone numbers the account has and may have."""

    used: int | None = None
    limit: int | None = None
    remaining: int | None = None


class Activity(ApiModel):
    """Counts messages, calls and minutes of the last 24 hours, 7 days, 30 days and in all."""

    messages_24h: Annotated[int | None, Field(validation_alias="messagesLast24h")] = None
    messages_7d: Annotated[int | None, Field(validation_alias="messagesLast7d")] = None
    messages_30d: Annotated[int | None, Field(validation_alias="messagesLast30d")] = None
    calls_24h: Annotated[int | None, Field(validation_alias="callsLast24h")] = None
    calls_7d: Annotated[int | None, Field(validation_alias="callsLast7d")] = None
    calls_30d: Annotated[int | None, Field(validation_alias="callsLast30d")] = None
    minutes_30d: Annotated[float | None, Field(validation_alias="minutesLast30d")] = None
    total_messages: int | None = None
    total_calls: int | None = None
    total_webhook_deliveries: int | None = None
    failed_webhook_deliveries: int | None = None


class Usage(ApiModel):
    """Holds the account's plan, numbers and activity."""

    plan: Plan | None = None
    numbers: NumbersUsed | None = None
    stats: Activity | None = None


class UsageRow(ApiModel):
    """Counts the activity of one day, month, number or agent; `seconds` are of calls."""

    date: TimeText | None = None
    month: TimeText | None = None
    number_id: IdText | None = None
    phone_number: NumberText | None = None
    agent_id: IdText | None = None
    agent_name: AccountText | None = None
    messages: int | None = None
    calls: int | None = None
    voice_minutes: float | None = None
    seconds: Annotated[float | None, Field(validation_alias="totalSeconds")] = None
    webhooks: int | None = None


class UsagePage(Page[UsageRow]):
    """Holds rows of usage, and the period they count where the API says it."""

    period_start: UtcTime = None
    period_end: UtcTime = None


class AccountApi(Endpoints):
    """Calls `/v1/usage` and the paths below it."""

    async def usage(self) -> Usage:
        """Return the plan, its limits and the activity so far."""
        return await self._transport.get("/v1/usage", Usage)

    async def daily(self, days: int) -> UsagePage:
        """Return a row for each of the last `days` days (1 to 365)."""
        return await self._rows("/v1/usage/daily", days=days)

    async def monthly(self, months: int) -> UsagePage:
        """Return a row for each of the last `months` months (1 to 24)."""
        return await self._rows("/v1/usage/monthly", months=months)

    async def by_number(self) -> UsagePage:
        """Return a row for each phone number."""
        return await self._rows("/v1/usage/by-number")

    async def by_agent(self) -> UsagePage:
        """Return a row for each agent."""
        return await self._rows("/v1/usage/by-agent")

    async def _rows(self, path: str, **query: Any) -> UsagePage:
        return await self._transport.get(path, UsagePage, query)
