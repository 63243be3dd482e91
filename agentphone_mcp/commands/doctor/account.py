"""Check the API with this key: that it answers, how fast, its clock, what the plan has left, and the webhooks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from statistics import median
from time import perf_counter, time

import httpx

from agentphone_mcp.api import errors
from agentphone_mcp.api.account import Usage
from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.api.auth import proxy_for
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.pool import PooledTransport
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.api.webhooks import DeliveryStats
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, skipped, warning
from agentphone_mcp.commands.doctor.key import FoundKey
from agentphone_mcp.commands.doctor.network import cause_of

_SAMPLES = 3
_A_MINUTE = 60.0
_FIVE_MINUTES = 300.0
_PATIENCE = 15.0
NEEDS_THE_API = ("account", "limits", "clock", "webhooks")
_NEEDS_AN_ANSWER = ("account", "limits", "webhooks")
_NO_API = "Sign in to the network if it asks for that in a browser, and check the proxy and AGENTPHONE_BASE_URL"
_HALF_A_SECOND = 0.5
"""The average by which a Date header is late, as it has no fractions of a second."""
_AGENTS = 100
_LOOKED_AT = 10
_LOOK = "Ask the assistant for list_webhook_deliveries, mend the server at that URL, and try test_webhook"


@dataclass
class _RecordingTransport(httpx.AsyncBaseTransport):
    """Passes requests on and records their results.

    Attributes:
        seconds: the duration of each request.
        clock_offsets: the seconds by which this machine's clock is ahead of the server's, by answer.
        error: why the last request got no answer.
        content_type: that of the last answer.
    """

    inner: httpx.AsyncBaseTransport
    seconds: list[float] = field(default_factory=list[float])
    clock_offsets: list[float] = field(default_factory=list[float])
    error: httpx.HTTPError | None = None
    content_type: str = ""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request by the inner transport, which may raise."""
        sent, started = time(), perf_counter()
        try:
            response = await self.inner.handle_async_request(request)
        except httpx.HTTPError as exc:
            self.error = exc
            raise
        took = perf_counter() - started
        self.error, self.content_type = None, response.headers.get("Content-Type", "")
        self.seconds.append(took)
        date = _moment(response.headers.get("Date", ""))
        if date:
            self.clock_offsets.append(sent + took / 2 - (date.timestamp() + _HALF_A_SECOND))
        return response

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self.inner.aclose()


