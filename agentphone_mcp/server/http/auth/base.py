"""Define what every auth backend does, the errors it raises, and the one that authenticates nobody."""

from typing import Protocol

from starlette.datastructures import Headers

from agentphone_mcp.policy.access import OPERATOR, Caller


class InsufficientScope(Exception):
    """Raised when valid credentials grant no scope of this server; `challenge` goes into `WWW-Authenticate`."""

    def __init__(self, reason: str, challenge: str) -> None:
        super().__init__(reason)
        self.challenge = challenge


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

    async def authenticate(self, headers: Headers) -> Caller | None:
        """Return who is calling, or None for missing or invalid credentials.

        Raises:
            InsufficientScope: if the credentials are valid but grant no scope of this server.
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
    """Treat every caller as the operator: on loopback every client is a process of this machine."""

    challenge = "Bearer"
    challenge_message = ""

    async def authenticate(self, headers: Headers) -> Caller:
        """Return the operator."""
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
