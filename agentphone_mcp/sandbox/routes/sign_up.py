"""Self sign-up without a key: `POST /v0/agent/sign-up` mails a code, `POST /v0/agent/verify` takes it.

The vendor opens an account of its own for each email. A sandbox has one account, so here a verified email gets a new
hosted agent with a number of its own in that account, and the sandbox's one key. The number comes with the sign-up and
costs nothing. Nothing is mailed: what would be is told to those who watch, and is read at `GET /__sandbox/mails`.

Emails that have an account: `OWNERS_EMAIL`, and each that was verified. The code is good for ten minutes of the
sandbox's time and three tries; asking again for the same email makes the earlier code worthless.
"""

import random
import secrets
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentphone_mcp.sandbox import rows as shown
from agentphone_mcp.sandbox.context import SandboxContext, context_of
from agentphone_mcp.sandbox.data.models import Agent, SignUp
from agentphone_mcp.sandbox.http.agent_settings import DEFAULTS
from agentphone_mcp.sandbox.http.validation import Field, matching, paging, read_body, read_query, text
from agentphone_mcp.sandbox.responses import Json, RefusalError, ok, page, stamp
from agentphone_mcp.sandbox.routes.numbers import new_number, require_room

OWNERS_EMAIL = "owner@example.com"
TRIES = 3
GOOD_FOR = timedelta(minutes=10)

_EMAIL = matching(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+", "value is not a valid email address")
_DEFAULT_NAME = "My Agent"


async def sign_up(request: Request) -> Response:
    """POST /v0/agent/sign-up: mail a code to an email that has no account."""
    context = context_of(request)
    wanted = await read_body(request, {"human_email": Field(_EMAIL, required=True), "agent_name": Field(text(1, 200))})
    email: str = wanted["human_email"].casefold()
    sign_ups = context.account.sign_ups
    if email == OWNERS_EMAIL or any(one.email == email and one.agent_id for one in sign_ups.values()):
        raise RefusalError(409, "An account with this email already exists.", "EMAIL_ALREADY_REGISTERED")
    for earlier in [one for one in sign_ups.values() if one.email == email]:
        del sign_ups[earlier.id]
    now = context.clock.now()
    made = SignUp(
        id=f"ver_{secrets.token_hex(8)}",
        email=email,
        agent_name=wanted.get("agent_name") or _DEFAULT_NAME,
        code=f"{random.randrange(1_000_000):06}",
        created_at=now,
        expires_at=now + GOOD_FOR,
        tries_left=TRIES,
    )
    sign_ups[made.id] = made
    context.event_stream.publish("mail", shown.mail(made))
    message = f"A verification code was sent to {made.email}."
    return ok({"verification_id": made.id, "expires_at": stamp(made.expires_at), "message": message})


async def verify(request: Request) -> Response:
    """POST /v0/agent/verify: the code, once, for an agent, its number and the key."""
    context = context_of(request)
    wanted = await read_body(
        request,
        {
            "verification_id": Field(text(1, 200), required=True),
            "otp_code": Field(matching("[0-9]{6}", "otp_code must be 6 digits"), required=True),
        },
    )
    waiting = _waiting(context, wanted["verification_id"])
    if wanted["otp_code"] != waiting.code:
        waiting.tries_left -= 1
        left = f"tries left: {waiting.tries_left}" if waiting.tries_left else "sign up again for a new one"
        raise RefusalError(400, f"The code is wrong; {left}.", "INVALID_VERIFICATION_CODE")
    require_room(context)
    number = new_number(context)
    settings = DEFAULTS | {
        "name": waiting.agent_name,
        "voiceMode": "hosted",
        "systemPrompt": "You are a friendly assistant on the phone. Be brief.",
        "beginMessage": "Hello, how can I help you?",
    }
    agent = Agent(context.account.ids.new("agt"), settings, number.created_at)
    context.account.agents[agent.id] = agent
    number.attach(agent.id, number.created_at)
    context.account.numbers[number.id] = number
    waiting.agent_id = agent.id
    return ok(
        {
            "account_id": "acc_sandbox",
            "agent_id": agent.id,
            "number_id": number.id,
            "phone_number": number.phone_number,
            "api_key": request.app.state.key,
        }
    )


def _waiting(context: SandboxContext, verification_id: str) -> SignUp:
    """The sign-up whose code may still be tried, or the refusal that says why not."""
    found = context.account.sign_ups.get(verification_id)
    if found is None:
        raise RefusalError(404, "Verification not found.", "VERIFICATION_NOT_FOUND")
    if found.agent_id:
        raise RefusalError(409, "This verification was used already.", "VERIFICATION_ALREADY_USED")
    if not found.tries_left:
        raise RefusalError(400, "Too many wrong codes; sign up again for a new one.", "TOO_MANY_ATTEMPTS")
    if found.expires_at <= context.clock.now():
        raise RefusalError(400, "The code has expired; sign up again for a new one.", "VERIFICATION_EXPIRED")
    return found


async def list_mails(request: Request) -> Response:
    """GET /__sandbox/mails: what would have been mailed, the newest first."""
    sign_ups = reversed(context_of(request).account.sign_ups.values())
    return ok(page(sign_ups, read_query(request, paging()), _mail_json))


def _mail_json(one: SignUp) -> Json:
    return shown.mail(one) | {"code": one.code, "verificationId": one.id, "expiresAt": stamp(one.expires_at)}


routes = [
    Route("/v0/agent/sign-up", sign_up, methods=["POST"]),
    Route("/v0/agent/verify", verify, methods=["POST"]),
    Route("/__sandbox/mails", list_mails, methods=["GET"]),
]
