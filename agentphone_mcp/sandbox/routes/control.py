"""Control the sandbox itself under `/__sandbox/…`, with its key: reset, balance, registration, faults, log."""

import json
import re
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.authentication import LOG_LIMIT, RecordedRequest
from agentphone_mcp.sandbox.context import context_of
from agentphone_mcp.sandbox.data.seed import seeded_account
from agentphone_mcp.sandbox.http.faults import BadFaultError, Fault, Faults, parse
from agentphone_mcp.sandbox.http.validation import (
    BadValueError,
    Field,
    boolean,
    integer,
    number,
    one_of,
    read_body,
    read_query,
    text,
)
from agentphone_mcp.sandbox.responses import InvalidError, Json, created, ok, problem, stamp

_MOST = Decimal(1_000_000)
# Any key of the vendor's form, as clients may put one into queries and bodies by mistake.
_KEY = re.compile(r"\bsk_[a-z]+_[A-Za-z0-9_-]+")


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
        raise InvalidError([problem("body", None, str(exc), "value_error")]) from None
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
    return ok({"data": [request_json(row) for row in recorded[-query["limit"] :]], "total": len(recorded)})


def request_json(recorded: RecordedRequest) -> Json:
    """Show a request of the log, with keys redacted from its path, query and body."""
    row = {
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
    return json.loads(_KEY.sub("[key]", json.dumps(row)))


routes = [
    Route("/__sandbox/reset", reset, methods=["POST"]),
    Route("/__sandbox/balance", set_balance, methods=["POST"]),
    Route("/__sandbox/registration", register_number, methods=["POST"]),
    Route("/__sandbox/faults", list_faults, methods=["GET"]),
    Route("/__sandbox/faults", add_fault, methods=["POST"]),
    Route("/__sandbox/faults", clear_faults, methods=["DELETE"]),
    Route("/__sandbox/requests", list_requests, methods=["GET"]),
]
