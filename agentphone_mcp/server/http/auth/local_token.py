"""Authenticate the operator by a token made for this machine, in a file that only they can read."""

import hmac
import os
import re
import secrets
from pathlib import Path

from filelock import FileLock, Timeout
from starlette.datastructures import Headers

from agentphone_mcp.config.config import read_state
from agentphone_mcp.config.settings import ConfigError
from agentphone_mcp.policy.access import OPERATOR, Caller
from agentphone_mcp.server.http.auth.base import NO_CONNECTION, bearer_of
from agentphone_mcp.server.http.auth.token_file import TOKEN_PREFIX, digest_of
from agentphone_mcp.system.atomic_files import replace
from agentphone_mcp.system.http.connection import Connection
from agentphone_mcp.system.private_files import NotPrivate, read_private

_LOCK_SECONDS = 10.0
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[\w-]{{32,128}}")


def local_token_file() -> Path:
    """Return where the token of this machine is kept: in this user's state folder.

    Raises:
        ConfigError: if this user has no home folder.
    """
    return Path(read_state("")) / "local-token"


def read_local_token() -> str | None:
    """Read the token of this machine; None if none was made yet.

    Raises:
        ConfigError: if others could have read or written it.
    """
    file = local_token_file()
    try:
        token = read_private(file)
    except FileNotFoundError:
        return None
    except NotPrivate as exc:
        raise ConfigError(f"AGENTPHONE_HTTP_AUTH=local: {str(file)!r} cannot be used: {exc}") from None
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"AGENTPHONE_HTTP_AUTH=local: {str(file)!r} holds no token: remove it, and a new one is made")
    return token


def ensure_local_token() -> str:
    """Read the token of this machine, or make it.

    Raises:
        ConfigError: if it cannot be used or made.
    """
    file = local_token_file()
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two servers that start at once must end up with the same one.
        with FileLock(file.with_name(".local-token.lock"), timeout=_LOCK_SECONDS):
            token = read_local_token()
            if token is None:
                token = f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}"
                replace(file, f"{token}\n".encode())
    except (OSError, Timeout) as exc:
        reason = (getattr(exc, "strerror", None) or "it is locked").lower()
        raise ConfigError(f"AGENTPHONE_HTTP_AUTH=local: {os.fspath(file)!r} cannot be written: {reason}") from None
    return token


class LocalTokenAuth:
    """Authenticate whoever sends the token of this machine as the operator; the token is made if there is none.

    Raises:
        ConfigError: if the file of the token cannot be used.
    """

    challenge = 'Bearer realm="agentphone-mcp"'
    challenge_message = (
        "Send the header Authorization: Bearer TOKEN with the token of this machine, which is in the file that the "
        "server named when it started; `agentphone-mcp install HOST --remote URL` enters it."
    )

    def __init__(self) -> None:
        self._digest = digest_of(ensure_local_token())

    async def authenticate(self, headers: Headers, connection: Connection = NO_CONNECTION) -> Caller | None:
        """Return the operator; None without the token."""
        given = bearer_of(headers)
        is_right = hmac.compare_digest(self._digest, digest_of(given or ""))
        return OPERATOR if given and is_right else None

    def is_still_valid(self, caller: Caller) -> bool:
        """Return True: the token is valid until the server ends."""
        return True

    async def unavailable_reason(self) -> None:
        """Return None: nothing can be unavailable."""
