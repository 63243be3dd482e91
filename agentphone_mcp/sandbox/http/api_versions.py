"""Reduce answers to one version of the API: the older one (`seeds`, as in API.md) or the newer one (`new`, WIRE.md).

Handlers answer with the fields of both versions (`union`); the fields of the other version are removed here.
`SHAPES` lists each object's keys by version, `ANSWERS` which endpoint answers with which object.
"""

import json
from collections.abc import Iterable
from typing import Any, Literal, cast

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentphone_mcp.sandbox.responses import API, Json

ApiVersion = Literal["union", "seeds", "new"]
API_VERSIONS: tuple[ApiVersion, ...] = ("union", "seeds", "new")

# What API.md's table marks as new.
_ONLY_NEW = {
    "GET /v1/usage/by-number",
    "GET /v1/usage/by-agent",
    "GET /v1/numbers/available",
    "GET /v1/numbers/{number_id}",
    "POST /v1/calls/{call_id}/end",
    "GET /v1/calls/{call_id}/recording",
    "POST /v0/agent/sign-up",
    "POST /v0/agent/verify",
    "POST /v1/messages",
    "GET /v1/contacts",
    "POST /v1/contacts",
    "GET /v1/contacts/{contact_id}",
    "PATCH /v1/contacts/{contact_id}",
    "DELETE /v1/contacts/{contact_id}",
}
_OLDER_STATUSES = {"ringing": "in-progress", "busy": "failed", "no-answer": "failed"}
_STATUSES = ("completed", "in-progress", "failed")

_AGENT = "id name description voiceMode systemPrompt beginMessage voice transferNumber voicemailMessage createdAt"
_CALL = (
    "id agentId phoneNumberId phoneNumber fromNumber toNumber status:CallStatus startedAt endedAt durationSeconds"
    " lastTranscriptSnippet"
)
_SEEDS_CALL = f"{_CALL} direction recordingUrl recordingAvailable"
_CONVERSATION = "id agentId phoneNumber participant messageCount lastMessageAt metadata"
_NEW_CONVERSATION = f"{_CONVERSATION} phoneNumberId isGroup groupId groupName groupIconUrl participants createdAt"
_TEXT = "id body direction receivedAt"
_STATS = "total success failed pending successRate"

