"""Manage the webhooks that receive calls and texts: the project's and each agent's own."""

from collections import Counter
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator, AliasChoices, Field, RootModel, model_validator

from agentphone_mcp.api.errors import NotFound
from agentphone_mcp.api.models import Acknowledgement, ApiModel, Page, UtcTime, request_body
from agentphone_mcp.api.parsing import is_object
from agentphone_mcp.api.provenance import IdText, ServerText, StrangersText, UrlText, Words, WordText
from agentphone_mcp.api.redaction import Secret
from agentphone_mcp.api.transport import Endpoints

_PAGE = 100
_DELIVERED = ("success", "succeeded", "delivered", "completed")
_FAILED = ("failed", "failure", "error")


def _one_word(url: str) -> str:
    """Encode what would divide an address or hide in it: in a sentence the rest would read as the server's words."""
    return "".join(char if char.isprintable() and char not in ' "' else quote(char) for char in url)


class Webhook(ApiModel):
    """Describes a webhook; setting it again creates a new secret, and the old one no longer signs."""

    id: IdText | None = None
    url: Annotated[UrlText, AfterValidator(_one_word)]
    secret: Secret | None = None
    status: WordText | None = None
    context_limit: int | None = None
    timeout: Annotated[int | None, Field(description="Seconds")] = None
    created_at: UtcTime = None


class _MaybeWebhook(RootModel[Webhook | None]):
    """Parses a webhook, or null or `{}` where none is set."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_set(cls, answer: Any) -> Any:
        return answer or None


class WebhookTest(ApiModel):
    """Describes how the webhook answered a test event."""

    success: bool | None = None
    status_code: int | None = None
    response_ms: float | None = None
    error: StrangersText | None = None


class Delivery(ApiModel):
    """Describes the delivery of one event."""

    id: IdText
    event: Annotated[WordText | None, Field(validation_alias=AliasChoices("eventType", "event"))] = None
    channel: WordText | None = None
    status: WordText | None = None
    http_status: Annotated[int | None, Field(validation_alias=AliasChoices("httpStatus", "statusCode"))] = None
    attempts: Annotated[int | None, Field(validation_alias=AliasChoices("attemptCount", "attempts"))] = None
    error: Annotated[StrangersText | None, Field(validation_alias=AliasChoices("errorMessage", "error"))] = None
    next_retry_at: UtcTime = None
    at: Annotated[UtcTime, Field(validation_alias=AliasChoices("createdAt", "deliveredAt"))] = None

    @model_validator(mode="before")
    @classmethod
    def _success_is_a_status(cls, row: Any) -> Any:
        if is_object(row) and row.get("status") is None and isinstance(row.get("success"), bool):
            return {**row, "status": "success" if row["success"] else "failed"}
        return row


class DeliveryStats(ApiModel):
    """Counts deliveries; `success_rate` is in percent."""

    total: int | None = None
    success: int | None = None
    failed: int | None = None
    pending: int | None = None
    success_rate: float | None = None
    by_event_type: Annotated[dict[str, Any] | None, Words.WORD] = None
    counted: Annotated[ServerText | None, Field(description="What was counted, where the API has no figures")] = None


class WebhooksApi(Endpoints):
    """Calls `/v1/webhooks`, or with an agent id `/v1/agents/{agent_id}/webhook`."""

    async def get(self, agent_id: str | None = None) -> Webhook | None:
        """Return the project's webhook, or the agent's own; None if none is set."""
        try:
            return (await self._transport.get(_path(agent_id), _MaybeWebhook, None, **_ids(agent_id))).root
        except NotFound:
            return None

    async def set(
        self,
        url: str,
        agent_id: str | None = None,
        *,
        context_limit: int | None = None,
        answer_within: int | None = None,
    ) -> Webhook:
        """Create or replace the project's webhook or an agent's, at a public https URL, with a new secret each time.

        Each event carries `context_limit` recent messages (0 to 50). `answer_within` is the API's `timeout`: the
        seconds a voice turn waits for an answer (5 to 120).
        """
        body = request_body(url=url, context_limit=context_limit, timeout=answer_within)
        return await self._transport.post(_path(agent_id), Webhook, body, **_ids(agent_id))

    async def delete(self, agent_id: str | None = None) -> Acknowledgement:
        """Remove a webhook; an agent's events then go to the project's."""
        return await self._transport.delete(_path(agent_id), Acknowledgement, **_ids(agent_id))

    async def test(self, agent_id: str | None = None) -> WebhookTest:
        """Have a test event sent to the webhook."""
        return await self._transport.post(_path(agent_id, "/test"), WebhookTest, **_ids(agent_id))

    async def deliveries(
        self, agent_id: str | None = None, *, limit: int = 10, offset: int = 0, hours: int | None = None
    ) -> Page[Delivery]:
        """Return one page of deliveries, latest first."""
        query = {"limit": limit, "offset": offset, "hours": hours}
        return await self._transport.get(_path(agent_id, "/deliveries"), Page[Delivery], query, **_ids(agent_id))

    async def stats(self, agent_id: str | None = None, *, hours: int = 24) -> DeliveryStats:
        """Count the deliveries of the last hours; the API counts the project's, an agent's are counted here."""
        if agent_id is None:
            return await self._transport.get(_path(None, "/deliveries/stats"), DeliveryStats, {"hours": hours})
        return _count(await self.deliveries(agent_id, limit=_PAGE, hours=hours))


def _path(agent_id: str | None, below: str = "") -> str:
    return f"/v1/webhooks{below}" if agent_id is None else f"/v1/agents/{{agent_id}}/webhook{below}"


def _ids(agent_id: str | None) -> dict[str, str]:
    return {} if agent_id is None else {"agent_id": agent_id}


def _count(page: Page[Delivery]) -> DeliveryStats:
    seen = len(page.data)
    success = sum(row.status in _DELIVERED for row in page.data)
    failed = sum(row.status in _FAILED for row in page.data)
    return DeliveryStats(
        total=seen,
        success=success,
        failed=failed,
        pending=seen - success - failed,
        success_rate=round(100 * success / seen, 1) if seen else None,
        by_event_type=dict(Counter(row.event or "unknown" for row in page.data)) or None,
        counted=f"the latest {seen} deliveries" if page.next_offset(0, _PAGE) else None,
    )
