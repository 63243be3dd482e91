"""Delivers events to webhooks: once, or again and again until somebody takes them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.postman import Postman, UndeliverableError, whole
from agentphone_mcp.sandbox.state import Account, Delivery, Webhook

Reader = Callable[[httpx.Response], Awaitable[None]]

# After a failure: 5 min, 30 min, 2 h, 6 h, 12 h (API.md, "Webhooks that AgentPhone sends").
RETRIES_AFTER = (300, 1_800, 7_200, 21_600, 43_200)
_LONGEST_TEST = 5.0
MOST_KEPT = 1_000


@dataclass(frozen=True)
class Endpoint:
    """A webhook, and the agent whose own it is; None when it is the project's."""

    webhook: Webhook
    agent_id: str | None


class Courier:
    """Carries the account's events and records how it went.

    `least_patience` is in real seconds: a webhook is never given less, however the clock is hurried.
    """

    def __init__(self, account: Account, clock: Clock, postman: Postman | None = None) -> None:
        self.least_patience = 1.0
        self._account = account
        self._clock = clock
        self._postman = postman or Postman()
        self._errands: set[asyncio.Task[None]] = set()

    def endpoint(self, agent_id: str | None) -> Endpoint | None:
        """The one webhook that an agent's events go to: its own, else the project's."""
        agent = self._account.agents.get(agent_id or "")
        if agent and agent.webhook:
            return Endpoint(agent.webhook, agent.id)
        return Endpoint(self._account.webhook, None) if self._account.webhook else None

    def send(self, event: dict[str, Any], message_id: str | None = None) -> Delivery | None:
        """Deliver the event to its agent's endpoint, in the background and up to six times."""
        endpoint = self.endpoint(event["agentId"])
        if endpoint is None:
            return None
        delivery = self.opened(endpoint.agent_id, event)
        delivery.message_id = message_id
        self.errand(self._persist(delivery))
        return delivery

    def resume(self) -> None:
        """Go on with the deliveries that an earlier run of the sandbox left pending."""
        for delivery in self._account.deliveries:
            if delivery.status == "pending":
                self.errand(self._persist(delivery))

    async def deliver(self, webhook: Webhook, agent_id: str | None, event: dict[str, Any]) -> Delivery:
        """Try once, now, as a webhook's test does."""
        delivery = self.opened(agent_id, event)
        await self._attempt(delivery, webhook, min(self.patience(webhook), _LONGEST_TEST))
        return delivery

    def opened(self, agent_id: str | None, event: dict[str, Any]) -> Delivery:
        """A new record of a delivery to the webhook of that agent, or of the project."""
        delivery = Delivery(
            id=self._account.ids.new("del"),
            agent_id=agent_id,
            event=event["event"],
            channel=event["channel"],
            created_at=self._clock.now(),
            payload=event,
        )
        self._account.deliveries.append(delivery)
        return delivery

    def patience(self, webhook: Webhook) -> float:
        """How many real seconds the webhook has for its answer."""
        return max(webhook.timeout / self._clock.speed, self.least_patience)

    async def exchange(self, delivery: Delivery, webhook: Webhook, seconds: float, read: Reader) -> bool:
        """One attempt: `read` takes the answer in, as it arrives. How it went is recorded, and whether it was taken."""
        started = time.monotonic()
        delivery.attempts += 1
        delivery.last_attempt_at = self._clock.now()
        delivery.error = delivery.status_code = delivery.response_body = None
        is_taken = False
        try:
            with self._clock.working():
                async with (
                    asyncio.timeout(seconds),
                    self._postman.posting(webhook.url, webhook.secret, delivery.id, delivery.payload) as answer,
                ):
                    delivery.status_code = answer.status_code
                    if answer.is_success:
                        await read(answer)
                        is_taken = True
                    else:
                        delivery.error = f"The webhook answered {answer.status_code}."
                        delivery.response_body = noted(await whole(answer))
        except TimeoutError:
            delivery.error = f"The webhook did not answer within {webhook.timeout} s."
        except UndeliverableError as failed:
            delivery.error, delivery.is_final = str(failed), failed.is_final
        delivery.response_ms = round((time.monotonic() - started) * 1000)
        delivery.status = "success" if is_taken else "failed"
        delivery.delivered_at = self._clock.now() if is_taken else None
        return is_taken

    def errand(self, course: Coroutine[Any, Any, None]) -> None:
        """Run it in the background until it is done or the sandbox closes."""
        task = asyncio.create_task(course)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def aclose(self) -> None:
        """Drop all errands where they are."""
        errands = list(self._errands)
        for errand in errands:
            errand.cancel()
        await asyncio.gather(*errands, return_exceptions=True)
        await self._postman.aclose()

    async def _persist(self, delivery: Delivery) -> None:
        """Try until the webhook takes it or the attempts are used up, on the sandbox's own clock."""
        while delivery.status == "pending":
            if delivery.next_retry_at:
                await self._clock.sleep((delivery.next_retry_at - self._clock.now()).total_seconds())
            owner = self._account.agents.get(delivery.agent_id) if delivery.agent_id else self._account
            webhook = owner and owner.webhook
            delivery.next_retry_at = None
            if webhook is None:
                delivery.status, delivery.error = "failed", "The webhook was deleted."
                return
            is_taken = await self._attempt(delivery, webhook, self.patience(webhook))
            if not (is_taken or delivery.is_final) and delivery.attempts <= len(RETRIES_AFTER):
                delivery.status = "pending"
                pause = timedelta(seconds=RETRIES_AFTER[delivery.attempts - 1])
                delivery.next_retry_at = self._clock.now() + pause

    async def _attempt(self, delivery: Delivery, webhook: Webhook, seconds: float) -> bool:
        async def read(answer: httpx.Response) -> None:
            delivery.response_body = noted(await whole(answer))

        return await self.exchange(delivery, webhook, seconds, read)


def noted(body: bytes) -> str:
    """As much of an answer as a record keeps."""
    return body[:MOST_KEPT].decode(errors="replace")
