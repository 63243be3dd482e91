"""Define what every auth backend does, the errors it raises, and the one that authenticates nobody."""

import os
from typing import Protocol

from starlette.datastructures import Headers

from agentphone_mcp.policy.access import OPERATOR, Caller
from agentphone_mcp.system.connection_owner import FindOwner
from agentphone_mcp.system.http.connection import Connection

NO_CONNECTION = Connection()
_ANOTHER_USER = (
    "This server is for the user of this machine who started it, and another user made this connection. To let others "
    "in, start it with --http-auth local or --http-auth token, and give them the token."
)


class Forbidden(Exception):
    """Raised when it is known who calls, and they may not use this server; the message says why, in sentences.

    Attributes:
        challenge: the value of `WWW-Authenticate` in the 403 response, if other credentials would help.
    """

    def __init__(self, reason: str, challenge: str | None = None) -> None:
        super().__init__(reason)
        self.challenge = challenge


class InsufficientScope(Forbidden):
    """Raised when valid credentials grant no scope of this server."""


class AuthUnavailable(Exception):
    """Raised when credentials cannot be checked at the moment; the message is one sentence."""


class AuthBackend(Protocol):
    """Authenticate the caller of each request.

    Attributes:
        challenge: the value of `WWW-Authenticate` in a 401 response.
        challenge_message: the message of a 401 response; the same whatever was wrong.
    """

    challenge: str
    challenge_message: str

    async def authenticate(self, headers: Headers, connection: Connection = NO_CONNECTION) -> Caller | None:
        """Return who is calling, or None for missing or invalid credentials.

        Raises:
            Forbidden: if it is known who calls, and they may not use this server.
            AuthUnavailable: if the credentials cannot be checked at the moment.
        """
        ...

    def is_still_valid(self, caller: Caller) -> bool:
        """Return whether an authenticated caller still would be; asked again and again during long streams."""
        ...

    async def unavailable_reason(self) -> str | None:
        """Return why nobody can be authenticated right now, in a few words without secrets; None if all is well."""
        ...


class LoopbackAuth:
    """Treat every caller as the operator, whose own processes alone connect over loopback where the system tells.

    Args:
        find_owner: how the system tells which user made a connection; None lets all users of this machine in.
    """

    challenge = "Bearer"
    challenge_message = ""

    def __init__(self, find_owner: FindOwner | None = None) -> None:
        self._find_owner = find_owner

    async def authenticate(self, headers: Headers, connection: Connection = NO_CONNECTION) -> Caller:
        """Return the operator.

        Raises:
            Forbidden: if another user of this machine made the connection.
        """
        if self._find_owner and not connection.is_of(os.geteuid(), self._find_owner):
            raise Forbidden(_ANOTHER_USER)
        return OPERATOR

    def is_still_valid(self, caller: Caller) -> bool:
        """Return True: there are no credentials that could expire."""
        return True

    async def unavailable_reason(self) -> None:
        """Return None: nothing can be unavailable."""


def bearer_of(headers: Headers) -> str | None:
    """Return the one bearer token of a request; None for none, for several, and for another scheme."""
    given = headers.getlist("Authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() or None if scheme.casefold() == "bearer" else None
