"""Asks AgentPhone about keys that are new here: invented ones must not fill what is kept for callers."""

from collections.abc import Awaitable, Callable

import anyio

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.api.client import ApiClient
from agentphone_mcp.api.errors import ApiError, RateLimited, ServerError, Unauthorized, Unreachable
from agentphone_mcp.api.transport import Transport
from agentphone_mcp.server.http.auth.base import AuthUnavailable

_GOOD_SECONDS = 600.0
"""How long a key counts as one; when it is revoked meanwhile, every request to the API says so."""
_WRONG_SECONDS = 60.0
_REMEMBERED = 10_000
_ASKED_AT_ONCE = 8
_WAITING = 64
"""How many keys may wait to be asked about; a stranger with more must not make us a nuisance to AgentPhone."""
_NOT_NOW = "AgentPhone cannot be asked about your key just now. Try again in a moment."


class KeyChecks:
    """Remembers which keys are known to AgentPhone, by a digest and for a while.

    Args:
        ask: says whether a key is known; raises `AuthUnavailable`.
    """

    def __init__(self, ask: Callable[[ApiKey], Awaitable[bool]]) -> None:
        self._ask = ask
        self._verdicts: dict[str, tuple[bool, float]] = {}
        self._asking = anyio.CapacityLimiter(_ASKED_AT_ONCE)

    async def is_known(self, key: ApiKey) -> bool:
        """Whether AgentPhone knows the key; asks it where that was not asked lately.

        Raises:
            AuthUnavailable: if it cannot be asked, or too many keys wait to be asked about.
        """
        account = key.account()
        known = self._remembered(account)
        if known is not None:
            return known
        if self._asking.statistics().tasks_waiting >= _WAITING:
            raise AuthUnavailable(_NOT_NOW)
        async with self._asking:
            # Another request with this key may have been answered meanwhile.
            known = self._remembered(account)
            if known is None:
                known = await self._ask(key)
                self._remember(account, known)
        return known

    def _remembered(self, account: str) -> bool | None:
        known, until = self._verdicts.get(account, (None, 0.0))
        return known if until > anyio.current_time() else None

    def _remember(self, account: str, known: bool) -> None:
        self._verdicts.pop(account, None)
        if len(self._verdicts) >= _REMEMBERED:
            # Wrong ones go first, or a stranger would have the callers asked about again and again.
            wrong = (other for other, (is_known, _) in self._verdicts.items() if not is_known)
            del self._verdicts[next(wrong, next(iter(self._verdicts)))]
        self._verdicts[account] = known, anyio.current_time() + (_GOOD_SECONDS if known else _WRONG_SECONDS)


async def ask_agentphone(base_url: str, seconds: float, key: ApiKey) -> bool:
    """Say whether AgentPhone knows a key; over a connection that carries no other.

    Raises:
        AuthUnavailable: if it does not answer, or has no time.
    """
    async with ApiClient(Transport(base_url, key, timeout=seconds)) as api:
        try:
            await api.account.usage()
        except Unauthorized:
            return False
        except (Unreachable, RateLimited, ServerError):
            raise AuthUnavailable(_NOT_NOW) from None
        except ApiError:
            # Whatever else is wrong, the caller will hear it from the tools: the key was accepted.
            return True
    return True
