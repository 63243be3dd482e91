"""Place, list, show and end calls, and create web calls."""

import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox.calls.simulator import WEB_TOKEN_SECONDS
from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data import billing as money
from agentphone_mcp.sandbox.data.callees import callee_at
from agentphone_mcp.sandbox.data.models import Agent, Call, Direction, Number
from agentphone_mcp.sandbox.http.api_versions import call_status, call_statuses
from agentphone_mcp.sandbox.http.validation import (
    Field,
    boolean,
    e164,
    mapping,
    one_of,
    paging,
    read_body,
    read_query,
    text,
)
from agentphone_mcp.sandbox.responses import Json, RefusalError, created, ok, page, stamp, stamp_or_null
from agentphone_mcp.sandbox.routes.transcripts import exchanges
from agentphone_mcp.sandbox.voice_webhook import replies_for

_CALL_FIELDS = {
    "agentId": Field(text(1), required=True),
    "toNumber": Field(e164, required=True),
    "fromNumberId": Field(text(1)),
    "initialGreeting": Field(text()),
    "voice": Field(text(1, 200)),
    "systemPrompt": Field(text(most=100_000)),
    "variables": Field(mapping),
    "modelTier": Field(one_of("turbo", "balanced", "max")),
    "disableRecording": Field(boolean),
}


def call_json(request: Request, call: Call) -> Json:
    """Show a call as in lists."""
    context = context_of(request)
    agent = context.account.agents.get(call.agent_id)
    # The older API has no such path; without booked recordings its URL is null.
    has_url = call.has_recording and context.api_version != "seeds"
    return {
        "id": call.id,
        "agentId": call.agent_id,
        "agentName": agent.name if agent else None,
        "phoneNumberId": call.number_id,
        "phoneNumber": call.phone_number,
        "fromNumber": call.from_number,
        "toNumber": call.to_number,
        "direction": call.direction,
        "status": call.status,
        "startedAt": stamp(call.started_at),
        "endedAt": stamp_or_null(call.ended_at),
        "durationSeconds": call.seconds,
        "lastTranscriptSnippet": call.turns[-1].content[:100] if call.turns else None,
        "recordingUrl": str(request.url_for("get_recording", call_id=call.id)) if has_url else None,
        "recordingAvailable": call.has_recording,
    }


def newest_calls(context: SandboxContext) -> list[Call]:
    """Return all calls, newest first."""
    return list(reversed(context.account.calls.values()))


async def list_calls(request: Request) -> Response:
    """GET /v1/calls, newest first, filtered by status, direction and phone number."""
    context = context_of(request)
    fields = {
        **paging(),
        "status": Field(one_of(*call_statuses(context.api_version))),
        "direction": Field(one_of("inbound", "outbound", "web")),
        "search": Field(text()),
    }
    query = read_query(request, fields)
    digits = re.sub(r"[^0-9]", "", query["search"] or "")
    calls = [
        call
        for call in newest_calls(context)
        if query["status"] in (None, call_status(call.status, context.api_version))
        and query["direction"] in (None, call.direction)
        and (query["search"] is None or (digits and (digits in call.from_number or digits in call.to_number)))
    ]
    return ok(page(calls, query, lambda call: call_json(request, call)))


async def place_call(request: Request) -> Response:
    """POST /v1/calls: accepted at once, answered (or not) a little later."""
    context = context_of(request)
    body = await read_body(request, _CALL_FIELDS)
    agent = context.agent(body["agentId"])
    call = new_call(context, agent, "outbound", _caller_id(context, agent, body.get("fromNumberId")), body)
    context.simulator.dial(call, callee_at(call.to_number), replies_for(context, call))
    # The vendor answers so for an accepted call that still rings; the next GET says `ringing`.
    return created({**call_json(request, call), "status": "in-progress"})


def _caller_id(context: SandboxContext, agent: Agent, number_id: str | None) -> Number:
    numbers = context.numbers_of(agent.id)
    if not numbers:
        raise RefusalError(400, f"Agent '{agent.id}' has no phone number to call from.", "VALIDATION_ERROR")
    if number_id is None:
        return numbers[0]
    number = context.number(number_id)
    if number not in numbers:
        raise RefusalError(400, f"'{number_id}' is not attached to agent '{agent.id}'.", "VALIDATION_ERROR")
    return number


def new_call(context: SandboxContext, agent: Agent, direction: Direction, number: Number | None, body: Json) -> Call:
    """Add a call to the account by the agent's settings, or by what `body` says instead; answer 402 without money."""
    context.account.balance.require(money.LEAST_VOICE_CHARGE, "a call")
    prompt = body.get("systemPrompt")
    variables: Json = body.get("variables") or {}
    phone_number = number.phone_number if number else None
    call = Call(
        id=context.account.ids.new("call"),
        agent_id=agent.id,
        number_id=number.id if number else None,
        phone_number=phone_number,
        from_number=body["from"] if direction == "inbound" else phone_number or "web",
        to_number=body["toNumber"] if direction == "outbound" else phone_number or "web",
        direction=direction,
        mode="hosted" if prompt else agent.settings["voiceMode"],
        is_denoised=agent.denoises,
        started_at=context.clock.now(),
        greeting=_fill(body.get("initialGreeting") or agent.settings["beginMessage"], variables),
        prompt=_fill(prompt or agent.settings["systemPrompt"], variables) or "",
        voicemail_message=agent.settings["voicemailMessage"],
        transfer_number=agent.settings["transferNumber"],
        metadata=body.get("metadata"),
        records=not body.get("disableRecording"),
    )
    context.account.calls[call.id] = call
    return call


def _fill(template: str | None, variables: Mapping[str, Any]) -> str | None:
    """Replace each `{{name}}` by its variable."""
    for name, value in variables.items():
        template = template and template.replace("{{" + name + "}}", str(value))
    return template


async def create_web_call(request: Request) -> Response:
    """POST /v1/calls/web: a token for the browser SDK. No browser can join a sandbox, so it ends `no-answer`."""
    context = context_of(request)
    fields = {"agentId": Field(text(1), required=True), "metadata": Field(mapping), "variables": Field(mapping)}
    body = await read_body(request, fields)
    call = new_call(context, context.agent(body["agentId"]), "web", None, body)
    context.simulator.await_browser(call)
    token = {
        "accessToken": f"sandbox.{secrets.token_urlsafe(24)}",
        "callId": call.id,
        "expiresAt": stamp(call.started_at + timedelta(seconds=WEB_TOKEN_SECONDS)),
        "metadata": call.metadata,
    }
    return ok(call_json(request, call) | token)


async def get_call(request: Request) -> Response:
    """GET /v1/calls/{id}, with its transcript so far."""
    call = context_of(request).call(request.path_params["call_id"])
    return ok({**call_json(request, call), "transcripts": exchanges(call)})


async def end_call(request: Request) -> Response:
    """POST /v1/calls/{id}/end: hang up; 409 if the call has ended."""
    context = context_of(request)
    call = context.call(request.path_params["call_id"])
    if not call.is_live:
        raise RefusalError(409, f"Call '{call.id}' is not in progress (status: {call.status}).", "CALL_NOT_IN_PROGRESS")
    context.simulator.hang_up(call)
    return ok({"success": True, **call_json(request, call)})


routes = [
    Route("/v1/calls", list_calls, methods=["GET"]),
    Route("/v1/calls", place_call, methods=["POST"]),
    Route("/v1/calls/web", create_web_call, methods=["POST"]),
    Route("/v1/calls/{call_id}", get_call, methods=["GET"]),
    Route("/v1/calls/{call_id}/end", end_call, methods=["POST"]),
]
