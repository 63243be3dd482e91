"""Authenticate callers by their own AgentPhone keys, sent with each request; the operator's key is never used."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from starlette.datastructures import Headers

from agentphone_mcp.api.allowlist import Allowlist
from agentphone_mcp.api.api_key import ApiKey, KeyRuleBroken
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, RateLimited, ServerError, Unauthorized, Unreachable
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.base import NO_CONNECTION, AuthUnavailable, bearer_of
from agentphone_mcp.system.http.connection import Connection

_KEY_HEADER = "X-API-Key"
_VALID_SECONDS = 600.0
"""How long a valid key is cached; if it is revoked meanwhile, every request to the API fails with 401."""
_INVALID_SECONDS = 60.0
_MOST_CACHED = 10_000
_CHECKS_AT_ONCE = 8
_MOST_WAITING = 64
"""How many keys may wait for their check, so that a flood of invented keys does not reach AgentPhone."""
_NOT_NOW = "AgentPhone cannot be asked about your key just now. Try again in a moment."


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


class KeyChecks:
    """Cache which keys AgentPhone accepts, by a digest of the key; a check may raise `AuthUnavailable`."""

    def __init__(self, check: Callable[[ApiKey], Awaitable[bool]]) -> None:
        self._check = check
        self._results: dict[str, tuple[bool, float]] = {}
        self._limiter = anyio.CapacityLimiter(_CHECKS_AT_ONCE)

    async def is_valid(self, key: ApiKey) -> bool:
        """Return whether AgentPhone accepts the key, from the cache or by a request.

        Raises:
            AuthUnavailable: if AgentPhone does not answer, or too many keys wait for their check.
        """
        account = key.account()
        is_valid = self._cached(account)
        if is_valid is not None:
            return is_valid
        if self._limiter.statistics().tasks_waiting >= _MOST_WAITING:
            raise AuthUnavailable(_NOT_NOW)
        async with self._limiter:
            # Another request with this key may have been answered meanwhile.
            is_valid = self._cached(account)
            if is_valid is None:
                is_valid = await self._check(key)
                self._cache(account, is_valid)
        return is_valid

    def _cached(self, account: str) -> bool | None:
        is_valid, until = self._results.get(account, (None, 0.0))
        return is_valid if until > anyio.current_time() else None

    def _cache(self, account: str, is_valid: bool) -> None:
        self._results.pop(account, None)
        if len(self._results) >= _MOST_CACHED:
            # Invalid keys are evicted first, or invented ones would push out those of callers.
            invalid = (other for other, (other_is_valid, _) in self._results.items() if not other_is_valid)
            del self._results[next(invalid, next(iter(self._results)))]
        self._results[account] = is_valid, anyio.current_time() + (_VALID_SECONDS if is_valid else _INVALID_SECONDS)


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
            raise AuthUnavailable(_NOT_NOW) from None
        except ApiError:
            # The key was accepted; any other error is reported by the tools.
            return True
    return True
