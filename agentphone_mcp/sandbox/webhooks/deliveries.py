"""Delivers events to webhooks: once, or again and again until somebody takes them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from agentphone_mcp.sandbox import rows as shown
from agentphone_mcp.sandbox.clock import Clock
from agentphone_mcp.sandbox.data.models import Account, Delivery, Webhook
from agentphone_mcp.sandbox.event_stream import EventStream
from agentphone_mcp.sandbox.webhooks.sender import UndeliverableError, WebhookSender, whole

Renew = Callable[[], None]
"""Gives a webhook all of its time again."""
Reader = Callable[[Delivery, httpx.Response, Renew], Awaitable[None]]

# After a failure: 5 min, 30 min, 2 h, 6 h, 12 h (API.md, "Webhooks that AgentPhone sends").
RETRIES_AFTER = (300, 1_800, 7_200, 21_600, 43_200)
_LONGEST_TEST = 5.0
MOST_KEPT = 1_000


@dataclass(frozen=True)
class Endpoint:
    """A webhook, and the agent whose own it is; None when it is the project's."""

    webhook: Webhook
    agent_id: str | None


class WebhookDispatcher:
    """Carries the account's events and records how it went.

    `minimum_timeout` is in real seconds: a webhook is never given less, however the clock is hurried.
    """

    def __init__(
        self,
        account: Account,
        clock: Clock,
        sender: WebhookSender | None = None,
        event_stream: EventStream | None = None,
    ) -> None:
        self.minimum_timeout = 1.0
        self._account = account
        self._event_stream = event_stream or EventStream()
        self._clock = clock
        self._sender = sender or WebhookSender()
        self._background_tasks: set[asyncio.Task[None]] = set()

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
        self.run_in_background(self._persist(delivery))
        return delivery

    def resume(self) -> None:
        """Go on with the deliveries that an earlier run of the sandbox left pending."""
        for delivery in self._account.deliveries:
            if delivery.status == "pending" and delivery.is_last_attempt:
                _give_up(delivery, "The sandbox was closed.")
            elif delivery.status == "pending":
                self.run_in_background(self._persist(delivery))

    async def deliver(self, webhook: Webhook, agent_id: str | None, event: dict[str, Any]) -> Delivery:
        """Try once, now, as a webhook's test does."""
        delivery = self.opened(agent_id, event, is_last_attempt=True)
        await self.exchange(delivery, webhook, _record_body, min(webhook.timeout, _LONGEST_TEST))
        return delivery

    def opened(self, agent_id: str | None, event: dict[str, Any], *, is_last_attempt: bool = False) -> Delivery:
        """A new record of a delivery to the webhook of that agent, or of the project."""
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

    async def exchange(self, delivery: Delivery, webhook: Webhook, read: Reader, seconds: float) -> bool:
        """One attempt: `read` takes the answer in, as it arrives. Records how it went and tells whether it was taken.

        The webhook has `seconds` of the sandbox's time, but never less than the least patience, and again as much
        whenever `read` says that it has answered in part.
        """
        started = time.monotonic()
        delivery.attempts += 1
        delivery.last_attempt_at = self._clock.now()
        delivery.error = delivery.status_code = delivery.response_body = None
        is_taken = False
        try:
            with self._clock.working():
                async with (
                    self._time_limit(seconds) as renew,
                    self._sender.posting(webhook.url, webhook.secret, delivery.id, delivery.payload) as answer,
                ):
                    delivery.status_code = answer.status_code
                    if answer.is_success:
                        await read(delivery, answer, renew)
                        is_taken = True
                    else:
                        delivery.error = f"The webhook answered {answer.status_code}."
                        await _record_body(delivery, answer, renew)
        except TimeoutError:
            delivery.error = f"The webhook did not answer within {seconds:g} s."
        except UndeliverableError as failed:
            delivery.error = str(failed)
            delivery.is_last_attempt |= failed.is_final
        delivery.response_ms = round((time.monotonic() - started) * 1000)
        if is_taken:
            delivery.status, delivery.delivered_at = "success", self._clock.now()
        elif delivery.is_last_attempt or delivery.attempts > len(RETRIES_AFTER):
            _give_up(delivery, delivery.error)
        if delivery.status != "pending":
            # Histories add up: what will not be sent again is not kept.
            delivery.payload = {}
        self._event_stream.publish("delivery", shown.delivery(delivery))
        return is_taken

    @asynccontextmanager
    async def _time_limit(self, seconds: float) -> AsyncGenerator[Renew, None]:
        async def watch(limit: asyncio.Timeout) -> None:
            due = self._clock.now() + timedelta(seconds=seconds)
            await asyncio.sleep(self.minimum_timeout)
            await self._clock.sleep((due - self._clock.now()).total_seconds())
            limit.reschedule(asyncio.get_running_loop().time())

        async with asyncio.timeout(None) as limit:
            watching = asyncio.create_task(watch(limit))

            def renew() -> None:
                nonlocal watching
                watching.cancel()
                watching = asyncio.create_task(watch(limit))

            try:
                yield renew
            finally:
                watching.cancel()

    def run_in_background(self, course: Coroutine[Any, Any, None]) -> None:
        """Run it in the background until it is done or the sandbox closes."""
        task = asyncio.create_task(course)
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    async def aclose(self) -> None:
        """Drop all errands where they are, and close the connections."""
        await self.cancel_background_tasks()
        await self._sender.aclose()

    async def cancel_background_tasks(self) -> None:
        """Stop delivering what is under way."""
        errands = list(self._background_tasks)
        for run_in_background in errands:
            run_in_background.cancel()
        await asyncio.gather(*errands, return_exceptions=True)

    async def _persist(self, delivery: Delivery) -> None:
        """Try until the webhook takes it or the attempts are used up, on the sandbox's own clock."""
        while delivery.status == "pending":
            if delivery.next_retry_at:
                await self._clock.sleep((delivery.next_retry_at - self._clock.now()).total_seconds())
            owner = self._account.agents.get(delivery.agent_id) if delivery.agent_id else self._account
            webhook = owner and owner.webhook
            delivery.next_retry_at = None
            if webhook is None:
                _give_up(delivery, "The webhook was deleted.")
                return
            if (
                not await self.exchange(delivery, webhook, _record_body, webhook.timeout)
                and delivery.status == "pending"
            ):
                pause = timedelta(seconds=RETRIES_AFTER[delivery.attempts - 1])
                delivery.next_retry_at = self._clock.now() + pause


async def _record_body(delivery: Delivery, answer: httpx.Response, _: Renew) -> None:
    delivery.response_body = noted(await whole(answer))


def _give_up(delivery: Delivery, error: str | None) -> None:
    delivery.status, delivery.error = "failed", error


def noted(body: bytes) -> str:
    """As much of an answer as a record keeps."""
    return body[:MOST_KEPT].decode(errors="replace")
