"""Callers who bring their own AgentPhone key, with each request anew; nobody is ever lent the operator's."""

from starlette.datastructures import Headers

from agentphone_mcp.api.key import Allowlist, ApiKey, KeyRuleBroken
from agentphone_mcp.callers import Caller
from agentphone_mcp.hosting.doors import bearer_of

_KEY_HEADER = "X-API-Key"


class RelayDoor:
    """Admits whoever brings what can be a key; whether it is one, the API says.

    Args:
        base_url: where the keys go.
    """

    challenge = 'Bearer realm="agentphone-mcp"'
    asks_for = (
        "Send your own AgentPhone key in the header X-API-Key, or as Authorization: Bearer sk_…; it is passed on to "
        "AgentPhone with this request and not kept."
    )

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    async def admit(self, headers: Headers) -> Caller | None:
        """Take the key of this request; None if there is none, or more than one."""
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
        return Caller(f"account {key.account()}", key=key)

    def still_admits(self, caller: Caller) -> bool:
        """Always: only the API knows when a key is revoked, and says so."""
        return caller.key is not None

    async def trouble(self) -> str | None:
        """Nothing can be wrong here."""
        return None
