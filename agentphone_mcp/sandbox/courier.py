"""Delivers events to webhooks, on this machine only."""

import time
from typing import Any

import httpx

from agentphone_mcp.sandbox import shown
from agentphone_mcp.sandbox.addresses import is_loopback
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.feed import Feed
from agentphone_mcp.sandbox.state import Account, Delivery, Webhook

_PATIENCE = 5.0


class Courier:
    """POSTs an event once and records how it went."""

    def __init__(self, account: Account, clock: Clock, feed: Feed | None = None) -> None:
        self._account = account
        self._feed = feed or Feed()
        self._clock = clock

    async def deliver(self, webhook: Webhook, agent_id: str | None, event: dict[str, Any]) -> Delivery:
        """Send the event to the webhook and keep the outcome among the account's deliveries."""
        started = time.monotonic()
        status, body, error = await self._post(webhook, event)
        delivery = Delivery(
            id=self._account.ids.new("del"),
            agent_id=agent_id,
            event=event["event"],
            channel=event["channel"],
            created_at=self._clock.now(),
            status_code=status,
            response_body=body,
            response_ms=round((time.monotonic() - started) * 1000),
            error=error,
        )
        self._account.deliveries.append(delivery)
        self._feed.tell("delivery", shown.delivery(delivery))
        return delivery

    async def _post(self, webhook: Webhook, event: dict[str, Any]) -> tuple[int | None, str | None, str | None]:
        if not is_loopback(webhook.url):
            return None, None, "the sandbox delivers to loopback only"
        try:
            # Proxies of the environment are ignored, else a loopback delivery could leave the machine.
            async with httpx.AsyncClient(timeout=min(_PATIENCE, webhook.timeout), trust_env=False) as client:
                answer = await client.post(webhook.url, json=event)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None, None, f"{type(error).__name__}: {error}".rstrip(": ")
        error = None if answer.is_success else f"The webhook answered {answer.status_code}."
        return answer.status_code, answer.text[:1000], error
