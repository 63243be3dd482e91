"""Check that events of calls and texts reach the webhook, if there is one."""

from agentphone_mcp.api.agents import Agent
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError
from agentphone_mcp.api.webhooks import DeliveryStats
from agentphone_mcp.commands.doctor.finding import Finding, ok, skipped, warning

_AGENTS = 100
_LOOKED_AT = 10
_LOOK = "Ask the assistant for list_webhook_deliveries, mend the server at that URL, and try test_webhook"


async def check_webhooks(api: ApiClient) -> list[Finding]:
    """Check the project's webhook and its deliveries of a day; without one, whether an agent needs one."""
    try:
        webhook = await api.webhooks.get()
        if webhook:
            return [_health(await api.webhooks.stats())]
        return [await _agents(api)]
    except ApiError as exc:
        return [skipped("webhooks", f"the API did not tell: {exc.detail or exc.status}")]


def _health(stats: DeliveryStats) -> Finding:
    failed, total = stats.failed or 0, stats.total or 0
    facts = {"total": total, "failed": failed, "pending": stats.pending}
    if failed:
        return warning("webhooks", f"{failed} of {total} deliveries failed within 24 hours", _LOOK, **facts)
    return ok("webhooks", f"one is set, {total} deliveries within 24 hours and none failed", **facts)


async def _agents(api: ApiClient) -> Finding:
    waiting = [agent for agent in (await api.agents.list(limit=_AGENTS)).data if agent.voice_mode == "webhook"]
    silent = [agent for agent in waiting[:_LOOKED_AT] if await api.webhooks.get(agent.id) is None]
    if not silent:
        return ok("webhooks", "none for the project, and no agent needs it")
    names = ", ".join(map(_name, silent))
    remedy = "Ask the assistant for set_webhook, or for update_agent with voice_mode hosted"
    return warning("webhooks", f"in webhook mode and without a webhook, so silent in calls: {names}", remedy)


def _name(agent: Agent) -> str:
    return agent.name or agent.id
