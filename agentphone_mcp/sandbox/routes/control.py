"""Control the sandbox itself under `/__sandbox/…`, with its key.

Reset it, set its balance, register a number, break answers, read the log, and simulate what comes from outside: a
person calls or texts one of the account's numbers, or time passes.
"""

import json
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.authentication import LOG_LIMIT
from agentphone_mcp.sandbox.context import context_of
from agentphone_mcp.sandbox.data.callees import FRIENDLY, Callee, callee_at
from agentphone_mcp.sandbox.data.models import RecordedRequest
from agentphone_mcp.sandbox.data.seed import seeded_account
from agentphone_mcp.sandbox.http.faults import BadFaultError, Fault, Faults, parse
from agentphone_mcp.sandbox.http.validation import (
    BadValueError,
    Field,
    boolean,
    e164,
    integer,
    number,
    one_of,
    read_body,
    read_query,
    text,
    texts,
)
from agentphone_mcp.sandbox.responses import Json, RefusalError, created, invalid, ok, stamp
from agentphone_mcp.sandbox.routes.calls import call_json, new_call
from agentphone_mcp.sandbox.routes.messages import message_json, record
from agentphone_mcp.sandbox.voice_webhook import replies_for

_MOST = Decimal(1_000_000)
_ANSWERED_AFTER = 2.0
_MOST_LINES = 200
_LONGEST_JUMP = 366 * 24 * 3600


def _money(value: Any) -> Decimal:
    """Accept dollars as a string or a number, to a hundredth of a cent."""
    try:
        amount = Decimal(str(value)) if isinstance(value, str | int | float) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount <= _MOST:
        raise BadValueError(f'Input should be dollars from 0 to {_MOST}, e.g. "25.00"', "decimal_parsing")
    return amount.quantize(Decimal("0.0001"))


def _times(value: Any) -> int | None:
    return None if value == "always" else cast(int, integer(1)(value))


def _lines(value: Any) -> list[str]:
    lines = [text(1, 2_000)(line) for line in texts(value)]
    if not 1 <= len(lines) <= _MOST_LINES:
        raise BadValueError(f"List should have 1 to {_MOST_LINES} items", "list_length")
    return lines


_PARTIES = {"from": Field(e164, required=True), "to": Field(e164, required=True)}
_FAULT_FIELDS = {
    "rule": Field(text(1, 1_000)),
    "method": Field(text(1, 10)),
    "path": Field(text(1, 1_000)),
    "status": Field(integer(400, 599)),
    "retryAfter": Field(integer(0)),
    "delay": Field(number(0, 600)),
    "drop": Field(one_of("before", "after")),
    "malformed": Field(boolean),
    "cutAfter": Field(integer(1)),
    "times": Field(_times),
}


async def reset(request: Request) -> Response:
    """POST /__sandbox/reset: hang up all calls and restore the seeded account."""
    context = context_of(request)
    for call in list(context.account.calls.values()):
        if call.is_live:
            context.simulator.hang_up(call)
    await context.dispatcher.cancel_background_tasks()
    fresh = seeded_account(context.clock.now())
    # In place, as the simulator and the dispatcher keep a reference to the account.
    for field in fields(fresh):
        setattr(context.account, field.name, getattr(fresh, field.name))
    context.event_stream.publish("reset", {"at": stamp(context.clock.now())})
    return ok({"success": True, "balance": str(context.account.balance.amount)})


async def set_balance(request: Request) -> Response:
    """POST /__sandbox/balance: set the balance, in dollars."""
    context = context_of(request)
    body = await read_body(request, {"balance": Field(_money, required=True)})
    context.account.balance.amount = body["balance"]
    return ok({"balance": f"{body['balance']:.2f}"})


async def register_number(request: Request) -> Response:
    """POST /__sandbox/registration: 10DLC for a number; `activating` for a minute, then `enabled`."""
    context = context_of(request)
    body = await read_body(request, {"numberId": Field(text(1), required=True)})
    chosen = context.number(body["numberId"])
    if chosen.outbound_sms == "registration_required":
        chosen.outbound_sms = "activating"
        chosen.registered_at = context.clock.now()
    return ok({"numberId": chosen.id, "phoneNumber": chosen.phone_number, "outboundSms": chosen.outbound_sms})


async def list_faults(request: Request) -> Response:
    """GET /__sandbox/faults: list the rules in force, in the order of matching."""
    return ok({"data": [fault.serialize() for fault in _faults(request).rules]})


