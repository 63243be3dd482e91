"""Serve the web page at `GET /`, with a snapshot of the account and a stream of its events.

The snapshot and the stream show the whole account, and need the token in the link that the sandbox prints at its start,
or the key: `authentication.py` checks it. Pages of other sites in the same browser reach loopback too; hence the checks
of Host, Origin and Sec-Fetch-Site, and a content security policy that lets the page load nothing from elsewhere.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from importlib.resources import files
from itertools import islice

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agentphone_mcp.sandbox import rows
from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.event_stream import SandboxEvent
from agentphone_mcp.sandbox.responses import Json, failure, stamp
from agentphone_mcp.sandbox.routes.messages import newest_conversations
from agentphone_mcp.sandbox.routes.numbers import NUMBER_LIMIT

CALLS, CONVERSATIONS, DELIVERIES, MAILS, REQUESTS = 100, 50, 100, 20, 200
_MESSAGES = 100
_TURNS = 200
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
_FILES = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[Request], Awaitable[Response]]


def _refuse_others(request: Request) -> Response | None:
    """Refuse requests of other machines, origins and sites; None if the request is allowed."""
    headers = request.headers
    host = headers.get("host", "")
    if host.rpartition(":")[0] not in _LOOPBACK and host not in _LOOPBACK:
        return failure(421, "This page answers at loopback addresses only.")
    if headers.get("origin", f"http://{host}") != f"http://{host}":
        return failure(403, "Pages of another origin may not look into the sandbox.")
    # Whoever follows a link to the page shows nothing to the site that links.
    navigation = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    follows_a_link = request.url.path == "/" and navigation == ("navigate", "document")
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not follows_a_link:
        return failure(403, "Pages of another site may not look into the sandbox.")
    return None


def _local_only(handler: Handler) -> Handler:
    async def checked(request: Request) -> Response:
        answer = _refuse_others(request) or await handler(request)
        answer.headers.update(_HEADERS)
        return answer

    return checked


async def get_page(request: Request) -> Response:
    """GET /, and its style and script."""
    name: str = request.path_params.get("name", "page.html")
    if name not in _FILES:
        return failure(404, "Not Found")
    return Response((files("agentphone_mcp.sandbox") / "page" / name).read_bytes(), media_type=_FILES[name])


async def get_view(request: Request) -> Response:
    """GET /__sandbox/view: show everything on the page. Later events have a higher `number`."""
    context, requests = context_of(request), request.app.state.requests
    account = context.account
    clients = (
        item for item in reversed(requests) if (item.status or item.is_dropped) and rows.is_from_a_client(item.path)
    )
    view: Json = {
        "number": context.event_stream.number,
        "now": stamp(context.clock.now()),
        "speed": context.clock.speed,
        "account": _account(context),
        "calls": [
            rows.call(item) | {"turns": [rows.turn(turn) for turn in item.turns[-_TURNS:]]}
            for item in islice(reversed(account.calls.values()), CALLS)
        ],
        "conversations": [
            rows.conversation(item) | {"messages": [rows.message(message) for message in item.messages[-_MESSAGES:]]}
            for item in newest_conversations(context)[:CONVERSATIONS]
        ],
        "deliveries": [rows.delivery(item) for item in account.deliveries[: -DELIVERIES - 1 : -1]],
        "mails": [rows.mail(item) for item in islice(reversed(account.sign_ups.values()), MAILS)],
        "requests": [rows.request(item) for item in islice(clients, REQUESTS)],
    }
    # Escaped, because text of a client may not be valid Unicode.
    return Response(json.dumps(context.event_stream.redact(view)), media_type="application/json")


def _account(context: SandboxContext) -> Json:
    account = context.account
    names = {agent.id: agent.name for agent in account.agents.values()}
    return {
        "balance": rows.dollars(account.balance.amount),
        "spent": rows.dollars(sum((charge.amount for charge in account.balance.charges), Decimal())),
        "numberLimit": NUMBER_LIMIT,
        "webhook": rows.webhook(account.webhook),
        "numbers": [
            {"phoneNumber": number.phone_number, "country": number.country, "agent": names.get(number.agent_id or "")}
            for number in account.numbers.values()
        ],
        "agents": [
            {
                "id": agent.id,
                "name": agent.name,
                "voiceMode": agent.settings["voiceMode"],
                "webhook": rows.webhook(agent.webhook),
            }
            for agent in account.agents.values()
        ],
    }


async def get_events(request: Request) -> Response:
    """GET /__sandbox/events: stream events as server-sent events, named by their kind."""
    return StreamingResponse(_events(context_of(request)), media_type="text/event-stream")


async def _events(context: SandboxContext) -> AsyncIterator[str]:
    changed, loop = asyncio.Event(), asyncio.get_running_loop()
    account = _account(context)
    with context.event_stream.subscribe(lambda: loop.call_soon_threadsafe(changed.set)) as subscriber:
        yield ": watching\n\n"
        while not context.event_stream.is_closed:
            changed.clear()
            events = subscriber.take()
            if events:
                now = stamp(context.clock.now())
                yield "".join(_event(event, now) for event in events)
            if _account(context) != account:
                # Agents, numbers and webhooks change by requests only, which are events.
                account = _account(context)
                yield f"event: account\ndata: {json.dumps(context.event_stream.redact(account))}\n\n"
            try:
                await asyncio.wait_for(changed.wait(), context.heartbeat)
            except TimeoutError:
                yield ": heartbeat\n\n"


def _event(event: SandboxEvent, now: str) -> str:
    data = json.dumps({"number": event.number, "now": now, **event.row})
    return f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n"


routes = [
    Route("/", _local_only(get_page), methods=["GET"]),
    Route("/__sandbox/page/{name}", _local_only(get_page), methods=["GET"]),
    Route("/__sandbox/view", _local_only(get_view), methods=["GET"]),
    Route("/__sandbox/events", _local_only(get_events), methods=["GET"]),
]
