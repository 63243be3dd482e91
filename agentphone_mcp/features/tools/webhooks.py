"""Manage the webhooks that get calls and texts: the project's, and those of single agents."""

from typing import Annotated

from pydantic import BaseModel, Field

from agentphone_mcp.api.models import Acknowledgement
from agentphone_mcp.api.provenance import AccountText, IdText, ServerText, UrlText, WordText
from agentphone_mcp.api.webhooks import Delivery, DeliveryStats, Webhook, WebhookTest
from agentphone_mcp.features.context import AccountGate, Api
from agentphone_mcp.features.presentation.lists import Listed, listed
from agentphone_mcp.features.presentation.quoting import other_arguments, quoted
from agentphone_mcp.features.tools.approval import destroying
from agentphone_mcp.features.tools.declaration import creates, destroys, reads, updates
from agentphone_mcp.features.tools.lookups import digest
from agentphone_mcp.features.tools.parameters import AgentId, ConfirmText, Hours, Offset, PageSize, WebUrl
from agentphone_mcp.features.tools.rerouting import identity
from agentphone_mcp.policy.actions import Action, Outcome
from agentphone_mcp.policy.errors import Refused

_KEEP_SECRET = "Have your user keep the secret now, it is not shown again; then test_webhook."  # noqa: S105 - no secret
WebhookUrl = Annotated[WebUrl, Field(description="Public https")]


class WebhookInfo(BaseModel):
    """Show a webhook with only the last four characters of its secret."""

    is_set: bool
    id: IdText | None = None
    url: UrlText | None = None
    status: WordText | None = None
    secret_ends_in: AccountText | None = None
    context_limit: int | None = None
    timeout: float | None = None
    next_step: ServerText | None = None


async def _webhook_name(agent_id: str | None, api: Api) -> str:
    """Name a webhook by its owner; raises NotFound for an unknown agent."""
    if agent_id is None:
        return "the project's webhook"
    return f"the webhook of the agent {(await api.agents.get(agent_id)).name!r}"


async def get_webhook(api: Api, agent_id: AgentId | None = None) -> WebhookInfo:
    """Show which URL gets the events of calls and texts: the project's webhook, or an agent's own."""
    name = await _webhook_name(agent_id, api)
    return webhook_info(await api.webhooks.get(agent_id), name)


async def describe_webhook_replacement(
    url: str, agent_id: str | None, context_limit: int | None, timeout: int | None, api: Api
) -> Action:
    """Describe the change of a webhook; one that takes no events from another needs no confirmation."""
    name, current = await _webhook_name(agent_id, api), await api.webhooks.get(agent_id)
    loser = current or (await api.webhooks.get() if agent_id else None)
    if current is not None:
        change = (
            f"Replace {name} {current.url} by {url}. Events go there at once, and the current secret stops signing."
        )
    elif loser is not None:
        change = (
            f"Set {name} to {url}. Its events go there at once, and no longer to the project's webhook {loser.url}."
        )
    else:
        change = f"Set {name} to {url}."
    return Action(
        change + other_arguments(quoted, context_limit=context_limit, timeout=timeout),
        verify_with="get_webhook",
        confirmation=loser.url if loser else None,
        is_first=loser is None,
        subject=agent_id or "project",
        next_step=_KEEP_SECRET,
        match_on={
            "agent_id": agent_id,
            "url": digest(url),
            "old_url": digest(current.url) if current else None,
            "old_secret": digest(current.secret) if current and current.secret else None,
        },
        # The API would reset to its defaults what is left out.
        resolved={
            "context_limit": current.context_limit if current and context_limit is None else context_limit,
            "answer_within": current.timeout if current and timeout is None else timeout,
        },
        relies_on={"webhook": identity(current), "loser": identity(loser)},
    )


async def set_webhook(
    url: WebhookUrl,
    action: Annotated[Action, destroying("set_webhook", describe_webhook_replacement)],
    api: Api,
    gate: AccountGate,
    agent_id: AgentId | None = None,
    context_limit: Annotated[int | None, Field(ge=0, le=50, description="Recent messages in each event")] = None,
    timeout: Annotated[int | None, Field(ge=5, le=120, description="Seconds to answer a voice turn")] = None,
    confirm: ConfirmText = None,
) -> Outcome[Webhook]:
    """Set the project's webhook, or an agent's own; its new secret is shown only now. Taking events needs confirm."""
    return await gate.execute(action, confirm, lambda: api.webhooks.set(url, agent_id, **action.resolved))


async def describe_webhook_deletion(agent_id: str | None, api: Api) -> Action:
    """Describe the deletion of a webhook."""
    name, current = await _webhook_name(agent_id, api), await api.webhooks.get(agent_id)
    if current is None:
        raise Refused(f"Nothing to delete: {name} is not set.")
    after = "agents without their own lose their events"
    project = await api.webhooks.get() if agent_id else None
    if agent_id:
        heir = f"the project's webhook {project.url} gets" if project else "nobody gets"
        after = f"{heir} its events"
    return Action(
        f"Delete {name} {current.url}. It cannot be undone; {after}.",
        verify_with="get_webhook",
        confirmation=current.url,
        match_on={"agent_id": agent_id},
        relies_on={"webhook": identity(current), "heir": identity(project)},
    )


async def delete_webhook(
    action: Annotated[Action, destroying("delete_webhook", describe_webhook_deletion)],
    api: Api,
    gate: AccountGate,
    agent_id: AgentId | None = None,
    confirm: ConfirmText = None,
) -> Outcome[Acknowledgement]:
    """Delete a webhook for good."""
    return await gate.execute(action, confirm, lambda: api.webhooks.delete(agent_id))


async def test_webhook(api: Api, agent_id: AgentId | None = None) -> WebhookTest:  # noqa: PT028 - it tests a webhook
    """Send a test event to the webhook and show how it answered."""
    return await api.webhooks.test(agent_id)


async def list_webhook_deliveries(
    api: Api, agent_id: AgentId | None = None, hours: Hours | None = None, limit: PageSize = 10, offset: Offset = 0
) -> Listed[Delivery]:
    """List events that were sent to a webhook, latest first, with status and error: why it is silent."""
    page = await api.webhooks.deliveries(agent_id, limit=limit, offset=offset, hours=hours)
    return listed(page, limit, offset, if_empty="Nothing was delivered.")


async def get_webhook_stats(api: Api, agent_id: AgentId | None = None, hours: Hours = 24) -> DeliveryStats:
    """Count a webhook's deliveries: delivered, failed, pending."""
    return await api.webhooks.stats(agent_id, hours=hours)


def webhook_info(webhook: Webhook | None, name: str = "the project's webhook") -> WebhookInfo:
    """Show a webhook without its secret."""
    if webhook is None:
        return WebhookInfo(is_set=False, next_step=f"set_webhook makes {name}.")
    secret_ends_in = webhook.secret[-4:] if webhook.secret else None
    return WebhookInfo.model_validate(dict(webhook) | {"is_set": True, "secret_ends_in": secret_ends_in})


TOOLS = [
    reads(get_webhook),
    creates(set_webhook, may_replace=True),
    destroys(delete_webhook),
    updates(test_webhook, idempotent=False, open_world=True),
    reads(list_webhook_deliveries),
    reads(get_webhook_stats),
]
