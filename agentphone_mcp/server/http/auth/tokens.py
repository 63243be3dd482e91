"""Authenticate callers by named bearer tokens, whose hashes are in a file that may change at any time."""

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
from agentphone_mcp.server.http.auth.base import NO_CONNECTION, bearer_of
from agentphone_mcp.server.http.auth.token_file import (
    TOKEN_PREFIX,
    Token,
    TokensUnusable,
    digest_of,
    file_version,
    read_tokens,
)
from agentphone_mcp.system.http.connection import Connection
from agentphone_mcp.variables import TOKENS_FILE_VARIABLE

_RELOAD_SECONDS = 1.0
"""How often the file is checked for changes at most."""
logger = logging.getLogger(__name__)


class StaticTokenAuth:
    """Authenticate callers whose token's hash is in the file, with the name and scope given there.

    While the file, whose format `token_file` describes, cannot be used, nobody is admitted.

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
        self._checked_at = clock()
        self._version: tuple[int, ...] | None = None
        self._tokens: tuple[Token, ...] = ()
        self._error = ""
        try:
            self._read()
        except TokensUnusable as exc:
            raise ConfigError(f"{TOKENS_FILE_VARIABLE}: {self._shown_path} cannot be used: {exc}") from None

    async def authenticate(self, headers: Headers, connection: Connection = NO_CONNECTION) -> Caller | None:
        """Return whose token was sent; None for none, several, and an unknown or expired one."""
        now = self._reload()
        given = bearer_of(headers)
        # A missing token is compared too, so that it takes as long as a wrong one.
        token = self._find(given or "")
        if given is None or token is None or token.is_over(now):
            return None
        return Caller(token.name, token.scope, expires_at=token.expires_at, credential=token.digest.hex())

    def is_still_valid(self, caller: Caller) -> bool:
        """Return whether the caller's token is still in the file with the same name and scope, and unexpired."""
        now = self._reload()
        return any(
            (token.name, token.scope, token.digest.hex()) == (caller.name, caller.scope, caller.credential)
            and not token.is_over(now)
            for token in self._tokens
        )

    async def unavailable_reason(self) -> str | None:
        """Return why nobody can be authenticated: the file is invalid, or every token in it has expired."""
        now = self._reload()
        if self._error:
            return f"the tokens file cannot be used: {self._error}"
        return "every token has expired" if all(token.is_over(now) for token in self._tokens) else None

    def _find(self, given: str) -> Token | None:
        """Compare with every token, even after a match, so that the time reveals nothing."""
        digest, found = digest_of(given), None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def _reload(self) -> float:
        """Read the file again if it was not checked within a second, and return the time."""
        now = self._clock()
        # A clock that was set back must not delay the next check.
        if 0 <= now - self._checked_at < _RELOAD_SECONDS:
            return now
        self._checked_at = now
        try:
            self._read()
        except TokensUnusable as exc:
            self._tokens, self._version = (), None
            if str(exc) != self._error:
                self._error = str(exc)
                logger.error("nobody is admitted, because %s cannot be used: %s", self._shown_path, exc)
        return now

    def _read(self) -> None:
        version = file_version(self._path)
        if version != self._version:
            # A change between the two calls is noticed at the next check.
            self._tokens, self._version, self._error = read_tokens(self._path), version, ""
            logger.info("read %d tokens from %s", len(self._tokens), self._shown_path)

    @property
    def _shown_path(self) -> str:
        """Return the path, with tokens and keys that were pasted into it by mistake redacted."""
        return re.sub(rf"\b{TOKEN_PREFIX}[\w-]+", "[token removed]", repr(mask_keys(str(self._path))))
