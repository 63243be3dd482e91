"""Check callers' keys with AgentPhone, and cache the results."""

from collections.abc import Awaitable, Callable

import anyio

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, RateLimited, ServerError, Unauthorized, Unreachable
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.server.http.auth.base import AuthUnavailable

_VALID_SECONDS = 600.0
"""How long a valid key is cached; if it is revoked meanwhile, every request to the API fails with 401."""
_INVALID_SECONDS = 60.0
_MOST_CACHED = 10_000
_CHECKS_AT_ONCE = 8
_MOST_WAITING = 64
"""How many keys may wait for their check, so that a flood of invented keys does not reach AgentPhone."""
_NOT_NOW = "AgentPhone cannot be asked about your key just now. Try again in a moment."


class KeyChecks:
    """Cache which keys AgentPhone accepts, by a digest of the key.

    Args:
        check: returns whether a key is valid; raises `AuthUnavailable`.
    """

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