# Each object's keys, in the older version and in the newer one. `key:Shape` is an object, or a list of them.
SHAPES: dict[str, tuple[str, str]] = {
    "Usage": ("plan:Plan numbers:NumbersUsed stats:Stats", "plan:Plan numbers stats:Stats periodStart periodEnd"),
    "Plan": ("name numberLimit", "name limits"),
    "NumbersUsed": ("used limit", "used limit remaining"),
    "Stats": (
        "messagesLast30d callsLast30d minutesLast30d",
        (
            "totalMessages messagesLast24h messagesLast7d messagesLast30d totalCalls callsLast24h callsLast7d"
            " callsLast30d totalWebhookDeliveries successfulWebhookDeliveries failedWebhookDeliveries"
        ),
    ),
    "Days": ("data:Day", "data:Day days"),
    "Day": ("date messages calls voiceMinutes", "date messages calls webhooks"),
    "Months": ("data:Month", "data:Month months"),
    "Month": ("month messages calls voiceMinutes", "month messages calls webhooks"),
    "Agents": ("data:Agent total", "data:Agent total"),
    "Agent": (
        f"{_AGENT} phoneNumbers:AttachedNumber",
        (
            f"{_AGENT} numbers:AttachedNumber enableMessaging modelTier customTools callScreeningIdentity"
            " callScreeningPurpose sttMode ambientSound denoisingMode maxSilenceMs voiceSpeed interruptionSensitivity"
            " enableBackchannel language"
        ),
    ),
    "AttachedNumber": ("id phoneNumber status", "id phoneNumber status type"),
    "Attachment": ("agentId number:AttachedNumber", "agentId number:AttachedNumber"),
    "DeletedAgent": ("success message unassignedNumbers", "success id name"),
    "Voices": ("data:Voice", "data:Voice"),
    "Voice": ("voiceId name provider gender", "voice_id voice_name provider gender accent preview_audio_url"),
    "Numbers": ("data:Number total", "data:Number hasMore total"),
    "Number": (
        "id phoneNumber country status agentId createdAt",
        "id phoneNumber country status type agentId createdAt",
    ),
    "Calls": ("data:Call hasMore total", "data:Call hasMore total"),
    "Call": (_SEEDS_CALL, _CALL),
    "CallWithTranscript": (f"{_SEEDS_CALL} transcripts", f"{_CALL} transcripts"),
    "Transcript": ("data transcript", "callId status transcript"),
    "WebCall": ("accessToken callId metadata", "accessToken callId expiresAt metadata"),
    "Texts": ("data:Text total", "data:Text hasMore"),
    "Text": (f"{_TEXT} from to status", f"{_TEXT} from_ to channel"),
    "Conversations": ("data:Conversation total", "data:Conversation hasMore total"),
    "Conversation": (f"{_CONVERSATION} lastMessagePreview", f"{_NEW_CONVERSATION} lastMessagePreview"),
    "AgentsConversations": ("data:AgentsConversation total", "data:AgentsConversation hasMore total"),
    "AgentsConversation": (
        f"{_CONVERSATION} lastMessagePreview",
        "id agentId phoneNumberId phoneNumber participant messageCount lastMessageAt lastMessagePreview createdAt",
    ),
    "ConversationWithTexts": (
        f"{_CONVERSATION} lastMessagePreview messages:Text",
        f"{_NEW_CONVERSATION} messages:TextInConversation",
    ),
    "TextInConversation": (
        "",
        f"{_TEXT} fromNumber toNumber senderIdentifier channel mediaUrl mediaUrls reactions replyTo",
    ),
    "Webhook": ("id url secret status contextLimit timeout", "id url secret status contextLimit timeout createdAt"),
    "Deliveries": ("data:Delivery total", "items:Delivery total offset limit"),
    "Delivery": (
        "id event success statusCode deliveredAt",
        (
            "id messageId eventType channel status httpStatus errorMessage responseBody attemptCount lastAttemptAt"
            " nextRetryAt createdAt"
        ),
    ),
    "DeliveryStats": (_STATS, f"{_STATS} byEventType byHour"),
}

# An endpoint that is missing here answers alike in both versions.
ANSWERS = {
    "GET /v1/usage": "Usage",
    "GET /v1/usage/daily": "Days",
    "GET /v1/usage/monthly": "Months",
    "GET /v1/agents": "Agents",
    "POST /v1/agents": "Agent",
    "GET /v1/agents/voices": "Voices",
    "GET /v1/agents/{agent_id}": "Agent",
    "PATCH /v1/agents/{agent_id}": "Agent",
    "DELETE /v1/agents/{agent_id}": "DeletedAgent",
    "POST /v1/agents/{agent_id}/numbers": "Attachment",
    "GET /v1/agents/{agent_id}/calls": "Calls",
    "GET /v1/agents/{agent_id}/conversations": "AgentsConversations",
    "GET /v1/agents/{agent_id}/webhook": "Webhook",
    "POST /v1/agents/{agent_id}/webhook": "Webhook",
    "GET /v1/agents/{agent_id}/webhook/deliveries": "Delivery",
    "GET /v1/numbers": "Numbers",
    "POST /v1/numbers": "Number",
    "GET /v1/numbers/{number_id}": "Number",
    "GET /v1/numbers/{number_id}/messages": "Texts",
    "GET /v1/numbers/{number_id}/calls": "Calls",
    "GET /v1/calls": "Calls",
    "POST /v1/calls": "Call",
    "GET /v1/calls/{call_id}": "CallWithTranscript",
    "GET /v1/calls/{call_id}/transcript": "Transcript",
    "POST /v1/calls/web": "WebCall",
    "GET /v1/conversations": "Conversations",
    "GET /v1/conversations/{conversation_id}": "ConversationWithTexts",
    "PATCH /v1/conversations/{conversation_id}": "ConversationWithTexts",
    "GET /v1/webhooks": "Webhook",
    "POST /v1/webhooks": "Webhook",
    "GET /v1/webhooks/deliveries": "Deliveries",
    "GET /v1/webhooks/deliveries/stats": "DeliveryStats",
}

_CODES = {401: "UNAUTHORIZED", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 429: "RATE_LIMIT_EXCEEDED"}


