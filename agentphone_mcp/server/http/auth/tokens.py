"""The auth for named bearer tokens, whose hashes stand in one file that may change while the server runs."""

import hmac
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path

from starlette.datastructures import Headers

from agentphone_mcp.api.api_key import mask_keys
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import Caller
from agentphone_mcp.server.http.auth.base import bearer_of
from agentphone_mcp.server.http.auth.token_file import (
    TOKEN_PREFIX,
    Token,
    TokensUnusable,
    digest_of,
    look_at,
    read_tokens,
)
from agentphone_mcp.variables import TOKENS_FILE_VARIABLE

_PAUSE = 1.0
"""Seconds for which the file is not looked at again."""
logger = logging.getLogger(__name__)


class StaticTokenAuth:
    """Admits whoever brings a token whose hash is in the file, under the name and with the scope that stand there.

    While the file cannot be used, nobody is admitted.

    Args:
        path: the file; its form is told in `token_file`.
        clock: seconds since the epoch.

    Raises:
        ConfigError: if the file cannot be used.
    """

    challenge = 'Bearer realm="agentphone-mcp"'
    challenge_message = (
        "Send the header Authorization: Bearer TOKEN with a token of this server, which its operator makes with "
        "`agentphone-mcp token add`."
    )

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = clock()
        self._seen: tuple[int, ...] | None = None
        self._tokens: tuple[Token, ...] = ()
        self._broken = ""
        try:
            self._read()
        except TokensUnusable as broken:
            raise ConfigError(f"{TOKENS_FILE_VARIABLE}: {self._shown} cannot be used: {broken}") from None

    async def authenticate(self, headers: Headers) -> Caller | None:
        """Find out whose token was brought; None for none, several, and one that is wrong or has expired."""
        now = self._look()
        given = bearer_of(headers)
        # Who brought none waits for the same work as who brought a wrong one.
        found = self._find(given or "")
        if given is None or found is None or found.is_over(now):
            return None
        return Caller(found.name, found.scope, expires_at=found.expires_at, credential=found.digest.hex())

    def is_still_valid(self, caller: Caller) -> bool:
        """Whether the very token that they brought is still good for what it was."""
        now = self._look()
        return any(
            (token.name, token.scope, token.digest.hex()) == (caller.name, caller.scope, caller.credential)
            and not token.is_over(now)
            for token in self._tokens
        )

    async def unavailable_reason(self) -> str | None:
        """Why nobody can be admitted: the file is broken, or every token in it has expired."""
        now = self._look()
        if self._broken:
            return f"the tokens file cannot be used: {self._broken}"
        return "every token has expired" if all(token.is_over(now) for token in self._tokens) else None

    def _find(self, given: str) -> Token | None:
        """Compare with every token, also when one was found: the time that it takes tells nothing."""
        digest, found = digest_of(given), None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def _look(self) -> float:
        """See to it that what is known is not older than the pause, and say what time it is."""
        now = self._clock()
        # A clock that was set back must not put the next look off.
        if 0 <= now - self._looked_at < _PAUSE:
            return now
        self._looked_at = now
        try:
            self._read()
        except TokensUnusable as broken:
            self._tokens, self._seen = (), None
            if str(broken) != self._broken:
                self._broken = str(broken)
                logger.error("nobody is admitted, because %s cannot be used: %s", self._shown, broken)
        return now

    def _read(self) -> None:
        seen = look_at(self._path)
        if seen != self._seen:
            # What is written between the look and this is noticed at the next look.
            self._tokens, self._seen, self._broken = read_tokens(self._path), seen, ""
            logger.info("%d tokens are known from %s", len(self._tokens), self._shown)

    @property
    def _shown(self) -> str:
        """The path; some paste a token or the key itself where it belongs."""
        return re.sub(rf"\b{TOKEN_PREFIX}[\w-]+", "[token removed]", repr(mask_keys(str(self._path))))
