"""The web page for people who would rather look than read: `GET /`, with a snapshot and a stream of what happens.

It needs no key and shows a whole account, so it must be read by this machine's people alone: another site's pages
reach loopback too, from the same browser. Hence the checks of Host, Origin and Sec-Fetch-Site, and a policy that lets
the page load nothing from elsewhere.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from importlib.resources import files
from itertools import islice

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agentphone_mcp.sandbox import rows as shown
from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data.models import Call, Conversation
from agentphone_mcp.sandbox.event_stream import SandboxEvent
from agentphone_mcp.sandbox.responses import Json, failure, stamp
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


def _stranger(request: Request) -> Response | None:
    """The refusal of whoever is not this machine's user at this address; None for those who may look."""
    headers = request.headers
    host = headers.get("host", "")
    if host.rpartition(":")[0] not in _LOOPBACK and host not in _LOOPBACK:
        return failure(421, "This page answers at loopback addresses only.")
    if headers.get("origin", f"http://{host}") != f"http://{host}":
        return failure(403, "Pages of another origin may not look into the sandbox.")
    if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _follows_a_link(request, headers):
        return failure(403, "Pages of another site may not look into the sandbox.")
    return None


def _follows_a_link(request: Request, headers: Headers) -> bool:
    """Whether a person came here from elsewhere, which shows the page to the person and nothing to the elsewhere."""
    wanted = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return request.url.path == "/" and wanted == ("navigate", "document")


def _for_this_machine(handler: Handler) -> Handler:
    async def guarded(request: Request) -> Response:
        answer = _stranger(request) or await handler(request)
        answer.headers.update(_HEADERS)
        return answer

    return guarded


async def get_page(request: Request) -> Response:
    """GET /, and its style and script."""
    name: str = request.path_params.get("name", "page.html")
    if name not in _FILES:
        return failure(404, "Not Found")
    return Response((files("agentphone_mcp.sandbox") / "page" / name).read_bytes(), media_type=_FILES[name])


async def get_view(request: Request) -> Response:
    """GET /__sandbox/view: all that the page shows. What happens later has a higher `number`."""
    context, asked = context_of(request), request.app.state.requests
    account = context.account
    conversations = sorted(account.conversations.values(), key=lambda one: one.messages[-1].at, reverse=True)
    clients = (one for one in reversed(asked) if (one.status or one.is_dropped) and shown.is_from_a_client(one.path))
    view: Json = {
        "number": context.event_stream.number,
        "now": stamp(context.clock.now()),
        "speed": context.clock.speed,
        "account": _account(context),
        "calls": [_call(one) for one in islice(reversed(account.calls.values()), CALLS)],
        "conversations": [_conversation(one) for one in conversations[:CONVERSATIONS]],
        "deliveries": [shown.delivery(one) for one in account.deliveries[: -DELIVERIES - 1 : -1]],
        "mails": [shown.mail(one) for one in islice(reversed(account.sign_ups.values()), MAILS)],
        "requests": [shown.request(one) for one in islice(clients, REQUESTS)],
    }
    # Escaped, because a client's words may be no valid Unicode.
    return Response(json.dumps(context.event_stream.masked(view)), media_type="application/json")


def _account(context: SandboxContext) -> Json:
    account = context.account
    names = {agent.id: agent.name for agent in account.agents.values()}
    return {
        "balance": shown.dollars(account.balance.amount),
        "spent": shown.dollars(sum((charge.amount for charge in account.balance.charges), Decimal())),
        "numberLimit": NUMBER_LIMIT,
        "webhook": shown.webhook(account.webhook),
        "numbers": [
            {"phoneNumber": number.phone_number, "country": number.country, "agent": names.get(number.agent_id or "")}
            for number in account.numbers.values()
        ],
        "agents": [
            {
                "id": agent.id,
                "name": agent.name,
                "voiceMode": agent.settings["voiceMode"],
                "webhook": shown.webhook(agent.webhook),
            }
            for agent in account.agents.values()
        ],
    }


def _call(call: Call) -> Json:
    return shown.call(call) | {"turns": [shown.turn(turn) for turn in call.turns[-_TURNS:]]}


def _conversation(conversation: Conversation) -> Json:
    messages = [shown.message(one) for one in conversation.messages[-_MESSAGES:]]
    return shown.conversation(conversation) | {"messages": messages}


async def get_events(request: Request) -> Response:
    """GET /__sandbox/events: what happens, as server-sent events named by their kind, until the subscriber leaves."""
    return StreamingResponse(_events(context_of(request)), media_type="text/event-stream")


async def _events(context: SandboxContext) -> AsyncIterator[str]:
    news, loop = asyncio.Event(), asyncio.get_running_loop()
    account = _account(context)
    with context.event_stream.subscribe(lambda: loop.call_soon_threadsafe(news.set)) as subscriber:
        yield ": watching\n\n"
        while not context.event_stream.is_closed:
            news.clear()
            events = subscriber.take()
            if events:
                yield "".join(_event(context, event) for event in events)
            if _account(context) != account:
                # Agents, numbers and webhooks change by requests alone, so nobody has to tell of them.
                account = _account(context)
                yield f"event: account\ndata: {json.dumps(context.event_stream.masked(account))}\n\n"
            try:
                await asyncio.wait_for(news.wait(), context.heartbeat)
            except TimeoutError:
                yield ": heartbeat\n\n"


def _event(context: SandboxContext, event: SandboxEvent) -> str:
    data = json.dumps({"number": event.number, "now": stamp(context.clock.now()), **event.row})
    return f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n"


routes = [
    Route("/", _for_this_machine(get_page), methods=["GET"]),
    Route("/__sandbox/page/{name}", _for_this_machine(get_page), methods=["GET"]),
    Route("/__sandbox/view", _for_this_machine(get_view), methods=["GET"]),
    Route("/__sandbox/events", _for_this_machine(get_events), methods=["GET"]),
]
