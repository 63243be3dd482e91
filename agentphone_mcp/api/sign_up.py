"""Self sign-up, for whoever has no key yet: an email, a code that is mailed to it, and an account with a key."""

import httpx
from pydantic import ConfigDict, Field

from agentphone_mcp.api.models import ApiModel, ExactUtcTime
from agentphone_mcp.api.redaction import Secret
from agentphone_mcp.api.transport import Transport


class MailedCode(ApiModel):
    """A code is on its way; `expires_at` is UTC in ISO 8601."""

    verification_id: str
    expires_at: ExactUtcTime = None


class OpenedAccount(ApiModel):
    """What a new account begins with. The key is shown this once, so nothing else that is missing stands in its way."""

    # An error must not quote the key.
    model_config = ConfigDict(hide_input_in_errors=True)

    api_key: Secret = Field(repr=False, min_length=1)
    agent_id: str | None = None
    phone_number: str | None = None


class SignUpClient:
    """`/v0/agent/…`: sent without a key, and only to where a key may go.

        async with SignUpClient(base_url) as signing_up:
            mailed = await signing_up.begin("ada@example.com")
            opened = await signing_up.finish(mailed.verification_id, "123456")

    Every method raises an `agentphone_mcp.api.errors.ApiError` and nothing else.

    Args:
        base_url: one of the vendor's hosts or a loopback address; see `Allowlist.for_sign_up`.
        timeout: seconds that one answer may take.
        inner: what really sends.
    """

    def __init__(self, base_url: str, *, timeout: float = 30.0, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = Transport(base_url, None, timeout=timeout, inner=inner, signs_up=True)

    async def begin(self, email: str, agent_name: str | None = None) -> MailedCode:
        """Have a code mailed.

        Raises:
            Conflict: if the email has an account.
        """
        body = {"human_email": email} | ({"agent_name": agent_name} if agent_name else {})
        return await self._transport.post("/v0/agent/sign-up", MailedCode, body)

    async def finish(self, verification_id: str, code: str) -> OpenedAccount:
        """Open the account.

        Raises:
            BadRequest: if the code is wrong or has expired.
            OutcomeUnknown: if the answer was lost; the account may be open, and its key with it.
        """
        body = {"verification_id": verification_id, "otp_code": code}
        return await self._transport.post("/v0/agent/verify", OpenedAccount, body)

    async def __aenter__(self) -> "SignUpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()