async def add_fault(request: Request) -> Response:
    """POST /__sandbox/faults: add a rule, as text (`rule`) or as fields."""
    given = {
        name: value for name, value in (await read_body(request, _FAULT_FIELDS)).items() if name == "times" or value
    }
    try:
        if "rule" in given:
            fault = parse(given["rule"])
        else:
            options = {"retry_after" if name == "retryAfter" else name: value for name, value in given.items()}
            fault = Fault(options.pop("method", "*"), options.pop("path", ""), **options)
    except BadFaultError as exc:
        raise invalid("body", None, str(exc), "value_error") from None
    _faults(request).rules.append(fault)
    return created(fault.serialize())


async def clear_faults(request: Request) -> Response:
    """DELETE /__sandbox/faults: remove all rules."""
    rules = _faults(request).rules
    cleared = len(rules)
    rules.clear()
    return ok({"success": True, "cleared": cleared})


def _faults(request: Request) -> Faults:
    return cast(Faults, request.app.state.faults)


async def list_requests(request: Request) -> Response:
    """GET /__sandbox/requests: list the requests of clients, the newest last."""
    query = read_query(request, {"limit": Field(integer(1, LOG_LIMIT), default=100)})
    recorded = cast(list[RecordedRequest], request.app.state.requests)
    shown = {"data": [request_json(row) for row in recorded[-query["limit"] :]], "total": len(recorded)}
    # Escaped, because text of a client may not be valid Unicode.
    return Response(json.dumps(shown), media_type="application/json")


def request_json(recorded: RecordedRequest) -> Json:
    """Show a request of the log, which has no keys in its path, query and body."""
    return {
        "method": recorded.method,
        "path": recorded.path,
        "query": recorded.query,
        "body": recorded.body,
        "status": recorded.status or None,
        "authorized": recorded.authorized,
        "at": stamp(recorded.at),
        "subAccount": recorded.sub_account,
        "requestId": recorded.request_id,
    }


async def receive_call(request: Request) -> Response:
    """POST /__sandbox/calls: call in as the person at the `from` number, or speak the lines of `says`."""
    context = context_of(request)
    body = await read_body(request, _PARTIES | {"says": Field(_lines)})
    called = context.number_at(body["to"])
    if called.agent_id is None:
        raise RefusalError(400, f"No agent answers at {called.phone_number}.", "VALIDATION_ERROR")
    call = new_call(context, context.agent(called.agent_id), "inbound", called, body)
    context.simulator.dial(call, _caller(call.from_number, body.get("says")), replies_for(context, call))
    return created(call_json(request, call))


def _caller(phone_number: str, says: list[str] | None) -> Callee:
    """Return who calls. The agent answers after two seconds; a caller who is never answered hangs up before."""
    caller = replace(FRIENDLY, lines=tuple(says)) if says else callee_at(phone_number)
    return caller if caller.unanswered else replace(caller, rings=_ANSWERED_AFTER)


async def receive_text(request: Request) -> Response:
    """POST /__sandbox/messages: receive a text, at the usual price."""
    context = context_of(request)
    body = await read_body(request, _PARTIES | {"body": Field(text(1, 1_600), required=True)})
    texted = context.number_at(body["to"])
    conversation, message = record(context, texted, "inbound", body["from"], body["body"])
    context.webhook_events.message_received(conversation, message)
    return created(message_json(message))


async def advance_clock(request: Request) -> Response:
    """POST /__sandbox/clock: let `advance` seconds pass at once, with everything due in them, in order."""
    context = context_of(request)
    body = await read_body(request, {"advance": Field(number(0, _LONGEST_JUMP), required=True)})
    await context.clock.advance(body["advance"])
    return ok({"now": stamp(context.clock.now())})


routes = [
    Route("/__sandbox/calls", receive_call, methods=["POST"]),
    Route("/__sandbox/messages", receive_text, methods=["POST"]),
    Route("/__sandbox/clock", advance_clock, methods=["POST"]),
    Route("/__sandbox/reset", reset, methods=["POST"]),
    Route("/__sandbox/balance", set_balance, methods=["POST"]),
    Route("/__sandbox/registration", register_number, methods=["POST"]),
    Route("/__sandbox/faults", list_faults, methods=["GET"]),
    Route("/__sandbox/faults", add_fault, methods=["POST"]),
    Route("/__sandbox/faults", clear_faults, methods=["DELETE"]),
    Route("/__sandbox/requests", list_requests, methods=["GET"]),
]
