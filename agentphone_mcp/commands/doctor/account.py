"""Check the API with this key: that it answers, how fast, its clock, and what the plan has left."""

from collections.abc import Iterable
from statistics import median

from agentphone_mcp.api import errors
from agentphone_mcp.api.account import Usage
from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.api.auth import proxy_for
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.pool import PooledTransport
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.commands.doctor.finding import Finding, failure, ok, skipped, warning
from agentphone_mcp.commands.doctor.key import FoundKey
from agentphone_mcp.commands.doctor.network_errors import cause_of
from agentphone_mcp.commands.doctor.probe import RecordingTransport
from agentphone_mcp.commands.doctor.webhooks import check_webhooks

_SAMPLES = 3
_A_MINUTE = 60.0
_FIVE_MINUTES = 300.0
_PATIENCE = 15.0
NEEDS_THE_API = ("account", "limits", "clock", "webhooks")
_NEEDS_AN_ANSWER = ("account", "limits", "webhooks")
_NO_API = "Sign in to the network if it asks for that in a browser, and check the proxy and AGENTPHONE_BASE_URL"


async def check_account(allowlist: Allowlist, key: FoundKey, sub_account: str | None, within: float) -> list[Finding]:
    """Ask the API a few read-only questions, each once.

    Args:
        allowlist: where the API is.
        key: the key and its source, which remedies name.
        sub_account: the child account that requests are scoped to.
        within: the time limit of one answer, in seconds.
    """
    recorder = RecordingTransport(PooledTransport(proxy_for(allowlist)))
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
        return [*findings, *_clock(recorder), *await check_webhooks(api)]


def _api_finding(recorder: RecordingTransport) -> Finding:
    ms = round(median(recorder.seconds) * 1000)
    return ok("API", f"answers in {ms} ms, the median of {len(recorder.seconds)}", ms=ms)


def _explain_error(
    error: errors.ApiError, recorder: RecordingTransport, key: FoundKey, *, is_local: bool
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
        return [
            failure(
                "API", message, "Check AGENTPHONE_BASE_URL, and look for a newer agentphone-mcp", http_status=status
            )
        ]
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
    used: list[tuple[float | None, int | None, str]] = []
    used.append((numbers.used if numbers else None, _number_limit(usage), "numbers"))
    if plan and stats:
        used.append((stats.messages_30d, plan.messages_per_month, "messages of 30 days"))
        used.append((stats.minutes_30d, plan.voice_minutes_per_month, "voice minutes of 30 days"))
    for count, limit, unit in used:
        if count is not None and limit is not None and count >= limit:
            yield f"{count:g} of {limit} {unit} are used"


def _number_limit(usage: Usage) -> int | None:
    if usage.numbers and usage.numbers.limit is not None:
        return usage.numbers.limit
    return usage.plan.number_limit if usage.plan else None


def _clock(recorder: RecordingTransport) -> list[Finding]:
    """Compare the clocks by the fastest answer, whose duration halved bounds the error."""
    if not recorder.clock_offsets:
        return [skipped("clock", "no answer told the time")]
    offset = min(zip(recorder.seconds, recorder.clock_offsets, strict=False))[1]
    message = f"this machine's is {_duration(abs(offset))} {'ahead of' if offset > 0 else 'behind'} the API's"
    remedy = "Let the system set its clock by the network: webhook signatures and tokens are good for minutes only"
    if abs(offset) > _FIVE_MINUTES:
        return [failure("clock", message, remedy, ahead_seconds=round(offset, 1))]
    if abs(offset) > _A_MINUTE:
        return [warning("clock", message, remedy, ahead_seconds=round(offset, 1))]
    return [ok("clock", "agrees with the API's", ahead_seconds=round(offset, 1))]


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 2 * _A_MINUTE else f"{seconds:.0f} seconds"
