"""Deliver events to webhooks, with retries, and record each delivery."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from agentphone_mcp.sandbox import rows
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.models import Account, Delivery, Webhook
from agentphone_mcp.sandbox.event_stream import EventStream
from agentphone_mcp.sandbox.webhooks.sender import UndeliverableError, WebhookSender, read_response

RestartTimeout = Callable[[], None]
ResponseReader = Callable[[Delivery, httpx.Response, RestartTimeout], Awaitable[None]]

# After a failure: 5 min, 30 min, 2 h, 6 h, 12 h (API.md, "Webhooks that AgentPhone sends").
RETRIES_AFTER = (300, 1_800, 7_200, 21_600, 43_200)
_TEST_TIMEOUT = 5.0
BODY_LIMIT = 1_000


@dataclass(frozen=True)
class Endpoint:
    """Name a webhook and its agent; `agent_id` is None for the project's webhook."""

    webhook: Webhook
    agent_id: str | None


class WebhookDispatcher:
    """Deliver the account's events and record the outcome.

    `minimum_timeout` is in real seconds: a webhook never gets less, however fast the clock runs.
    """

    def __init__(self, account: Account, clock: Clock, sender: WebhookSender, event_stream: EventStream) -> None:
        self.minimum_timeout = 1.0
        self._account = account
        self._event_stream = event_stream
        self._clock = clock
        self._sender = sender
        self._background_tasks: set[asyncio.Task[None]] = set()

    def endpoint(self, agent_id: str | None) -> Endpoint | None:
        """Return the webhook for an agent's events: its own, or else the project's."""
        agent = self._account.agents.get(agent_id or "")
        if agent and agent.webhook:
            return Endpoint(agent.webhook, agent.id)
        return Endpoint(self._account.webhook, None) if self._account.webhook else None

    def send(self, event: dict[str, Any], message_id: str | None = None) -> Delivery | None:
        """Deliver an event to its agent's endpoint in the background, in up to six attempts."""
        endpoint = self.endpoint(event["agentId"])
        if endpoint is None:
            return None
        delivery = self.new_delivery(endpoint.agent_id, event)
        delivery.message_id = message_id
        self.run_in_background(self._deliver_with_retries(delivery))
        return delivery

    def resume(self) -> None:
        """Continue the deliveries that an earlier run of the sandbox left pending."""
        for delivery in self._account.deliveries:
            if delivery.status == "pending" and delivery.is_last_attempt:
                _mark_failed(delivery, "The sandbox was closed.")
            elif delivery.status == "pending":
                self.run_in_background(self._deliver_with_retries(delivery))

    async def deliver(self, webhook: Webhook, agent_id: str | None, event: dict[str, Any]) -> Delivery:
        """Deliver an event now, in one attempt, as the test of a webhook does."""
        delivery = self.new_delivery(agent_id, event, is_last_attempt=True)
        await self.attempt(delivery, webhook, _record_body, min(webhook.timeout, _TEST_TIMEOUT))
        return delivery

    def new_delivery(self, agent_id: str | None, event: dict[str, Any], *, is_last_attempt: bool = False) -> Delivery:
        """Record a new delivery to the webhook of that agent, or of the project."""
        delivery = Delivery(
            id=self._account.ids.new("del"),
            agent_id=agent_id,
            event=event["event"],
            channel=event["channel"],
            created_at=self._clock.now(),
            payload=event,
            is_last_attempt=is_last_attempt,
        )
        self._account.deliveries.append(delivery)
        return delivery

    async def attempt(self, delivery: Delivery, webhook: Webhook, read: ResponseReader, seconds: float) -> None:
        """Make one attempt, and let `read` read the answer as it arrives.

        The webhook has `seconds` of the sandbox's time, but at least the minimum timeout, and again as much
        whenever `read` restarts the time-out.
        """
        started = time.monotonic()
        delivery.attempts += 1
        delivery.last_attempt_at = self._clock.now()
        delivery.error = delivery.status_code = delivery.response_body = None
        is_accepted = False
        try:
            with self._clock.working():
                async with (
                    self._time_limit(seconds) as restart_timeout,
                    self._sender.post(webhook.url, webhook.secret, delivery.id, delivery.payload) as answer,
                ):
                    delivery.status_code = answer.status_code
                    if answer.is_success:
                        await read(delivery, answer, restart_timeout)
                        is_accepted = True
                    else:
                        delivery.error = f"The webhook answered {answer.status_code}."
                        await _record_body(delivery, answer, restart_timeout)
        except TimeoutError:
            delivery.error = f"The webhook did not answer within {seconds:g} s."
        except UndeliverableError as exc:
            delivery.error = str(exc)
            delivery.is_last_attempt |= exc.is_final
        delivery.response_ms = round((time.monotonic() - started) * 1000)
        if is_accepted:
            delivery.status, delivery.delivered_at = "success", self._clock.now()
        elif delivery.is_last_attempt or delivery.attempts > len(RETRIES_AFTER):
            _mark_failed(delivery, delivery.error)
        if delivery.status != "pending":
            # Payloads with their histories add up, so drop what will not be sent again.
            delivery.payload = {}
        self._event_stream.publish("delivery", rows.delivery(delivery))

    @asynccontextmanager
    async def _time_limit(self, seconds: float) -> AsyncGenerator[RestartTimeout, None]:
        async def expire(limit: asyncio.Timeout) -> None:
            due = self._clock.now() + timedelta(seconds=seconds)
            await asyncio.sleep(self.minimum_timeout)
            await self._clock.sleep((due - self._clock.now()).total_seconds())
            limit.reschedule(asyncio.get_running_loop().time())

        async with asyncio.timeout(None) as limit:
            timer = asyncio.create_task(expire(limit))

            def restart_timeout() -> None:
                nonlocal timer
                timer.cancel()
                timer = asyncio.create_task(expire(limit))

            try:
                yield restart_timeout
            finally:
                timer.cancel()

    def run_in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the background until it is done or the sandbox closes."""
        task = asyncio.create_task(coroutine)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    async def aclose(self) -> None:
        """Cancel the background tasks and close the connections."""
        await self.cancel_background_tasks()
        await self._sender.aclose()

    async def cancel_background_tasks(self) -> None:
        """Cancel the deliveries in progress."""
        tasks = list(self._background_tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver_with_retries(self, delivery: Delivery) -> None:
        """Attempt a delivery until it is accepted or the attempts are used up, by the sandbox's clock."""
        while delivery.status == "pending":
            if delivery.next_retry_at:
                await self._clock.sleep((delivery.next_retry_at - self._clock.now()).total_seconds())
            owner = self._account.agents.get(delivery.agent_id) if delivery.agent_id else self._account
            webhook = owner and owner.webhook
            delivery.next_retry_at = None
            if webhook is None:
                _mark_failed(delivery, "The webhook was deleted.")
                return
            await self.attempt(delivery, webhook, _record_body, webhook.timeout)
            if delivery.status == "pending":
                pause = timedelta(seconds=RETRIES_AFTER[delivery.attempts - 1])
                delivery.next_retry_at = self._clock.now() + pause


async def _record_body(delivery: Delivery, answer: httpx.Response, _: RestartTimeout) -> None:
    delivery.response_body = excerpt(await read_response(answer))


def _mark_failed(delivery: Delivery, error: str | None) -> None:
    delivery.status, delivery.error = "failed", error


def excerpt(body: bytes) -> str:
    """Return as much of an answer's body as a record keeps."""
    return body[:BODY_LIMIT].decode(errors="replace")
