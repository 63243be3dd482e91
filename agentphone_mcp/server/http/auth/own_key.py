"""Authenticate callers by their own AgentPhone keys, sent with each request; the operator's key is never used."""

import re
from functools import partial

from starlette.datastructures import Headers

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, RateLimited, ServerError, Unauthorized, Unreachable
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.base import NO_CONNECTION, AuthUnavailable, bearer_of
from agentphone_mcp.server.http.auth.key_checks import NOT_NOW, KeyChecks
from agentphone_mcp.system.http.connection import Connection
from agentphone_mcp.system.http.waiting import sender_of

_KEY_HEADER = "X-API-Key"
_KEY = re.compile(r"sk_[a-z]+_[A-Za-z0-9_-]{8,256}")
"""The form of AgentPhone's keys; what else callers may hold, such as tokens for other services, is not passed on."""


class OwnKeyAuth:
    """Authenticate callers whose key AgentPhone accepts, at `base_url` within `timeout` seconds."""

    challenge = 'Bearer realm="agentphone-mcp"'
    challenge_message = (
        "Send your own AgentPhone key in the header X-API-Key, or as Authorization: Bearer sk_…; it is passed on to "
        "AgentPhone with this request and not kept."
    )

    def __init__(self, base_url: str, timeout: float) -> None:
        self._base_url = base_url
        self._checks = KeyChecks(partial(ask_agentphone, base_url, timeout))

    async def authenticate(self, headers: Headers, connection: Connection = NO_CONNECTION) -> Caller | None:
        """Return the caller with the key of this request; None for no key, several, or an invalid one.

        Raises:
            AuthUnavailable: for a new key, while AgentPhone cannot check it.
        """
        bearer = bearer_of(headers)
        if headers.getlist("Authorization") and (bearer is None or not bearer.startswith("sk_")):
            # A token for another service must not be passed on to AgentPhone.
            return None
        given = {*headers.getlist(_KEY_HEADER), *([bearer] if bearer else [])}
        if len(given) != 1 or not _KEY.fullmatch(text := given.pop().strip()):
            return None
        try:
            key = ApiKey(text)
            Allowlist.for_base(self._base_url, key)
        except KeyRuleBroken:
            return None
        is_valid = await self._checks.is_valid(key, sender_of(connection.address))
        return Caller(f"account {key.account()}", key=key) if is_valid else None

    def is_still_valid(self, caller: Caller) -> bool:
        """Return whether the caller has a key; a revoked one is refused by the API itself."""
        return caller.key is not None

    async def unavailable_reason(self) -> str | None:
        """Return None: keys are checked one by one."""
        return None


async def ask_agentphone(base_url: str, seconds: float, key: ApiKey) -> bool:
    """Return whether AgentPhone accepts a key; asked over a connection that carries no other key.

    Raises:
        AuthUnavailable: if it does not answer, or refuses for rate or load.
    """
    async with ApiClient(Transport(base_url, key, timeout=seconds)) as api:
        try:
            await api.account.usage()
        except Unauthorized:
            return False
        except (Unreachable, RateLimited, ServerError):
            raise AuthUnavailable(NOT_NOW) from None
        except ApiError:
            # The key was accepted; any other error is reported by the tools.
            return True
    return True
