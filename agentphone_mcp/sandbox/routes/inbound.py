"""Simulate events from outside: a person calls or texts one of the account's numbers, or time passes."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.context import context_of
from agentphone_mcp.sandbox.data import billing as money
from agentphone_mcp.sandbox.data.callees import FRIENDLY, Callee, callee_at
from agentphone_mcp.sandbox.data.models import Call, Message
from agentphone_mcp.sandbox.http.addresses import e164
from agentphone_mcp.sandbox.http.validation import BadValueError, Field, read_body, text, texts
from agentphone_mcp.sandbox.http.validation import number as amount
from agentphone_mcp.sandbox.responses import RefusalError, created, ok, stamp
from agentphone_mcp.sandbox.routes.calls import call_json
from agentphone_mcp.sandbox.routes.messages import conversation_of, message_json, record
from agentphone_mcp.sandbox.voice_webhook import replies_for

_ANSWERED_AFTER = 2.0
_MOST_LINES = 200
_LONGEST_JUMP = 366 * 24 * 3600


def _lines(value: Any) -> list[str]:
    lines = [text(1, 2_000)(line) for line in texts(value)]
    if not 1 <= len(lines) <= _MOST_LINES:
        raise BadValueError(f"List should have 1 to {_MOST_LINES} items", "list_length")
    return lines


async def receive_call(request: Request) -> Response:
    """POST /__sandbox/calls: call in as the person at the `from` number, or speak the lines of `says`."""
    context = context_of(request)
    fields = {
        "from": Field(e164, required=True),
        "to": Field(e164, required=True),
        "says": Field(_lines),
    }
    body = await read_body(request, fields)
    number = context.number_at(body["to"])
    if number.agent_id is None:
        raise RefusalError(400, f"No agent answers at {number.phone_number}.", "VALIDATION_ERROR")
    agent = context.agent(number.agent_id)
    context.account.balance.require(money.LEAST_VOICE_CHARGE, "a call")
    call = Call(
        id=context.account.ids.new("call"),
        agent_id=agent.id,
        number_id=number.id,
        phone_number=number.phone_number,
        from_number=body["from"],
        to_number=number.phone_number,
        direction="inbound",
        mode=agent.settings["voiceMode"],
        is_denoised=agent.denoises,
        started_at=context.clock.now(),
        greeting=agent.settings["beginMessage"],
        prompt=agent.settings["systemPrompt"] or "",
        voicemail_message=agent.settings["voicemailMessage"],
        transfer_number=agent.settings["transferNumber"],
    )
    context.account.calls[call.id] = call
    context.simulator.dial(call, _caller(call.from_number, body.get("says")), replies_for(context, call))
    return created(call_json(request, call))


def _caller(phone_number: str, says: list[str] | None) -> Callee:
    """Return who calls. The agent answers after two seconds; a caller who is never answered hangs up before."""
    caller = replace(FRIENDLY, lines=tuple(says)) if says else callee_at(phone_number)
    return caller if caller.unanswered else replace(caller, rings=_ANSWERED_AFTER)


async def receive_text(request: Request) -> Response:
    """POST /__sandbox/messages: receive a text, at the usual price."""
    context = context_of(request)
    fields = {
        "from": Field(e164, required=True),
        "to": Field(e164, required=True),
        "body": Field(text(1, 1_600), required=True),
    }
    body = await read_body(request, fields)
    number = context.number_at(body["to"])
    cost = money.text_charge(body["body"])
    context.account.balance.require(cost, "a message")
    conversation = conversation_of(context, number, body["from"])
    message = Message(
        id=context.account.ids.new("msg"),
        conversation_id=conversation.id,
        number_id=number.id,
        from_number=body["from"],
        to_number=number.phone_number,
        body=body["body"],
        direction="inbound",
        status="received",
        at=context.clock.now(),
    )
    record(context, conversation, message, cost)
    context.webhook_events.message_received(conversation, message)
    return created(message_json(message))


async def advance_clock(request: Request) -> Response:
    """POST /__sandbox/clock: let `advance` seconds pass at once, with everything due in them, in order."""
    context = context_of(request)
    body = await read_body(request, {"advance": Field(amount(0, _LONGEST_JUMP), required=True)})
    await context.clock.advance(body["advance"])
    return ok({"now": stamp(context.clock.now())})


routes = [
    Route("/__sandbox/calls", receive_call, methods=["POST"]),
    Route("/__sandbox/messages", receive_text, methods=["POST"]),
    Route("/__sandbox/clock", advance_clock, methods=["POST"]),
]