def _moment(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None


async def check_account(allowlist: Allowlist, key: FoundKey, sub_account: str | None, within: float) -> list[Finding]:
    """Ask the API a few read-only questions, each once and for at most `within` seconds."""
    recorder = _RecordingTransport(PooledTransport(proxy_for(allowlist)))
    api = ApiClient(
        Transport(
            allowlist.base, key.key, sub_account=sub_account, timeout=min(within, _PATIENCE), inner=recorder, tries=1
        )
    )
    async with api:
        try:
            usage = [await api.account.usage() for _ in range(_SAMPLES)][-1]
        except errors.ApiError as exc:
            explained = _explain_error(exc, recorder, key, is_local=allowlist.is_local)
            named = {finding.check for finding in explained}
            rest = [skipped(check, "the API has to answer first") for check in _NEEDS_AN_ANSWER if check not in named]
            return [*explained, *rest, *_clock(recorder)]
        findings = [_api_finding(recorder), ok("account", f"the key is accepted{_plan(usage)}"), *_limits(usage)]
        return [*findings, *_clock(recorder), *await _check_webhooks(api)]


def _api_finding(recorder: _RecordingTransport) -> Finding:
    ms = round(median(recorder.seconds) * 1000)
    return ok("API", f"answers in {ms} ms, the median of {len(recorder.seconds)}", ms=ms)


def _explain_error(
    error: errors.ApiError, recorder: _RecordingTransport, key: FoundKey, *, is_local: bool
) -> list[Finding]:
    """Explain a failed request: the API refused it, cannot be reached, or something else answered."""
    if recorder.error is not None or error.status is None:
        cause = cause_of(recorder.error or error, is_local=is_local)
        return [failure("API", f"the API {cause.said}", cause.remedy)]
    status = error.status
    if isinstance(error, errors.DestinationRefused):
        return [failure("API", f"something answers in its place: {error.detail}", _NO_API, http_status=status)]
    if "json" not in recorder.content_type:
        kind = mask_keys(recorder.content_type.partition(";")[0]) or "nothing"
        message = f"something answers in its place: status {status} with {kind} and no JSON"
        return [failure("API", message, _NO_API, http_status=status)]
    detail = f": {mask_keys(error.detail)}" if error.detail else ""
    if isinstance(error, errors.UnreadableAnswer):
        message = f"it answered {status}, but the JSON is not what AgentPhone documents"
        remedy = "Check AGENTPHONE_BASE_URL, and look for a newer agentphone-mcp"
        return [failure("API", message, remedy, http_status=status)]
    if remedy := _account_remedy(error, key):
        message = f"the API answers {status}{detail}"
        return [_api_finding(recorder), failure("account", message, remedy, http_status=status)]
    message = f"it answered {status}{detail}"
    when = "Try again in a moment, and ask AgentPhone's support if it goes on"
    if isinstance(error, errors.RateLimited):
        wait = f"{error.retry_after:.0f} seconds" if error.retry_after else "a minute"
        when = f"Wait {wait} and try again: too much was asked with this key"
    return [failure("API", message, when, http_status=status)]


def _account_remedy(error: errors.ApiError, key: FoundKey) -> str | None:
    match error:
        case errors.Unauthorized():
            ends = f" (it ends in {key.key.last_four})" if key.key.last_four else ""
            return f"The key from {key.source}{ends} is wrong or revoked: put the one from AgentPhone's dashboard there"
        case errors.PaymentRequired():
            return "Top up the balance or add a payment method in AgentPhone's dashboard"
        case errors.Forbidden():
            return "Check what the key and AGENTPHONE_SUB_ACCOUNT may use in AgentPhone's dashboard"
        case errors.NotFound():
            return "Check AGENTPHONE_BASE_URL and AGENTPHONE_SUB_ACCOUNT"
        case _:
            return None


def _plan(usage: Usage) -> str:
    return f", the plan is {usage.plan.name}" if usage.plan and usage.plan.name else ""


def _limits(usage: Usage) -> list[Finding]:
    """Report the limits that are used up or, if none is, how many numbers are in use."""
    spent = list(_used_up(usage))
    if spent:
        remedy = "Release a number that nobody needs, or ask AgentPhone for a larger plan, before you want more"
        return [warning("limits", message, remedy) for message in spent]
    numbers = usage.numbers
    if numbers is None or numbers.used is None:
        return [ok("limits", "the API names none")]
    of = f" of {numbers.limit}" if numbers.limit is not None else ""
    return [ok("limits", f"{numbers.used}{of} numbers are used", numbers=numbers.used, limit=numbers.limit)]


def _used_up(usage: Usage) -> Iterable[str]:
    numbers, plan, stats = usage.numbers, usage.plan, usage.stats
    number_limit = plan.number_limit if plan else None
    if numbers and numbers.limit is not None:
        number_limit = numbers.limit
    used: list[tuple[float | None, int | None, str]] = [(numbers.used if numbers else None, number_limit, "numbers")]
    if plan and stats:
        used.append((stats.messages_30d, plan.messages_per_month, "messages of 30 days"))
        used.append((stats.minutes_30d, plan.voice_minutes_per_month, "voice minutes of 30 days"))
    for count, limit, unit in used:
        if count is not None and limit is not None and count >= limit:
            yield f"{count:g} of {limit} {unit} are used"


def _clock(recorder: _RecordingTransport) -> list[Finding]:
    """Compare the clocks by the fastest answer, whose duration halved bounds the error."""
    if not recorder.clock_offsets:
        return [skipped("clock", "no answer told the time")]
    offset = min(zip(recorder.seconds, recorder.clock_offsets, strict=False))[1]
    message = f"this machine's is {_duration(abs(offset))} {'ahead of' if offset > 0 else 'behind'} the API's"
    remedy = "Let the system set its clock by the network: webhook signatures and tokens are good for minutes only"
    if abs(offset) > _A_MINUTE:
        report = failure if abs(offset) > _FIVE_MINUTES else warning
        return [report("clock", message, remedy, ahead_seconds=round(offset, 1))]
    return [ok("clock", "agrees with the API's", ahead_seconds=round(offset, 1))]


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 2 * _A_MINUTE else f"{seconds:.0f} seconds"


async def _check_webhooks(api: ApiClient) -> list[Finding]:
    """Check the project's webhook and its deliveries of a day; without one, whether an agent needs one."""
    try:
        if await api.webhooks.get():
            return [_webhook_health(await api.webhooks.stats())]
        return [await _waiting_agents(api)]
    except errors.ApiError as exc:
        return [skipped("webhooks", f"the API did not tell: {exc.detail or exc.status}")]


def _webhook_health(stats: DeliveryStats) -> Finding:
    failed, total = stats.failed or 0, stats.total or 0
    facts = {"total": total, "failed": failed, "pending": stats.pending}
    if failed:
        return warning("webhooks", f"{failed} of {total} deliveries failed within 24 hours", _LOOK, **facts)
    return ok("webhooks", f"one is set, {total} deliveries within 24 hours and none failed", **facts)


async def _waiting_agents(api: ApiClient) -> Finding:
    waiting = [agent for agent in (await api.agents.list(limit=_AGENTS)).data if agent.voice_mode == "webhook"]
    silent = [agent for agent in waiting[:_LOOKED_AT] if await api.webhooks.get(agent.id) is None]
    if not silent:
        return ok("webhooks", "none for the project, and no agent needs it")
    names = ", ".join(agent.name or agent.id for agent in silent)
    remedy = "Ask the assistant for set_webhook, or for update_agent with voice_mode hosted"
    return warning("webhooks", f"in webhook mode and without a webhook, so silent in calls: {names}", remedy)
