"""Open an account without a key: send an email address, then the code mailed to it, and get a key."""

import httpx
from pydantic import ConfigDict, Field

from agentphone_mcp.api.models import ApiModel, ExactUtcTime
from agentphone_mcp.api.redaction import Secret
from agentphone_mcp.api.transport import Transport


class MailedCode(ApiModel):
    """Confirms that a code was mailed; `expires_at` is UTC in ISO 8601."""

    verification_id: str
    expires_at: ExactUtcTime = None


class OpenedAccount(ApiModel):
    """Holds the key of a new account. The API sends it only once, so every other field may be missing."""

    # An error must not quote the key.
    model_config = ConfigDict(hide_input_in_errors=True)

    api_key: Secret = Field(repr=False, min_length=1)
    agent_id: str | None = None
    phone_number: str | None = None


class SignUpClient:
    """Calls `/v0/agent/…` without a key, and only on hosts where a key may be sent.

        async with SignUpClient(base_url) as client:
            mailed = await client.begin("ada@example.com")
            opened = await client.finish(mailed.verification_id, "123456")

    Every method raises an `agentphone_mcp.api.errors.ApiError` and nothing else. `timeout` is in seconds for one
    answer; see `Allowlist.for_sign_up` for the base URL.
    """

    def __init__(self, base_url: str, *, timeout: float = 30.0, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = Transport(base_url, None, timeout=timeout, inner=inner, signs_up=True)

    async def begin(self, email: str, agent_name: str | None = None) -> MailedCode:
        """Have a code mailed to an address, or raise `Conflict` if it has an account."""
        body = {"human_email": email} | ({"agent_name": agent_name} if agent_name else {})
        return await self._transport.post("/v0/agent/sign-up", MailedCode, body)

    async def finish(self, verification_id: str, code: str) -> OpenedAccount:
        """Open the account with the mailed code.

        Raises:
            BadRequest: if the code is wrong or has expired.
            OutcomeUnknown: if the response was lost; the account may exist, and its key is then lost too.
        """
        body = {"verification_id": verification_id, "otp_code": code}
        return await self._transport.post("/v0/agent/verify", OpenedAccount, body)

    async def __aenter__(self) -> "SignUpClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()
