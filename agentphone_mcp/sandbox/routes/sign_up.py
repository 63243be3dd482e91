"""Sign up without a key: `POST /v0/agent/sign-up` mails a code, `POST /v0/agent/verify` takes it.

The vendor opens an account of its own for each email. A sandbox has one account, so here a verified email gets a new
hosted agent with a number of its own in that account, and the sandbox's one key. The number comes with the sign-up and
costs nothing. Nothing is mailed: mails are shown on the page and in the terminal, and at `GET /__sandbox/mails`.

Emails that have an account: `OWNERS_EMAIL`, and each that was verified. The code is valid for ten minutes of the
sandbox's time and three tries; a new sign-up with the same email invalidates the earlier code.
"""

import random
import secrets
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox import rows
from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data.models import Agent, SignUp
from agentphone_mcp.sandbox.http.agent_settings import DEFAULTS
from agentphone_mcp.sandbox.http.validation import Field, matching, paging, read_body, read_query, text
from agentphone_mcp.sandbox.responses import Json, RefusalError, ok, page, stamp
from agentphone_mcp.sandbox.routes.numbers import new_number, require_room

OWNERS_EMAIL = "owner@example.com"
MOST_SIGN_UPS = 100
"""How many unfinished ones are kept, as anybody on this machine can begin one; the oldest makes place."""
TRIES = 3
VALID_FOR = timedelta(minutes=10)

_EMAIL = matching(r"(?=.{6,254}$)[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+", "value is not a valid email address")
_CODE = Field(matching("[0-9]{6}", "otp_code must be 6 digits"), required=True)


async def sign_up(request: Request) -> Response:
    """POST /v0/agent/sign-up: mail a code to an email that has no account."""
    context = context_of(request)
    body = await read_body(request, {"human_email": Field(_EMAIL, required=True), "agent_name": Field(text(1, 200))})
    email: str = body["human_email"].casefold()
    sign_ups = context.account.sign_ups
    if email == OWNERS_EMAIL or any(each.email == email and each.agent_id for each in sign_ups.values()):
        raise RefusalError(409, "An account with this email already exists.", "EMAIL_ALREADY_REGISTERED")
    for earlier in [other for other in sign_ups.values() if other.email == email]:
        del sign_ups[earlier.id]
    now = context.clock.now()
    _make_place(sign_ups, now)
    created = SignUp(
        id=f"ver_{secrets.token_hex(8)}",
        email=email,
        agent_name=body.get("agent_name") or "My Agent",
        code=f"{random.randrange(1_000_000):06}",
        created_at=now,
        expires_at=now + VALID_FOR,
        tries_left=TRIES,
    )
    sign_ups[created.id] = created
    context.event_stream.publish("mail", rows.mail(created))
    message = f"A verification code was sent to {created.email}."
    return ok({"verification_id": created.id, "expires_at": stamp(created.expires_at), "message": message})


def _make_place(sign_ups: dict[str, SignUp], now: datetime) -> None:
    """Forget sign-ups that can no longer be verified, and then the oldest while there are too many."""
    unfinished = [each for each in sign_ups.values() if not each.agent_id]
    for each in unfinished:
        if each.expires_at <= now or not each.tries_left:
            del sign_ups[each.id]
    left = [each for each in unfinished if each.id in sign_ups]
    for each in left[: max(0, len(left) - MOST_SIGN_UPS + 1)]:
        del sign_ups[each.id]


async def verify(request: Request) -> Response:
    """POST /v0/agent/verify: exchange the code, once, for an agent, its number and the key."""
    context = context_of(request)
    body = await read_body(request, {"verification_id": Field(text(1, 200), required=True), "otp_code": _CODE})
    pending = _pending(context, body["verification_id"])
    if body["otp_code"] != pending.code:
        pending.tries_left -= 1
        left = f"tries left: {pending.tries_left}" if pending.tries_left else "sign up again for a new one"
        raise RefusalError(400, f"The code is wrong; {left}.", "INVALID_VERIFICATION_CODE")
    require_room(context)
    number = new_number(context)
    settings = DEFAULTS | {
        "name": pending.agent_name,
        "voiceMode": "hosted",
        "systemPrompt": "You are a friendly assistant on the phone. Be brief.",
        "beginMessage": "Hello, how can I help you?",
    }
    agent = Agent(context.account.ids.new("agt"), settings, number.created_at)
    context.account.agents[agent.id] = agent
    number.attach(agent.id, number.created_at)
    context.account.numbers[number.id] = number
    pending.agent_id = agent.id
    return ok(
        {
            "account_id": "acc_sandbox",
            "agent_id": agent.id,
            "number_id": number.id,
            "phone_number": number.phone_number,
            "api_key": request.app.state.key,
        }
    )


def _pending(context: SandboxContext, verification_id: str) -> SignUp:
    """Return the sign-up whose code may still be tried, or refuse with the reason."""
    sign_up = context.account.sign_ups.get(verification_id)
    if sign_up is None:
        raise RefusalError(404, "Verification not found.", "VERIFICATION_NOT_FOUND")
    if sign_up.agent_id:
        raise RefusalError(409, "This verification was used already.", "VERIFICATION_ALREADY_USED")
    if not sign_up.tries_left:
        raise RefusalError(400, "Too many wrong codes; sign up again for a new one.", "TOO_MANY_ATTEMPTS")
    if sign_up.expires_at <= context.clock.now():
        raise RefusalError(400, "The code has expired; sign up again for a new one.", "VERIFICATION_EXPIRED")
    return sign_up


async def list_mails(request: Request) -> Response:
    """GET /__sandbox/mails: list the simulated mails, the newest first."""
    sign_ups = reversed(context_of(request).account.sign_ups.values())
    return ok(page(sign_ups, read_query(request, paging()), _mail_json))


def _mail_json(sign_up: SignUp) -> Json:
    extra = {"code": sign_up.code, "verificationId": sign_up.id, "expiresAt": stamp(sign_up.expires_at)}
    return rows.mail(sign_up) | extra


routes = [
    Route("/v0/agent/sign-up", sign_up, methods=["POST"]),
    Route("/v0/agent/verify", verify, methods=["POST"]),
    Route("/__sandbox/mails", list_mails, methods=["GET"]),
]
