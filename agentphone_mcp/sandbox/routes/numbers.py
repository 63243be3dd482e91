"""Search, buy, list and release phone numbers, and list their calls and texts."""

from datetime import datetime
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data import billing as money
from agentphone_mcp.sandbox.data.inventory import AREAS, available_numbers
from agentphone_mcp.sandbox.data.models import Number
from agentphone_mcp.sandbox.http.validation import (
    Field,
    integer,
    matching,
    moment,
    one_of,
    paging,
    read_body,
    read_query,
    text,
)
from agentphone_mcp.sandbox.responses import Json, RefusalError, created, invalid, ok, page, stamp, stamp_or_null
from agentphone_mcp.sandbox.routes.calls import call_json, newest_calls
from agentphone_mcp.sandbox.routes.messages import message_json

NUMBER_LIMIT = 10

_COUNTRY = one_of("US", "CA")
_AREA_CODE = matching("[0-9]{3}", "areaCode must be 3 digits")


def attached_json(number: Number) -> Json:
    """Show a number as part of an agent."""
    return {"id": number.id, "phoneNumber": number.phone_number, "status": "active", "type": "sms"}


def number_json(number: Number) -> Json:
    """Show a number of the account."""
    return {
        **attached_json(number),
        "country": number.country,
        "agentId": number.agent_id,
        "outboundSms": number.outbound_sms,
        "inboundCallsEnabled": True,
        "externalId": number.external_id,
        "expiresAt": stamp_or_null(number.expires_at),
        "createdAt": stamp(number.created_at),
        "purchasedAt": stamp(number.created_at),
    }


async def list_numbers(request: Request) -> Response:
    """GET /v1/numbers."""
    context = context_of(request)
    context.release_expired()
    return ok(page(context.account.numbers.values(), read_query(request, paging()), number_json))


async def buy_number(request: Request) -> Response:
    """POST /v1/numbers: buy a number in the given area code, charged at once."""
    context = context_of(request)
    fields = {
        "country": Field(_COUNTRY),
        "areaCode": Field(_AREA_CODE),
        "agentId": Field(text(1)),
        "expiresAt": Field(moment),
        "externalId": Field(text(1, 200)),
    }
    body = await read_body(request, fields)
    context.release_expired()
    if body.get("expiresAt") and body["expiresAt"] <= context.clock.now():
        raise invalid("body", "expiresAt", "expiresAt must be in the future", "value_error")
    agent = context.agent(body["agentId"]) if body.get("agentId") else None
    require_room(context)
    context.account.balance.require(money.NUMBER, "a phone number")
    number = new_number(context, body.get("country") or "US", body.get("areaCode"))
    number.agent_id = agent.id if agent else None
    number.external_id = body.get("externalId")
    number.expires_at = body.get("expiresAt")
    context.account.numbers[number.id] = number
    context.account.balance.charge(money.NUMBER, f"number {number.phone_number}", number.created_at)
    return created(number_json(number))


def new_number(context: SandboxContext, country: str = "US", area_code: str | None = None) -> Number:
    """Create a number for the account; answer 409 if none is available there."""
    return Number(
        id=context.account.ids.new("num"),
        phone_number=_pick(context, country, area_code),
        country=country,
        outbound_sms="enabled" if country == "CA" else "registration_required",
        created_at=context.clock.now(),
    )


def require_room(context: SandboxContext) -> None:
    """Answer 409 if the account has as many numbers as it may."""
    context.release_expired()
    if len(context.account.numbers) >= NUMBER_LIMIT:
        raise RefusalError(409, f"Number limit of {NUMBER_LIMIT} reached.", "VALIDATION_ERROR_NUMBER_LIMIT")


def _pick(context: SandboxContext, country: str, area_code: str | None) -> str:
    for phone_number, _ in available_numbers(_taken(context), country=country, area_code=area_code):
        return phone_number
    others = ", ".join([area.area_code for area in AREAS if area.country == country][:5])
    raise RefusalError(409, f"No numbers available in area code {area_code}. Try one of: {others}.", "NO_INVENTORY")


def _taken(context: SandboxContext) -> set[str]:
    return {number.phone_number for number in context.account.numbers.values()} | context.account.released


async def search_available(request: Request) -> Response:
    """GET /v1/numbers/available: a search, not a reservation."""
    fields = {
        "areaCode": Field(_AREA_CODE),
        "city": Field(text()),
        "state": Field(text()),
        "zip": Field(text()),
        "country": Field(_COUNTRY),
        "limit": Field(integer(1, 100), default=20),
    }
    query = read_query(request, fields)
    offers = available_numbers(
        _taken(context_of(request)),
        country=query["country"],
        area_code=query["areaCode"],
        city=query["city"],
        state=query["state"],
        zip_code=query["zip"],
    )
    rows = [
        {
            "phoneNumber": phone_number,
            "city": area.city,
            "state": area.state,
            "rateCenter": area.city.upper(),
            "areaCode": area.area_code,
            "country": area.country,
        }
        for phone_number, area in islice(offers, query["limit"])
    ]
    return ok({"data": rows})


async def get_number(request: Request) -> Response:
    """GET /v1/numbers/{id}."""
    return ok(number_json(context_of(request).number(request.path_params["number_id"])))


async def release_number(request: Request) -> Response:
    """DELETE /v1/numbers/{id}: irreversible and without refund; its calls and texts stay in the lists."""
    context = context_of(request)
    number = context.number(request.path_params["number_id"])
    context.release(number)
    return ok({"success": True, "id": number.id, "phoneNumber": number.phone_number, "status": "released"})


async def list_number_messages(request: Request) -> Response:
    """GET /v1/numbers/{id}/messages, newest first, optionally between two times."""
    context = context_of(request)
    number = context.number(request.path_params["number_id"])
    query = read_query(request, {**paging(50, 200), "before": Field(moment), "after": Field(moment)})
    messages = [
        message
        for message in reversed(context.account.messages)
        if message.number_id == number.id and _is_between(message.at, query["after"], query["before"])
    ]
    messages.sort(key=lambda message: message.at, reverse=True)
    return ok(page(messages, query, message_json))


def _is_between(at: datetime, after: Any, before: Any) -> bool:
    return (after is None or at > after) and (before is None or at < before)


async def list_number_calls(request: Request) -> Response:
    """GET /v1/numbers/{id}/calls, newest first."""
    context = context_of(request)
    number = context.number(request.path_params["number_id"])
    calls = [call for call in newest_calls(context) if call.number_id == number.id]
    return ok(page(calls, read_query(request, paging()), lambda call: call_json(request, call)))


routes = [
    Route("/v1/numbers", list_numbers, methods=["GET"]),
    Route("/v1/numbers", buy_number, methods=["POST"]),
    Route("/v1/numbers/available", search_available, methods=["GET"]),
    Route("/v1/numbers/{number_id}", get_number, methods=["GET"]),
    Route("/v1/numbers/{number_id}", release_number, methods=["DELETE"]),
    Route("/v1/numbers/{number_id}/messages", list_number_messages, methods=["GET"]),
    Route("/v1/numbers/{number_id}/calls", list_number_calls, methods=["GET"]),
]
