"""Authenticate callers by their own AgentPhone keys, sent with each request; the operator's key is never used."""

from functools import partial

from starlette.datastructures import Headers

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.base import bearer_of
from agentphone_mcp.server.http.auth.key_checks import KeyChecks, ask_agentphone

_KEY_HEADER = "X-API-Key"


class OwnKeyAuth:
    """Authenticate callers whose key AgentPhone accepts.

    Args:
        base_url: the API that the keys are sent to.
        timeout: seconds that AgentPhone may take to check a key.
    """

    challenge = 'Bearer realm="agentphone-mcp"'
    challenge_message = (
        "Send your own AgentPhone key in the header X-API-Key, or as Authorization: Bearer sk_…; it is passed on to "
        "AgentPhone with this request and not kept."
    )

    def __init__(self, base_url: str, timeout: float) -> None:
        self._base_url = base_url
        self._checks = KeyChecks(partial(ask_agentphone, base_url, timeout))

    async def authenticate(self, headers: Headers) -> Caller | None:
        """Return the caller with the key of this request; None for no key, several, or an invalid one.

        Raises:
            AuthUnavailable: for a new key, while AgentPhone cannot check it.
        """
        bearer = bearer_of(headers)
        if headers.getlist("Authorization") and (bearer is None or not bearer.startswith("sk_")):
            # A token for another service must not be passed on to AgentPhone.
            return None
        given = {*headers.getlist(_KEY_HEADER), *([bearer] if bearer else [])}
        if len(given) != 1:
            return None
        try:
            key = ApiKey(given.pop())
            Allowlist.for_base(self._base_url, key)
        except KeyRuleBroken:
            return None
        return Caller(f"account {key.account()}", key=key) if await self._checks.is_valid(key) else None

    def is_still_valid(self, caller: Caller) -> bool:
        """Return whether the caller has a key; a revoked one is refused by the API itself."""
        return caller.key is not None

    async def unavailable_reason(self) -> str | None:
        """Return None: keys are checked one by one."""
        return None
