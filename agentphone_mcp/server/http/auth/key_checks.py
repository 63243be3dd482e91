"""Check keys with AgentPhone once, cache the results, and pace whoever sends wrong ones.

Senders are told apart by their address, and many may share one, such as a proxy's. So nobody is refused for the wrong
keys of others: those who send them wait for their answer, ever longer, and leave room to check the keys of newcomers.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import anyio

from agentphone_mcp.api.api_key import ApiKey
from agentphone_mcp.server.http.auth.base import AuthUnavailable

_VALID_SECONDS = 600.0
"""How long a valid key is cached; if it is revoked meanwhile, every request to the API fails with 401."""
_INVALID_SECONDS = 60.0
_MOST_KNOWN = 10_000
_CHECKS_AT_ONCE, _CHECKS_OF_ONE = 16, 8
"""In all, and of one sender."""
_MOST_WAITING, _MOST_WAITING_OF_ONE = 1_024, 384
"""How many keys may wait for their check, so that a flood of invented keys does not reach AgentPhone."""
_FREE_MISTAKES = 10
_SECONDS_FOR_EACH = 0.1
_LONGEST_PAUSE = 5.0
_FORGIVEN_AFTER = 2.0
"""Seconds after which one wrong key of a sender counts no more."""
_MOST_PAUSED = 128
"""Of one sender; others of its wrong keys are answered at once, so that pauses take up no more memory."""
NOT_NOW = "AgentPhone cannot be asked about your key just now. Try again in a moment."

_Known = TypeVar("_Known")


class KeyChecks:
    """Cache which keys AgentPhone accepts, by a digest of the key; a check may raise `AuthUnavailable`."""

    def __init__(self, check: Callable[[ApiKey], Awaitable[bool]]) -> None:
        self._check = check
        self._results: dict[str, tuple[bool, float]] = {}
        self._limiter = anyio.CapacityLimiter(_CHECKS_AT_ONCE)
        self._limiters: _Recent[anyio.CapacityLimiter] = _Recent(lambda: anyio.CapacityLimiter(_CHECKS_OF_ONE))
        self._mistakes: _Recent[_Mistakes] = _Recent(_Mistakes)
        self._waiting: Counter[str] = Counter()
        self._paused: Counter[str] = Counter()

    async def is_valid(self, key: ApiKey, sender: str = "") -> bool:
        """Return whether AgentPhone accepts the key, from the cache or by a request; a wrong one after a pause.

        Raises:
            AuthUnavailable: if AgentPhone does not answer, or too many keys wait for their check.
        """
        account = key.account()
        is_valid = self._cached(account)
        if is_valid is not None:
            return is_valid
        async with self._turn(sender):
            # Another request with this key may have been answered meanwhile.
            is_valid = self._cached(account)
            if is_valid is None:
                is_valid = await self._check(key)
                self._cache(account, is_valid)
        if not is_valid:
            await self._pause(sender)
        return is_valid

    @asynccontextmanager
    async def _turn(self, sender: str) -> AsyncGenerator[None]:
        """Wait until a key of this sender may be checked.

        Raises:
            AuthUnavailable: if too many wait.
        """
        if self._waiting.total() >= _MOST_WAITING or self._waiting[sender] >= _MOST_WAITING_OF_ONE:
            raise AuthUnavailable(NOT_NOW)
        limiters = self._limiters.of(sender), self._limiter
        is_waiting = any(not limiter.available_tokens for limiter in limiters)
        self._waiting[sender] += is_waiting
        try:
            # First that of the sender, who could take up the others' otherwise.
            await limiters[0].acquire()
            try:
                await limiters[1].acquire()
            except BaseException:
                limiters[0].release()
                raise
        finally:
            self._waiting -= Counter({sender: int(is_waiting)})
        try:
            yield
        finally:
            for limiter in limiters:
                limiter.release()

    async def _pause(self, sender: str) -> None:
        seconds = self._mistakes.of(sender).count()
        if not seconds or self._paused[sender] >= _MOST_PAUSED:
            return
        self._paused[sender] += 1
        try:
            await anyio.sleep(seconds)
        finally:
            self._paused -= Counter({sender: 1})

    def _cached(self, account: str) -> bool | None:
        is_valid, until = self._results.get(account, (None, 0.0))
        return is_valid if until > anyio.current_time() else None

    def _cache(self, account: str, is_valid: bool) -> None:
        self._results.pop(account, None)
        if len(self._results) >= _MOST_KNOWN:
            # Invalid keys are evicted first, or invented ones would push out those of callers.
            invalid = (other for other, (other_is_valid, _) in self._results.items() if not other_is_valid)
            del self._results[next(invalid, next(iter(self._results)))]
        self._results[account] = is_valid, anyio.current_time() + (_VALID_SECONDS if is_valid else _INVALID_SECONDS)


class _Mistakes:
    """Count the recent wrong keys of one sender."""

    def __init__(self) -> None:
        self._number = 0.0
        self._at = 0.0

    def count(self) -> float:
        """Count another one, and return how many seconds its answer has to wait."""
        now = anyio.current_time()
        self._number = max(0.0, self._number - (now - self._at) / _FORGIVEN_AFTER) + 1
        self._at = now
        return min(_LONGEST_PAUSE, max(0.0, self._number - _FREE_MISTAKES) * _SECONDS_FOR_EACH)


class _Recent(Generic[_Known]):
    """Keep something for each of the latest senders."""

    def __init__(self, make: Callable[[], _Known]) -> None:
        self._make = make
        self._known: dict[str, _Known] = {}

    def of(self, sender: str) -> _Known:
        """Return what is kept for a sender, or something new."""
        known = self._known[sender] = self._known.pop(sender, None) or self._make()
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return known
