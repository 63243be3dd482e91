"""A webhook speaks for the agent: each turn of the other party is POSTed to it, and its answer is spoken.

An answer is a JSON object, or NDJSON whose chunks are spoken as they arrive, each as a turn of its own. An answer that
is no object, an error status and a time-out are silence for that turn: its delivery says `failed` and why. The time-out
is for the beginning of an answer, and anew for each further chunk. What could not be followed in an answer that was
taken, such as a transfer without a number, stands in the delivery's `errorMessage` too. Turns are never delivered a
second time.
"""

import asyncio
import json
import re
from dataclasses import dataclass, replace
from typing import Any, cast

import httpx

from agentphone_mcp.sandbox.calls.replies import Replies, Reply, Script
from agentphone_mcp.sandbox.context import SandboxContext
from agentphone_mcp.sandbox.data.models import Call, Delivery
from agentphone_mcp.sandbox.responses import Json
from agentphone_mcp.sandbox.webhooks.deliveries import MOST_KEPT, Renew, WebhookDispatcher, noted
from agentphone_mcp.sandbox.webhooks.events import WebhookEvents
from agentphone_mcp.sandbox.webhooks.sender import UndeliverableError, lines_of, whole

_DIGITS = re.compile(r"[0-9A-D*#wW,]{1,64}")


def replies_for(context: SandboxContext, call: Call) -> Replies:
    """Who holds the call for the agent: the built-in AI, or its webhook."""
    return Script() if call.mode == "hosted" else WebhookReplies(context.dispatcher, context.webhook_events)


class WebhookReplies:
    """Asks the agent's webhook, else the project's; without any the caller hears nothing."""

    def __init__(self, dispatcher: WebhookDispatcher, events: WebhookEvents) -> None:
        self._dispatcher = dispatcher
        self._events = events

    async def reply(self, call: Call, heard: str) -> Reply:
        """Wait for the answer, or for its first chunk; the others follow by `then`."""
        endpoint = self._dispatcher.endpoint(call.agent_id)
        if endpoint is None:
            return Reply()
        webhook = endpoint.webhook
        event = self._events.voice_turn(call, heard, webhook.context_limit)
        turn = _Turn(self._dispatcher.opened(endpoint.agent_id, event, is_last_attempt=True), call.transfer_number)

        async def listen() -> None:
            try:
                await self._dispatcher.exchange(turn.delivery, webhook, turn.read, webhook.timeout)
            finally:
                turn.close()

        # Read while earlier chunks are spoken, which may take longer than the webhook's time-out.
        self._dispatcher.run_in_background(listen())
        return await turn.next()


class _Turn:
    """One answer on its way from the webhook to the caller's ear."""

    def __init__(self, delivery: Delivery, transfer_number: str | None) -> None:
        self.delivery = delivery
        self._transfer_number = transfer_number
        self._parts: asyncio.Queue[Reply | None] = asyncio.Queue()
        self._parts_taken = 0

    async def next(self) -> Reply:
        """The next part of the answer, as soon as it is there; silence after the last."""
        part = await self._parts.get()
        return Reply() if part is None else replace(part, then=self.next)

    def close(self) -> None:
        """No more will come. A turn without a word says why in its delivery."""
        if self.delivery.status == "failed":
            heard = "no more" if self._parts_taken else "silence"
            self.delivery.error = f"{self.delivery.error} The caller heard {heard}."
        self._parts.put_nowait(None)

    async def read(self, delivery: Delivery, answer: httpx.Response, renew: Renew) -> None:
        """Take in the answer, part by part if it is NDJSON; each part gives the next one its time."""
        if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-ndjson":
            body = await whole(answer)
            delivery.response_body = noted(body)
            self._take(body)
            return
        read = b""
        async for line in lines_of(answer):
            if line.strip():
                read = (read + line + b"\n")[:MOST_KEPT]
                delivery.response_body = noted(read)
                if not self._take(line):
                    return
                renew()

    def _take(self, written: bytes) -> bool:
        """Pass one object on; tells whether it announces another."""
        try:
            read: Any = json.loads(written)
        except (ValueError, RecursionError):
            raise UndeliverableError("The answer is not JSON.") from None
        if not isinstance(read, dict):
            raise UndeliverableError("The answer is no JSON object.")
        said = cast(Json, read)
        understood = understand(said, self._transfer_number)
        if understood.unfollowed:
            self.delivery.error = " ".join(filter(None, (self.delivery.error, *understood.unfollowed)))
        self._parts.put_nowait(understood.reply)
        self._parts_taken += 1
        return said.get("interim") is True


@dataclass(frozen=True)
class Understood:
    """What is done with one object of an answer, and what of it is not, in words."""

    reply: Reply
    unfollowed: tuple[str, ...] = ()


def understand(said: Json, transfer_number: str | None) -> Understood:
    """Read one object: `text`, `hangup`, `action`, and `digits` under any of its three names."""
    unfollowed: list[str] = []
    text, action = said.get("text"), said.get("action")
    if text is not None and not isinstance(text, str):
        unfollowed.append("text is no string and was not spoken.")
    if action not in (None, "transfer", "hangup"):
        unfollowed.append(f"The action {str(action)[:40]!r} is unknown and was ignored.")
    if action == "transfer" and not transfer_number:
        unfollowed.append("The transfer was ignored: the agent has no transferNumber.")
    pressed = next((said[name] for name in ("digits", "press_digit", "dtmf") if said.get(name) is not None), None)
    digits = str(pressed) if isinstance(pressed, str | int) and not isinstance(pressed, bool) else ""
    if pressed is not None and not _DIGITS.fullmatch(digits):
        unfollowed.append("digits are no keys of a telephone and were not pressed.")
        digits = ""
    if not (text or digits or action or said.get("hangup")):
        unfollowed.append("Nothing was said: the caller heard silence.")
    reply = Reply(
        # A lone surrogate could be heard, but never be told in JSON again.
        text=text.encode(errors="replace").decode().strip() or None if isinstance(text, str) else None,
        hangup=said.get("hangup") is True or action == "hangup",
        transfer=action == "transfer" and bool(transfer_number),
        digits=digits or None,
    )
    return Understood(reply, tuple(unfollowed))
