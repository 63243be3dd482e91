"""Callers who bring their own AgentPhone key, with each request anew; nobody is ever lent the operator's."""

from functools import partial

from starlette.datastructures import Headers

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.base import bearer_of
from agentphone_mcp.server.http.auth.key_checks import KeyChecks, ask_agentphone

_KEY_HEADER = "X-API-Key"


class OwnKeyAuth:
    """Admits whoever brings a key that AgentPhone knows.

    Args:
        base_url: where the keys go.
        timeout: seconds that AgentPhone may take to say whether it knows one.
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
        """Take the key of this request; None if there is none, more than one, or one that is none.

        Raises:
            AuthUnavailable: for a new key, while AgentPhone cannot be asked about it.
        """
        bearer = bearer_of(headers)
        if headers.getlist("Authorization") and (bearer is None or not bearer.startswith("sk_")):
            # A token that was issued for somebody else is no key, and must not be passed on.
            return None
        given = {*headers.getlist(_KEY_HEADER), *([bearer] if bearer else [])}
        if len(given) != 1:
            return None
        try:
            key = ApiKey(given.pop())
            Allowlist.for_base(self._base_url, key)
        except KeyRuleBroken:
            return None
        return Caller(f"account {key.account()}", key=key) if await self._checks.is_known(key) else None

    def is_still_valid(self, caller: Caller) -> bool:
        """Always: only the API knows when a key is revoked, and says so."""
        return caller.key is not None

    async def unavailable_reason(self) -> str | None:
        """Nothing can be wrong here."""
        return None
