"""Ask the agent's webhook what to say: POST each turn of the other party, and speak the answer.

An answer is a JSON object, or NDJSON whose chunks are spoken as they arrive, each as its own turn. If it is not an
object, or an error status or a time-out, the agent is silent for that turn and the delivery is `failed`, with the
reason. The time-out applies to the first chunk, and again to each further one. Parts of an accepted answer that were
ignored, such as a transfer without a number, are listed in the delivery's `errorMessage`. Turns are never retried.
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
from agentphone_mcp.sandbox.webhooks.deliveries import BODY_LIMIT, RestartTimeout, excerpt
from agentphone_mcp.sandbox.webhooks.sender import UndeliverableError, iter_lines, read_response

_DIGITS = re.compile(r"[0-9A-D*#wW,]{1,64}")


def replies_for(context: SandboxContext, call: Call) -> Replies:
    """Choose what speaks for the agent: the built-in AI, or its webhook."""
    return Script() if call.mode == "hosted" else WebhookReplies(context)


class WebhookReplies:
    """Ask the agent's webhook, or else the project's; without any the agent is silent."""

    def __init__(self, context: SandboxContext) -> None:
        self._dispatcher = context.dispatcher
        self._events = context.webhook_events

    async def reply(self, call: Call, heard: str) -> Reply:
        """Return the answer, or its first chunk; the others follow by `then`."""
        endpoint = self._dispatcher.endpoint(call.agent_id)
        if endpoint is None:
            return Reply()
        webhook = endpoint.webhook
        event = self._events.voice_turn(call, heard, webhook.context_limit)
        answer = _StreamedAnswer(
            self._dispatcher.new_delivery(endpoint.agent_id, event, is_last_attempt=True), call.transfer_number
        )

        async def listen() -> None:
            try:
                await self._dispatcher.attempt(answer.delivery, webhook, answer.read, webhook.timeout)
            finally:
                answer.close()

        # Read on while earlier chunks are spoken, which may take longer than the webhook's time-out.
        self._dispatcher.run_in_background(listen())
        return await answer.next()


class _StreamedAnswer:
    """Queue the chunks of one answer between the webhook and the call."""

    def __init__(self, delivery: Delivery, transfer_number: str | None) -> None:
        self.delivery = delivery
        self._transfer_number = transfer_number
        self._chunks: asyncio.Queue[Reply | None] = asyncio.Queue()
        self._chunks_read = 0

    async def next(self) -> Reply:
        """Wait for the next chunk of the answer; silence after the last."""
        chunk = await self._chunks.get()
        return Reply() if chunk is None else replace(chunk, then=self.next)

    def close(self) -> None:
        """End the answer; a failed delivery records what the caller heard."""
        if self.delivery.status == "failed":
            heard = "no more" if self._chunks_read else "silence"
            self.delivery.error = f"{self.delivery.error} The caller heard {heard}."
        self._chunks.put_nowait(None)

    async def read(self, delivery: Delivery, answer: httpx.Response, restart_timeout: RestartTimeout) -> None:
        """Read the answer, chunk by chunk if it is NDJSON; each chunk restarts the time-out."""
        if answer.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-ndjson":
            body = await read_response(answer)
            delivery.response_body = excerpt(body)
            self._queue(body)
            return
        read = b""
        async for line in iter_lines(answer):
            if line.strip():
                read = (read + line + b"\n")[:BODY_LIMIT]
                delivery.response_body = excerpt(read)
                if not self._queue(line):
                    return
                restart_timeout()

    def _queue(self, written: bytes) -> bool:
        """Queue one object; tell whether it announces another."""
        try:
            read: Any = json.loads(written)
        except (ValueError, RecursionError):
            raise UndeliverableError("The answer is not JSON.") from None
        if not isinstance(read, dict):
            raise UndeliverableError("The answer is no JSON object.")
        body = cast(Json, read)
        parsed = parse_answer(body, self._transfer_number)
        if parsed.ignored:
            self.delivery.error = " ".join(filter(None, (self.delivery.error, *parsed.ignored)))
        self._chunks.put_nowait(parsed.reply)
        self._chunks_read += 1
        return body.get("interim") is True


@dataclass(frozen=True)
class ParsedAnswer:
    """Hold what to do for one object of an answer, and why other parts of it are ignored."""

    reply: Reply
    ignored: tuple[str, ...] = ()


def parse_answer(body: Json, transfer_number: str | None) -> ParsedAnswer:
    """Parse one object: `text`, `hangup`, `action`, and `digits` (keys to press) under any of three names."""
    ignored: list[str] = []
    text, action = body.get("text"), body.get("action")
    if text is not None and not isinstance(text, str):
        ignored.append("text is no string and was not spoken.")
    if action not in (None, "transfer", "hangup"):
        ignored.append(f"The action {str(action)[:40]!r} is unknown and was ignored.")
    if action == "transfer" and not transfer_number:
        ignored.append("The transfer was ignored: the agent has no transferNumber.")
    pressed = next((body[name] for name in ("digits", "press_digit", "dtmf") if body.get(name) is not None), None)
    digits = str(pressed) if isinstance(pressed, str | int) and not isinstance(pressed, bool) else ""
    if pressed is not None and not _DIGITS.fullmatch(digits):
        ignored.append("digits are no keys of a telephone and were not pressed.")
        digits = ""
    if not (text or digits or action or body.get("hangup")):
        ignored.append("Nothing was said: the caller heard silence.")
    reply = Reply(
        # A lone surrogate cannot be written as JSON.
        text=text.encode(errors="replace").decode().strip() or None if isinstance(text, str) else None,
        hangup=body.get("hangup") is True or action == "hangup",
        transfer=action == "transfer" and bool(transfer_number),
        digits=digits or None,
    )
    return ParsedAnswer(reply, tuple(ignored))
