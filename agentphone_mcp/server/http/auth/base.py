"""What every way to find out who is calling has in common."""

from typing import Protocol

from starlette.datastructures import Headers

from agentphone_mcp.policy.access import Caller


class InsufficientScope(Exception):
    """The credentials are good, but for nothing that this server does; the message is one sentence.

    Attributes:
        challenge: the value of `WWW-Authenticate`.
    """

    def __init__(self, why: str, challenge: str) -> None:
        super().__init__(why)
        self.challenge = challenge


class AuthUnavailable(Exception):
    """Nobody can say now whether the credentials are good; the message is one sentence."""


class AuthBackend(Protocol):
    """Decides who may connect, for each request anew.

    Attributes:
        challenge: the value of `WWW-Authenticate` for whom it does not authenticate.
        challenge_message: the sentence for whom it does not authenticate; the same whatever was wrong.
    """

    challenge: str
    challenge_message: str

    async def authenticate(self, headers: Headers) -> Caller | None:
        """Find out who is calling; None for nobody, whether they brought nothing or something wrong.

        Raises:
            InsufficientScope: for somebody who is known and may do nothing here.
            AuthUnavailable: when whoever knows cannot be asked.
        """
        ...

    def is_still_valid(self, caller: Caller) -> bool:
        """Whether somebody who was admitted before would be now; asked of streams that last."""
        ...

    async def unavailable_reason(self) -> str | None:
        """Why nobody can be admitted right now, in a few words without secrets; None when all is well."""
        ...


def bearer_of(headers: Headers) -> str | None:
    """The one bearer token of a request; None for none, for several, and for another scheme."""
    given = headers.getlist("Authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() or None if scheme.casefold() == "bearer" else None