def _parse(keys: str) -> dict[str, str]:
    """Map each key to the shape of its value, or to an empty string."""
    return {name: shape for name, _, shape in (key.partition(":") for key in keys.split())}


_KEYS: dict[str, dict[ApiVersion, dict[str, str]]] = {
    shape: {"seeds": _parse(seeds), "new": _parse(new)} for shape, (seeds, new) in SHAPES.items()
}


def routes_of_version(routes: Iterable[BaseRoute], api_version: ApiVersion) -> list[BaseRoute]:
    """Return the routes that the version has."""
    if api_version != "seeds":
        return list(routes)
    return [
        route
        for route in routes
        if not isinstance(route, Route) or not any(f"{m} {route.path}" in _ONLY_NEW for m in route.methods or ())
    ]


def call_statuses(api_version: ApiVersion) -> tuple[str, ...]:
    """Return the statuses by which the list of calls can be filtered."""
    return _STATUSES if api_version == "seeds" else (*_STATUSES, "ringing", "busy", "no-answer")


def call_status(status: str, api_version: ApiVersion) -> str:
    """Return a call's status as the version names it."""
    return _OLDER_STATUSES.get(status, status) if api_version == "seeds" else status


def filter_fields(value: Any, shape: str, api_version: ApiVersion) -> Any:
    """Keep the fields that the version has, of an object or of each object of a list."""
    if isinstance(value, list):
        return [filter_fields(item, shape, api_version) for item in cast(list[Any], value)]
    if isinstance(value, str):
        return call_status(value, api_version)
    if not shape or value is None:
        return value
    keys, fields = _KEYS[shape][api_version], cast(Json, value)
    return {
        name: filter_fields(part, keys[name], api_version) if keys[name] else part
        for name, part in fields.items()
        if name in keys
    }


def filter_error(body: Json, status: int, api_version: ApiVersion) -> Json:
    """Write an error as the version does; wrong fields (422) look alike in `union` and `new`."""
    if api_version == "seeds" or isinstance(body["detail"], list):
        return {"detail": body["detail"]}
    unnamed = {"message": body["detail"], "code": _CODES.get(status, f"HTTP_{status}"), "type": "api_error"}
    return {"error": body.get("error") or unnamed}


class VersionFilter:
    """Reduce every answer of the API to the fields of one version (ASGI middleware)."""

    def __init__(self, app: ASGIApp, api_version: ApiVersion) -> None:
        self._app = app
        self._api_version: ApiVersion = api_version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and filter its answer."""
        if scope["type"] == "http" and scope["path"].startswith(API):
            send = _ResponseFilter(scope, send, self._api_version)
        await self._app(scope, receive, send)


class _ResponseFilter:
    """Filter one answer: JSON once it is complete, a stream event by event."""

    def __init__(self, scope: Scope, send: Send, api_version: ApiVersion) -> None:
        self._scope = scope
        self._send = send
        self._api_version: ApiVersion = api_version
        self._kind = ""
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            self._kind = Headers(raw=message["headers"]).get("content-type", "").partition(";")[0]
            if self._kind == "application/json":
                return
        elif self._kind == "application/json":
            self._body += message.get("body", b"")
            if message.get("more_body", False):
                return
            body = self._filter(self._body)
            MutableHeaders(raw=self._start["headers"])["content-length"] = str(len(body))
            await self._send(self._start)
            message = {"type": "http.response.body", "body": body}
        elif self._kind == "text/event-stream" and message.get("body"):
            lines = message["body"].decode().split("\n")
            message = {**message, "body": "\n".join(map(self._filter_line, lines)).encode()}
        await self._send(message)

    def _filter(self, body: bytes) -> bytes:
        try:
            answer = json.loads(body)
        except ValueError:
            return body
        status: int = self._start["status"]
        if status >= 400:
            answer = filter_error(answer, status, self._api_version)
        else:
            endpoint = f"{self._scope['method']} {self._scope['route'].path}"
            answer = filter_fields(answer, ANSWERS.get(endpoint, ""), self._api_version)
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()

    def _filter_line(self, line: str) -> str:
        """Filter one line of a transcript stream: only the statuses differ between the versions."""
        if not line.startswith("data: "):
            return line
        event = json.loads(line.removeprefix("data: "))
        if "status" in event:
            event["status"] = call_status(event["status"], self._api_version)
        return f"data: {json.dumps(event)}"
